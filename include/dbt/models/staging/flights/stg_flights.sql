with flights as (
    select * from {{ source('flights', 'flights') }}
)

select
    f.flight_id,
    f.carrier,
    f.flight as flight_number,
    f.tail_number,
    f.origin,
    f.dest as destination,
    {{ date_from_parts('f.year', 'f.month', 'f.day') }} as departure_date,
    f.hour as scheduled_hour,
    f.time_hour as scheduled_hour_at,
    {{ dbt.dateadd('minute', 'f.minute', 'f.time_hour') }} as scheduled_departure_at,
    f.dep_delay as departure_delay,
    f.arr_delay as arrival_delay,
    f.air_time as air_minutes,
    f.distance as distance_miles,
    f.dep_time is null as is_cancelled,
    f.dep_delay > 15 as is_delayed,
    f.updated_at
from flights as f
