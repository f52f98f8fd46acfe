"""The first week of 2013 through the whole line, on real data; and what each source may do wrong."""

import hashlib
import os
import shutil
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from week_support import COUNTS, DAGS, MARTS, WEEK, failures

POSTGRES = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}
pytestmark = pytest.mark.timeout(600)


def counts(line) -> dict[str, int]:
    return {table: line.one(f"select count(*) from {table}") for table in COUNTS}


def checksums(line) -> dict[str, str]:
    """What every table and mart holds, but for when and in which run it was loaded."""
    return {table: checksum(line, table) for table in (*COUNTS, *MARTS)}


def checksum(line, table: str) -> str:
    rows = line.query(f"select columns(lambda name: name <> '_loaded_at') from {table} order by all")
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@pytest.fixture(scope="module")
def week(lines, demo_sources, demo_api, tmp_path_factory):
    """A line on which the week was run, and how each run ended."""
    folder = tmp_path_factory.mktemp("week")
    shutil.copytree(demo_sources, folder / "sources")
    line = lines(folder, demo_api)
    return line, {name: line.run(name, **WEEK) for name in DAGS}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Make a copy of the project whose configs only load: no waiting, no dbt, no second tries."""
    checkout = Path(__file__).parents[2]

    def make(**changes: tuple[str, str]) -> Path:
        folder = tmp_path_factory.mktemp("project")
        (folder / "dag_configs").mkdir()
        (folder / "include").symlink_to(checkout / "include")
        for name in ("_defaults", "fleet", "weather", "flights"):
            text = (checkout / "dag_configs" / f"{name}.yaml").read_text()
            text = text.replace("count: 3", "count: 0")
            for old, new in changes.values():
                text = text.replace(old, new)
            (folder / "dag_configs" / f"{name}.yaml").write_text(without(text, "sensors", "transform"))
        return folder

    return make


def without(text: str, *keys: str) -> str:
    """YAML without some of its top-level keys."""
    kept, dropping = [], False
    for text_line in text.splitlines():
        if text_line and not text_line.startswith((" ", "#")):
            dropping = text_line.split(":")[0] in keys
        if not dropping:
            kept.append(text_line)
    return "\n".join(kept) + "\n"


@pytest.fixture
def loading(line, project):
    """A line over configs that only load."""
    line.environment["ELT_PROJECT"] = str(project())
    return line


def test_every_dag_runs_green(week):
    _, outcomes = week
    assert {name: (outcome.state, failures(outcome)) for name, outcome in outcomes.items()} == {
        name: ("success", {}) for name in DAGS
    }


def test_the_week_has_the_rows_that_are_in_the_data(week):
    line, _ = week
    assert counts(line) == COUNTS


def test_flights_are_those_of_the_local_days(week):
    line, _ = week
    first, last = line.query("select min(time_hour), max(time_hour) from flights.flights")[0]
    assert first.isoformat() == "2013-01-01T10:00:00+00:00"
    assert last.isoformat() == "2013-01-08T04:00:00+00:00"


def test_every_load_accounts_for_every_row(week):
    line, _ = week
    loads = line.query(
        "select source || '.' || table_name, rows_read, rows_loaded, rows_rejected, rows_duplicate, "
        "window_start::varchar, window_end::varchar from _elt.loads"
    )
    assert {name: read for name, read, *_ in loads} == COUNTS
    for _, read, loaded, rejected, duplicate, start, end in loads:
        assert read == loaded + rejected + duplicate
        assert (start, end) == ("2013-01-01 05:00:00+00", "2013-01-08 05:00:00+00")


def test_marts_answer(week):
    line, _ = week
    for mart in MARTS:
        assert line.one(f"select count(*) from {mart}") > 0
    assert line.one("select sum(flights) from marts.delay_by_carrier_hour") == COUNTS["flights.flights"]


def test_personal_data_are_hashes_that_still_join(week):
    line, _ = week
    hashed = "select count(*) from fleet.planes where not regexp_full_match(tailnum, '[0-9a-f]{64}')"
    assert line.one(hashed) == 0
    joined = "select count(*) from flights.flights join fleet.planes on tail_number = tailnum"
    assert line.one(joined) > 5_000


def test_every_check_is_kept_and_none_fails(week):
    line, _ = week
    kept = dict(line.query("select kind || ' ' || status, count(*) from _elt.quality_results group by all"))
    assert not [status for status in kept if status.endswith("failed")]
    assert kept["dbt_model passed"] == 8
    assert kept["dbt_test passed"] > 40
    assert kept["check passed"] >= 5


def test_the_key_of_the_source_is_nowhere_in_the_warehouse(week):
    line, _ = week
    assert b"nyc-flights-demo" not in line.warehouse_file.read_bytes()


def test_a_second_run_changes_no_row(week):
    line, _ = week
    before = checksums(line)
    outcomes = [line.run(name, **WEEK) for name in DAGS]
    assert [outcome.state for outcome in outcomes] == ["success"] * 4
    assert counts(line) == COUNTS
    assert checksums(line) == before
    assert line.one("select count(*) from _elt.loads") == len(COUNTS)


@pytest.fixture
def fleet_in_postgres():
    """The fleet in a schema of its own in PostgreSQL; the connection's fields."""
    from demo.fleet import lay_fleet

    try:
        database = psycopg.connect(**POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            pytest.fail(f"PostgreSQL is required and not reachable: {error}")
        pytest.skip(f"PostgreSQL is not reachable: {error}")
    schema = f"fleet_{uuid4().hex[:12]}"
    with database:
        try:
            lay_fleet(Path(), "postgresql://postgres@127.0.0.1:5432/test", schema)
            # the schema is found as any user's own is: by the search path
            yield {
                "conn_type": "postgres",
                "host": "127.0.0.1",
                "port": 5432,
                "login": "postgres",
                "schema": "test",
                "extra": {"options": f"-c search_path={schema}"},
            }
        finally:
            database.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_the_fleet_comes_from_postgresql_as_from_sqlite(week, line, fleet_in_postgres):
    line.connect("fleet_db", **fleet_in_postgres)
    outcome = line.run("fleet", **WEEK)
    assert (outcome.state, failures(outcome)) == ("success", {})
    sqlite, _ = week
    for table in (table for table in COUNTS if table.startswith("fleet.")):
        assert line.one(f"select count(*) from {table}") == COUNTS[table]
        assert checksum(line, table) == checksum(sqlite, table)


def test_a_wrong_key_fails_at_once_and_names_source_and_table(loading, demo_api, capsys):
    loading.connect("flights_api", conn_type="http", host=f"http://127.0.0.1:{demo_api}", password="wr0ng-key")
    folder = Path(loading.environment["ELT_PROJECT"])
    (folder / "dag_configs" / "_defaults.yaml").write_text(
        "timezone: America/New_York\nstart_date: 2013-01-01\nretries: {count: 3}\n"
    )
    outcome = loading.run("flights", **WEEK)
    detail = failures(outcome)["tables.flights.extract"]
    assert detail.startswith("flights.flights: GET http://127.0.0.1")
    assert "401" in detail
    assert 'hint: check the login and password of the connection "flights_api"' in detail
    assert loading.tries(outcome)["tables.flights.extract"] == 1
    log = capsys.readouterr()
    assert detail in log.out
    assert "wr0ng-key" not in loading.screen + loading.log_file.read_text() + log.out + log.err


def test_one_broken_source_leaves_the_others_running(loading):
    shutil.rmtree(loading.folder / "sources" / "weather")
    weather = loading.run("weather", **WEEK)
    detail = failures(weather)["tables.weather.extract"]
    assert detail.startswith(f"weather.weather: folder {loading.folder}/sources/weather does not exist")
    assert loading.run("fleet", **WEEK).state == "success"
    assert loading.run("flights", **WEEK).state == "success"
    assert loading.query("select distinct source from _elt.loads order by 1") == [("fleet",), ("flights",)]


def test_the_next_run_heals_what_a_missing_folder_broke(loading):
    here, away = loading.folder / "sources" / "weather", loading.folder / "away"
    here.rename(away)
    assert loading.run("weather", **WEEK).state == "failed"
    away.rename(here)
    assert loading.run("weather", **WEEK).state == "success"
    assert loading.one("select count(*) from weather.weather") == COUNTS["weather.weather"]


def test_broken_lines_and_broken_types_are_kept_as_rejects_and_the_rest_is_loaded(loading):
    file = loading.folder / "sources" / "weather" / "weather_2013-01.csv"
    good = file.read_text().splitlines()
    short = good[1].rsplit(",", 3)[0]
    columns = good[0].split(",")
    wrong = good[2].split(",")
    wrong[columns.index("temp")] = "warm"
    wrong[columns.index("origin")] = "LGA"
    wrong[columns.index("time_hour")] = "2013-01-31T23:30:00Z"
    file.write_text("\n".join([*good, short, ",".join(wrong)]) + "\n")

    outcome = loading.run("weather", **WEEK)
    assert outcome.state == "success"
    assert loading.one("select count(*) from weather.weather") == COUNTS["weather.weather"]
    rejects = loading.query("select source, table_name, reason, record from _elt.rejects")
    assert len(rejects) == 2
    assert {(source, table) for source, table, *_ in rejects} == {("weather", "weather")}
    (typed,) = [(reason, record) for *_, reason, record in rejects if "warm" in record]
    assert "temp" in typed[0]
    ((read, loaded, rejected, duplicate),) = loading.query(
        "select rows_read, rows_loaded, rows_rejected, rows_duplicate from _elt.loads"
    )
    assert (read, loaded, rejected, duplicate) == (2_228, 2_226, 2, 0)
    ((status, failing),) = loading.query(
        "select status, failing_rows from _elt.quality_results where check_name = 'no rejects'"
    )
    assert (status, failing) == ("warned", 2)
