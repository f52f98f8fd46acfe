"""The first week of 2013 through the whole line, on real data; and what each source may do wrong."""

import gzip
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import duckdb
import psycopg
import pytest
from leaks import Search, forms, marked
from week_support import COUNTS, DAGS, MARTS, WEEK, failures

ROOT = Path(__file__).parents[2]
POSTGRES = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}
pytestmark = pytest.mark.timeout(600)
API_KEY = "nyc-flights-demo"
SECRETS = {
    "password of flights_api": API_KEY,
    **{
        name: marked(name.replace(" ", "-"))
        for name in (
            "extra of flights_api",
            "password of weather_files",
            "extra of weather_files",
            "password of fleet_db",
            "password of warehouse",
        )
    },
}


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
    # what a connection may hold in addition to what the demo needs of it
    sources = folder / "sources"
    line.connect(
        "flights_api",
        conn_type="http",
        host=f"http://127.0.0.1:{demo_api}",
        login="reader",
        password=API_KEY,
        extra={"client_secret": SECRETS["extra of flights_api"]},
    )
    line.connect(
        "weather_files",
        conn_type="fs",
        password=SECRETS["password of weather_files"],
        extra={"path": str(sources / "weather"), "api_token": SECRETS["extra of weather_files"]},
    )
    line.connect(
        "fleet_db",
        conn_type="sqlite",
        host=str(sources / "fleet.sqlite"),
        password=SECRETS["password of fleet_db"],
    )
    warehouse = str(line.warehouse_file)
    line.connect("warehouse", conn_type="duckdb", host=warehouse, password=SECRETS["password of warehouse"])
    with pytest.MonkeyPatch.context() as patch:
        # what is left in temporary files is searched, too
        (folder / "temporary").mkdir()
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        yield line, {name: line.run(name, **WEEK) for name in DAGS}


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


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(SECRETS)


def test_no_secret_is_in_a_log_a_file_a_landing_or_the_metadata(week, search):
    line, _ = week
    metadata = Path(os.environ["AIRFLOW_HOME"])
    assert (metadata / "airflow.db").exists()
    assert list(line.folder.rglob("*.parquet"))
    assert search.files([line.folder, metadata, ROOT / "include" / "dbt"]) == []


def test_no_secret_is_in_a_table_of_the_warehouse(week, search):
    line, _ = week
    assert search.database(line.warehouse_file) == []


def test_no_secret_is_in_what_the_page_answers_or_copies(week, search, login, monkeypatch):
    from elt_factory.ui import picture, routes, source

    line, _ = week
    keeper = picture.PictureKeeper().picture
    for module in (routes, source):
        monkeypatch.setattr(module, "current_picture", keeper)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    with line.using():
        answers = {path: login.get(path) for path in pages()}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    assert [leak for path, answer in answers.items() for leak in search.text(path, answer.content)] == []
    # the page reads a copy next to the warehouse
    [copy] = line.folder.glob("warehouse.duckdb.audit")
    assert search.files([copy.parent]) == []


# what an address of the page does not answer without
ASKED = {"backfill": "?first=2013-01-01&last=2013-01-07"}


def pages() -> list[str]:
    """Every address of the page that is read, of each source and of one of its tables."""
    from elt_factory.ui.app import app

    found = [route.path for route in app.routes if "GET" in route.methods and "static" not in route.path]
    return [
        path.replace("{name}", name).replace("{table}", table) + ASKED.get(path.rpartition("/")[2], "")
        for path in dict.fromkeys(found)
        for name, table in (name.split(".") for name in COUNTS)
    ]


@pytest.fixture
def login(airflow_db):
    """The page's API for a user who may see everything."""
    from airflow.api_fastapi.app import create_auth_manager, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    from elt_factory.ui.app import app

    create_auth_manager().init()
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="admin", role="admin"))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def page(airflow_db, monkeypatch):
    """Give what the Sources page says of a line: its rows by table, and the files that are broken."""
    from airflow.jobs.job import Job
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    from elt_factory.ui import estate, judged, picture

    def of(line):
        # a DAG that is only tested is paused
        with create_session() as session:
            session.query(DagModel).filter(DagModel.dag_id.in_(DAGS)).update({"is_paused": False})
            alive = Job(job_type="SchedulerJob", state="running", latest_heartbeat=datetime.now(UTC))
            session.add(alive)
            session.flush()
            job = alive.id
        estate._readers.clear()
        keeper = judged.AuditKeeper()
        monkeypatch.setattr(picture, "table_states", lambda: judged.table_states(keeper))
        with line.using():
            made = picture.PictureKeeper().made_now()
        with create_session() as session:
            session.query(Job).filter(Job.id == job).delete()
        return {f"{row.source}.{row.table}": row for row in made.all_rows()}, {one.file for one in made.broken}

    return of


def test_no_secret_is_in_the_names_that_lineage_events_have(week, search):
    from elt_factory.config.loading import load_folder
    from elt_factory.dag.lineage import landing_name, source_name, warehouse_dataset

    line, _ = week
    with line.using():
        for item in load_folder(ROOT / "dag_configs").configs:
            for table in item.config.all_tables:
                names = [source_name(item.config, table), landing_name(item.config, table)]
                assert search.text(table, repr([*names, warehouse_dataset(item.config.name, table)])) == []


def test_a_planted_leak_is_found_in_every_place_and_notation(search, tmp_path):
    secret = SECRETS["extra of weather_files"]
    for number, form in enumerate(sorted(forms(secret))):
        (tmp_path / f"{number}.log").write_bytes(b"before " + form + b" after")
    assert len(search.files([tmp_path])) == len(forms(secret)) >= 8
    planted = tmp_path / "planted"
    planted.mkdir()
    with closing(sqlite3.connect(planted / "airflow.db")) as metadata:
        metadata.execute("create table xcom as select ? as value", [f"given {secret}"])
        metadata.commit()
    (planted / "run.log.gz").write_bytes(gzip.compress(f"with {secret}".encode()))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as opened:
        opened.execute("create table loads as select ? as run_id from range(5000)", [secret])
        opened.execute(f"copy loads to '{planted}/data.parquet'")
    name = "extra of weather_files in "
    places = [planted / "airflow.db", f"{planted / 'data.parquet'} (rows)", f"{planted / 'run.log.gz'} (unpacked)"]
    assert set(search.files([planted])) >= {f"{name}{place}" for place in places}
    assert search.database(tmp_path / "warehouse.duckdb") == [f"{name}warehouse.duckdb main.loads"]


def test_a_search_leaves_a_database_that_is_open_its_locks(search, tmp_path):
    file = tmp_path / "airflow.db"
    leave = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('create table other (n)').connection.close()"
    with closing(sqlite3.connect(file, isolation_level=None)) as metadata:
        metadata.execute("pragma journal_mode = wal")
        metadata.execute("create table runs (n)")
        assert search.files([tmp_path]) == []
        subprocess.run([sys.executable, "-c", leave, str(file)], check=True)
        metadata.execute("insert into runs values (1)")
        with closing(sqlite3.connect(file)) as again:
            assert again.execute("select n from runs").fetchall() == [(1,)]


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


def test_one_broken_source_leaves_the_others_running_and_the_page_says_which(loading, page):
    shutil.rmtree(loading.folder / "sources" / "weather")
    weather = loading.run("weather", **WEEK)
    detail = failures(weather)["tables.weather.extract"]
    assert detail.startswith(f"weather.weather: folder {loading.folder}/sources/weather does not exist")
    assert loading.run("fleet", **WEEK).state == "success"
    assert loading.run("flights", **WEEK).state == "success"
    assert loading.query("select distinct source from _elt.loads order by 1") == [("fleet",), ("flights",)]

    configs = Path(loading.environment["ELT_PROJECT"]) / "dag_configs"
    flights = configs / "flights.yaml"
    flights.write_text(flights.read_text().replace("end_date: 2013-01-07", ""))  # now every week since then is due
    (configs / "torn.yaml").write_text("name: torn\nschedul: daily\n")
    rows, broken = page(loading)
    assert {table: row.state for table, row in rows.items() if row.table} == {
        "fleet.airlines": "fresh",
        "fleet.airports": "fresh",
        "fleet.planes": "fresh",
        "flights.flights": "late",
        "weather.weather": "failing",
    }
    assert broken == {"torn.yaml"}
    assert f"folder {loading.folder}/sources/weather does not exist" in rows["weather.weather"].sentence


def test_the_next_run_heals_what_a_missing_folder_broke(loading):
    here, away = loading.folder / "sources" / "weather", loading.folder / "away"
    here.rename(away)
    assert loading.run("weather", **WEEK).state == "failed"
    away.rename(here)
    assert loading.run("weather", **WEEK).state == "success"
    assert loading.one("select count(*) from weather.weather") == COUNTS["weather.weather"]


def test_broken_lines_and_broken_types_are_kept_as_rejects_and_the_rest_is_loaded(loading, page):
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
    row = page(loading)[0]["weather.weather"]
    assert (row.state, row.open_rejects, row.rows_rejected, row.rows_read) == ("rejecting", 2, 2, 2_228)
    ((status, failing),) = loading.query(
        "select status, failing_rows from _elt.quality_results where check_name = 'no rejects'"
    )
    assert (status, failing) == ("warned", 2)
