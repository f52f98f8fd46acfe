-- Compared with the source and not with stg_flights: a test with two models as parents would also run after
-- stg_flights alone, when this mart is not built yet.
with mart as (
    select sum(m.flights) as flights, sum(m.cancelled) as cancelled
    from {{ ref('fleet_age') }} as m
),

loaded as (
    select count(*) as flights, count_if(f.dep_time is null) as cancelled
    from {{ source('flights', 'flights') }} as f
)

select mart.flights, loaded.flights as loaded_flights, mart.cancelled, loaded.cancelled as loaded_cancelled
from mart
cross join loaded
where coalesce(mart.flights, 0) <> loaded.flights or coalesce(mart.cancelled, 0) <> loaded.cancelled
