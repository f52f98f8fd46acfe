with planes as (
    select * from {{ source('fleet', 'planes') }}
)

select
    p.tailnum as tail_number,
    p.year as built_year,
    p.type as plane_type,
    p.manufacturer,
    p.model,
    p.engines,
    p.engine as engine_type,
    p.seats,
    p.speed as cruising_mph
from planes as p
