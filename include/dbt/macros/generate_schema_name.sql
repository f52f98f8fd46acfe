{# dbt would prefix the target's schema (main_marts): the warehouse, the checks and the docs all say plain `marts`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
