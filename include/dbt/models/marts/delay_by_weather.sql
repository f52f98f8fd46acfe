with flights as (
    select * from {{ ref('stg_flights') }}
),

weather as (
    select * from {{ ref('stg_weather') }}
),

banded as (
    select
        f.departure_delay,
        f.is_cancelled,
        case
            when w.wind_mph < 5 then 'under 5 mph'
            when w.wind_mph < 15 then '5 to 15 mph'
            when w.wind_mph < 25 then '15 to 25 mph'
            when w.wind_mph >= 25 then '25 mph or more'
            else 'unknown'
        end as wind,
        case
            when w.precipitation_inches = 0 then 'dry'
            when w.precipitation_inches < 0.1 then 'under 0.1 inch'
            when w.precipitation_inches >= 0.1 then '0.1 inch or more'
            else 'unknown'
        end as precipitation,
        case
            when w.visibility_miles < 1 then 'under 1 mile'
            when w.visibility_miles < 3 then '1 to 3 miles'
            when w.visibility_miles < 10 then '3 to 10 miles'
            when w.visibility_miles >= 10 then '10 miles or more'
            else 'unknown'
        end as visibility
    from flights as f
    left join weather as w on f.origin = w.origin and f.scheduled_hour_at = w.observed_hour_at
),

by_factor as (
    {% for factor in ['wind', 'precipitation', 'visibility'] -%}
    select
        '{{ factor }}' as factor,
        b.{{ factor }} as band,
        count(*) as flights,
        cast(count_if(b.is_cancelled) as bigint) as cancelled,
        {{ share('count_if(b.is_cancelled)', 'count(*)') }} as cancelled_share,
        {{ two_decimals('avg(b.departure_delay)') }} as average_delay
    from banded as b
    group by b.{{ factor }}
    {% if not loop.last %}union all{% endif %}
    {% endfor -%}
)

select
    b.factor,
    b.band,
    b.flights,
    b.cancelled,
    b.cancelled_share,
    b.average_delay
from by_factor as b
order by b.factor, b.band
