with airlines as (
    select * from {{ source('fleet', 'airlines') }}
)

select
    a.carrier,
    a.name as carrier_name
from airlines as a
