"""The dbt project on DuckDB: what passes, what warns, what fails, and that a re-run changes nothing."""

WARNINGS = {
    "stg_airports_timezone_is_known",
    "stg_flights_destination_is_a_known_airport",
    "stg_flights_tail_number_is_a_known_plane",
}
MODELS = {
    "flights": {"stg_flights"},
    "weather": {"stg_weather"},
    "fleet": {"stg_airlines", "stg_airports", "stg_planes"},
    "departures": {"delay_by_carrier_hour", "delay_by_weather", "fleet_age"},
}


def test_everything_passes_but_the_three_rules_the_real_data_breaks(built):
    assert set(built.statuses.values()) == {"success", "pass", "warn"}
    assert {name for name, status in built.statuses.items() if status == "warn"} == WARNINGS


def test_the_warnings_are_about_four_airports_three_timezones_and_the_planes_in_no_registry(built):
    absent = {
        "airports": "select list_sort(list(distinct destination)) from staging.stg_flights "
        "where destination not in (select airport from staging.stg_airports)",
        "timezones": "select count(*) from staging.stg_airports where timezone is null",
        "planes": "select count(distinct tail_number) from staging.stg_flights "
        "where tail_number not in (select tail_number from staging.stg_planes)",
    }
    found = {name: built.warehouse.execute(sql)[0][0] for name, sql in absent.items()}

    planes = {"week": 319, "year": 721}[built.period]
    assert found == {"airports": ["BQN", "PSE", "SJU", "STT"], "timezones": 3, "planes": planes}


def test_a_second_build_leaves_identical_rows(built):
    before = built.warehouse.marts()
    built.warehouse.statuses("run")

    assert built.warehouse.marts() == before


def test_marts_do_not_depend_on_the_order_rows_were_loaded_in(loaded):
    loaded.statuses("run")
    before = loaded.marts()
    for table in ("flights.flights", "weather.weather", "fleet.planes"):
        loaded.execute(f"create or replace table {table} as from {table} order by random()")
    loaded.statuses("run")

    assert loaded.marts() == before


def test_each_source_transforms_and_is_tested_while_no_other_model_exists(loaded):
    for tag in ("flights", "weather", "fleet"):
        statuses = loaded.statuses("build", "--select", f"tag:{tag}")
        loaded.execute("drop schema staging cascade")

        assert set(statuses.values()) <= {"success", "pass", "warn"}, tag
        assert {name for name, status in statuses.items() if status == "success"} == MODELS[tag]


def test_the_departures_tag_holds_the_marts_and_brings_the_views_below_it(loaded):
    statuses = loaded.statuses("run", "--select", "+tag:departures")

    views_needed = {"stg_flights", "stg_weather", "stg_planes", "stg_airlines"}
    assert set(statuses.values()) == {"success"}
    assert set(statuses) == MODELS["departures"] | views_needed


def test_an_hour_of_weather_loaded_twice_fails_the_staging_test_and_builds_no_mart_on_it(loaded):
    loaded.execute("insert into weather.weather from weather.weather limit 1")
    statuses = loaded.statuses("build")

    assert statuses["unique_together_stg_weather_origin__observed_hour_at"] == "fail"
    assert statuses["delay_by_weather"] == "skipped"
    assert statuses["delay_by_carrier_hour"] == "success"


def test_a_mart_that_counts_a_flight_twice_fails(loaded):
    loaded.statuses("run")
    for mart in MODELS["departures"]:
        loaded.execute(f"update marts.{mart} set flights = flights + 1 where rowid = 0")
    statuses = loaded.statuses("test", "--select", "tag:departures", "--exclude-resource-type", "unit_test")

    assert {name for name, status in statuses.items() if status == "fail"} == {
        "delay_by_carrier_hour_counts_every_flight_once",
        "delay_by_weather_counts_every_flight_once_per_factor",
        "fleet_age_counts_every_flight_once",
    }


def test_only_a_source_whose_last_load_is_old_is_stale(loaded):
    loaded.execute("update weather.weather set _loaded_at = _loaded_at - interval 3 days")

    stale = {"weather": "error", "flights": "pass", "planes": "pass", "airlines": "pass", "airports": "pass"}
    assert loaded.statuses("source", "freshness") == stale


def test_every_column_in_the_warehouse_is_described_and_no_other(built):
    manifest = built.warehouse.dbt("parse").result
    nodes = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    described = {
        f"{node.schema}.{node.name}.{name}": bool(column.description)
        for node in [*nodes, *manifest.sources.values()]
        for name, column in node.columns.items()
    }
    columns = "select table_schema || '.' || table_name || '.' || column_name from information_schema.columns"

    assert set(described) == {name for (name,) in built.warehouse.execute(columns)}
    assert all(described.values())
