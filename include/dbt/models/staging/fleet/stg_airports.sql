with airports as (
    select * from {{ source('fleet', 'airports') }}
)

select
    a.faa as airport,
    a.name as airport_name,
    a.lat as latitude,
    a.lon as longitude,
    a.alt as altitude_feet,
    a.tz as utc_offset_hours,
    a.dst as daylight_saving,
    a.tzone as timezone
from airports as a
