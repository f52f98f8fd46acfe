{# A fixed number of decimals keeps a re-run identical to the byte. #}
{% macro share(part, whole) -%}
    cast({{ part }} / nullif({{ whole }}, 0) as decimal(5, 4))
{%- endmacro %}

{% macro two_decimals(expression) -%}
    cast({{ expression }} as decimal(9, 2))
{%- endmacro %}
