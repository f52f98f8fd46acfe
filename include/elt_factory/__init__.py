"""ELT Factory: one YAML file per data source becomes a production-grade Airflow DAG."""

__version__ = "0.1.0"
