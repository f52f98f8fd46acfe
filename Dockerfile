FROM astrocrpublic.azurecr.io/runtime:3.3-2

# The image installs requirements.txt before it copies the project, so the package cannot be installed from there: it is
# found through include/ on the path, which Astro's images have; saying it here makes it true for other bases too.
ENV PYTHONPATH="/usr/local/airflow/include:${PYTHONPATH}" \
    ELT_PROJECT=/usr/local/airflow \
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST='[{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": {"refresh_interval": 5, "parse_together": 25}}]' \
    AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=86400 \
    AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL=0 \
    AIRFLOW__COSMOS__ENABLE_TELEMETRY=False \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false

# A volume takes the owner that its folder has in the image: without this one nobody but root could write there.
RUN mkdir -p data

# The DAGs are drawn from dbt's manifest; it is made here, once, and never while DAGs are parsed.
RUN cd include/dbt && dbt parse --profiles-dir . --target duckdb
