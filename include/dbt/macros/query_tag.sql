{# On Snowflake every statement of a model or test is tagged with its DAG, run and task, so that its cost can be
   attributed. Not in the profile: dbt parses the whole project again whenever that changes. The session thinks in UTC,
   as loads and checks do, whatever the account's or user's time zone is: a profile cannot say that on Snowflake. #}
{% macro snowflake__set_query_tag() -%}
    {% set tag = config.get('query_tag') or tojson({
        'step': 'transform',
        'source': env_var('AIRFLOW_CTX_DAG_ID', ''),
        'dag': env_var('AIRFLOW_CTX_DAG_ID', ''),
        'run': env_var('AIRFLOW_CTX_DAG_RUN_ID', ''),
        'task': env_var('AIRFLOW_CTX_TASK_ID', ''),
        'node': model.unique_id,
    }) %}
    {% do run_query("alter session set query_tag = '" ~ (tag | replace('\\', '\\\\') | replace("'", "''")) ~ "', timezone = 'UTC'") %}
{%- endmacro %}

{# Whatever comes next in the session has a tag of its own. #}
{% macro snowflake__unset_query_tag(original_query_tag) -%}
{%- endmacro %}
