with flights as (
    select * from {{ ref('stg_flights') }}
),

airlines as (
    select * from {{ ref('stg_airlines') }}
),

by_carrier_hour as (
    select
        f.carrier,
        f.scheduled_hour,
        count(*) as flights,
        cast(count_if(f.is_cancelled) as bigint) as cancelled,
        {{ share('count_if(f.is_cancelled)', 'count(*)') }} as cancelled_share,
        {{ two_decimals('avg(f.departure_delay)') }} as average_delay,
        {{ two_decimals('median(f.departure_delay)') }} as median_delay,
        {{ share('count_if(f.is_delayed)', 'count(f.departure_delay)') }} as delayed_share
    from flights as f
    group by f.carrier, f.scheduled_hour
)

select
    b.carrier,
    a.carrier_name,
    b.scheduled_hour,
    b.flights,
    b.cancelled,
    b.cancelled_share,
    b.average_delay,
    b.median_delay,
    b.delayed_share
from by_carrier_hour as b
left join airlines as a on b.carrier = a.carrier
order by b.carrier, b.scheduled_hour
