with flights as (
    select * from {{ ref('stg_flights') }}
),

planes as (
    select * from {{ ref('stg_planes') }}
),

airlines as (
    select * from {{ ref('stg_airlines') }}
),

flown as (
    select
        f.carrier,
        f.tail_number,
        f.departure_delay,
        f.is_cancelled,
        p.seats,
        extract(year from f.departure_date) - p.built_year as age
    from flights as f
    left join planes as p on f.tail_number = p.tail_number
),

per_carrier as (
    select
        f.carrier,
        count(*) as flights,
        cast(count_if(f.is_cancelled) as bigint) as cancelled,
        cast(sum(case when not f.is_cancelled then f.seats end) as bigint) as seats_flown,
        {{ two_decimals('avg(case when f.age < 10 then f.departure_delay end)') }} as average_delay_under_10_years,
        {{ two_decimals('avg(case when f.age >= 10 and f.age < 20 then f.departure_delay end)') }} as average_delay_10_to_19_years,
        {{ two_decimals('avg(case when f.age >= 20 then f.departure_delay end)') }} as average_delay_20_years_or_more
    from flown as f
    group by f.carrier
),

-- Age is averaged over planes: over flights, a plane flown twice as often would count as two.
carrier_planes as (
    select f.carrier, f.tail_number, max(f.age) as age
    from flown as f
    where f.tail_number is not null
    group by f.carrier, f.tail_number
),

fleets as (
    select
        p.carrier,
        count(*) as planes,
        {{ share('count(p.age)', 'count(*)') }} as known_age_share,
        {{ two_decimals('avg(p.age)') }} as average_age
    from carrier_planes as p
    group by p.carrier
)

select
    c.carrier,
    a.carrier_name,
    c.flights,
    c.cancelled,
    coalesce(p.planes, 0) as planes,
    p.known_age_share,
    p.average_age,
    c.seats_flown,
    c.average_delay_under_10_years,
    c.average_delay_10_to_19_years,
    c.average_delay_20_years_or_more
from per_carrier as c
left join fleets as p on c.carrier = p.carrier
left join airlines as a on c.carrier = a.carrier
order by c.carrier
