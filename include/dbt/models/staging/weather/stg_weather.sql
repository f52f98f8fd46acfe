with weather as (
    select * from {{ source('weather', 'weather') }}
)

select
    w.origin,
    w.time_hour as observed_hour_at,
    w.temp as temperature_f,
    w.dewp as dew_point_f,
    w.humid as humidity,
    w.wind_dir as wind_direction,
    -- The strongest wind ever measured is 254 mph; the year has one reading of 1,048, a faulty one.
    case when w.wind_speed <= 254 then w.wind_speed end as wind_mph,
    case when w.wind_gust <= 254 then w.wind_gust end as gust_mph,
    w.precip as precipitation_inches,
    w.pressure as pressure_mbar,
    w.visib as visibility_miles
from weather as w
