{# dbt.date takes columns on DuckDB but only literals on Snowflake. #}
{% macro date_from_parts(year, month, day) -%}
    {{ adapter.dispatch('date_from_parts', 'elt_factory')(year, month, day) }}
{%- endmacro %}

{% macro default__date_from_parts(year, month, day) -%}
    date_from_parts({{ year }}, {{ month }}, {{ day }})
{%- endmacro %}

{% macro duckdb__date_from_parts(year, month, day) -%}
    make_date({{ year }}, {{ month }}, {{ day }})
{%- endmacro %}
