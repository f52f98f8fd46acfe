"""What a run waits for: ready or not, and always why."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import psycopg
import pytest
from dag_support import config_of, context_of, moment

from elt_factory.checks.run import Result, keep
from elt_factory.core.failures import AccessDeniedError, BadRequestError, PermanentError
from elt_factory.dag.factory import build_dag
from elt_factory.warehouse import audit

WEEK = ("2013-01-01T00:00:00Z", "2013-01-08T00:00:00Z")
REST = {"extract": {"type": "rest_api", "connection": "api", "auth": {"type": "api_key", "header": "X-API-Key"}}}


@contextmanager
def server(status: int = 200) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A web server that answers every GET with a status, and the headers it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({"path": self.path, **self.headers})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield served.server_address[1], seen
    finally:
        served.shutdown()
        served.server_close()


@pytest.fixture
def look(tmp_path, marks):
    """Look once, as the task does; what it said is in `told`."""

    def once(sensor: dict, tables_of=None, stage="before_extract", rest=False):
        table = {"path": "input", "primary_key": ["id"], "write_disposition": "merge", "business_date": "at"}
        changes = (REST if rest else {}) | {"tables": {"input": table}, "sensors": {stage: [sensor]}}
        dag = build_dag(config_of(tmp_path, schedule="@daily", **changes), tables_of or {})
        (task,) = [task for task in dag.tasks if task.task_id.startswith(stage)]
        return task.poke(context_of(WEEK)), task.told

    return once


def test_a_url_is_ready_when_it_answers_well(look, connect):
    with server(204) as (port, seen):
        connect("api", conn_type="http", host=f"http://127.0.0.1:{port}/base")
        ready, told = look({"http": {"connection": "api", "path": "/health"}})
    assert (ready, told) == (True, f"tiny: http://127.0.0.1:{port}/base/health returned status 204")
    assert seen[0]["path"] == "/base/health"


@pytest.mark.parametrize("status", [302, 404, 429, 503])
def test_a_url_that_answers_badly_is_waited_for(look, connect, status):
    with server(status) as (port, _):
        connect("api", conn_type="http", host="127.0.0.1", schema="http", port=port)
        ready, told = look({"http": {"connection": "api", "path": "/health"}})
    assert (ready, told) == (False, f"tiny: http://127.0.0.1:{port}/health returned status {status}")


def test_a_server_that_is_down_is_waited_for(look, connect):
    connect("api", conn_type="http", host="http://127.0.0.1:1", password="s3cret")
    ready, told = look({"http": {"connection": "api", "path": "/health"}})
    assert not ready
    assert told.startswith("tiny: http://127.0.0.1:1/health did not respond: ")
    assert "s3cret" not in told


def test_the_sources_own_server_gets_its_key_and_another_gets_none(look, connect):
    with server() as (port, seen):
        connect("api", conn_type="http", host=f"http://127.0.0.1:{port}", password="s3cret")
        connect("other", conn_type="http", host=f"http://127.0.0.1:{port}", password="0ther")
        look({"http": {"connection": "api"}}, rest=True)
        look({"http": {"connection": "other"}}, rest=True)
    assert [request.get("X-API-Key") for request in seen] == ["s3cret", None]
    assert "0ther" not in str(seen)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_waited_for(look, connect, status):
    with server(status) as (port, _):
        connect("api", conn_type="http", host=f"http://127.0.0.1:{port}", password="s3cret")
        cause = rf'tiny.http sensor: .* returned status {status}; hint: .* the connection "api"'
        with pytest.raises(AccessDeniedError, match=cause) as raised:
            look({"http": {"connection": "api"}}, rest=True)
    assert "s3cret" not in str(raised.value)


def test_a_connection_that_is_not_there_is_not_waited_for(look):
    with pytest.raises(PermanentError, match='unknown Airflow connection "nowhere"'):
        look({"http": {"connection": "nowhere"}})


def test_a_file_sensor_without_a_folder_looks_where_the_configs_own_source_is(look, connect, tmp_path):
    connect("inbox", conn_type="fs", extra={"path": str(tmp_path / "in")})
    (tmp_path / "in").mkdir()
    (tmp_path / "w.csv").touch()
    ready, told = look({"file": {"path": "w.csv"}})
    assert not ready
    assert f'no file matches "w.csv" in {tmp_path / "in"}' in told
    (tmp_path / "in" / "w.csv").touch()
    assert look({"file": {"path": "w.csv"}}) == (True, "tiny: 1 file matches w.csv")


def test_a_file_that_is_still_written_is_waited_for(look, connect, tmp_path):
    connect("inbox", conn_type="fs", extra={"path": str(tmp_path / "in")})
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "w.csv"
    file.touch()
    ready, told = look({"file": {"path": "*.csv", "unchanged_for": "2m"}})
    assert (ready, told) == (False, "tiny: 1 file matches *.csv, w.csv was written less than 2m ago")
    long_ago = time.time() - 121
    os.utime(file, (long_ago, long_ago))
    assert look({"file": {"path": "*.csv", "unchanged_for": "2m"}})[0]


def test_objects_in_a_bucket_are_waited_for(look, connect):
    from moto.server import ThreadedMotoServer

    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    try:
        address = "http://{}:{}".format(*served.get_host_and_port())
        extra = {"endpoint_url": address, "region_name": "us-east-1"}
        connect("shop", conn_type="aws", login="k", password="s3cret", extra=extra)
        sensor = {"file": {"connection": "shop", "folder": "s3://lake/in", "path": "*.csv"}}
        httpx.put(f"{address}/lake").raise_for_status()
        ready, told = look(sensor)
        assert (ready, 'no file matches "*.csv" in s3://lake/in' in told) == (False, True)
        httpx.put(f"{address}/lake/in/w.csv", content=b"a").raise_for_status()
        assert look(sensor) == (True, "tiny: 1 file matches *.csv")
    finally:
        served.stop()


def test_files_of_every_period_of_the_window_are_waited_for(look, connect, tmp_path):
    inbox = tmp_path / "inbox"
    connect("inbox", conn_type="fs", extra={"path": str(inbox)})
    sensor = {"file": {"connection": "inbox", "path": "w_%Y-%m.csv"}}

    ready, told = look(sensor)
    assert not ready
    assert f"folder {inbox} does not exist" in told

    inbox.mkdir()
    (inbox / "w_2013-02.csv").touch()
    ready, told = look(sensor)
    assert not ready
    assert f'no file matches "w_2013-01.csv" in {inbox}' in told

    (inbox / "w_2013-01.csv").touch()
    assert look(sensor) == (True, "tiny: 1 file matches w_%Y-%m.csv")


@pytest.fixture
def database(connect, tmp_path):
    file = tmp_path / "source.sqlite"
    with sqlite3.connect(file) as made:
        made.execute("create table runs (done integer, at text)")
        made.execute("insert into runs values (0, '03:00')")
    connect("db", conn_type="sqlite", host=str(file))
    return file


@pytest.mark.parametrize(
    ("query", "ready", "value"),
    [
        ("select done from runs", False, "0"),
        ("select count(*) > 0 from runs", True, "1"),
        ("select done from runs where at = '03:01'", False, "None"),
        ("select count(*) from runs where at = '03:00'", True, "1"),
    ],
)
def test_a_query_is_ready_when_its_first_value_is_true(look, database, query, ready, value):
    assert look({"sql": {"connection": "db", "query": query}}) == (ready, f"tiny: {query} returned {value}")


def test_a_database_that_is_not_there_is_waited_for(look, database):
    database.unlink()
    ready, told = look({"sql": {"connection": "db", "query": "select 1"}})
    assert not ready
    assert "tiny.sql sensor: SQLite file" in told


def test_a_query_that_cannot_work_is_not_waited_for(look, database):
    with pytest.raises(BadRequestError, match=r"tiny.sql sensor: no such table: run"):
        look({"sql": {"connection": "db", "query": "select * from run"}})


@pytest.fixture
def postgres(connect) -> None:
    server = {"host": "127.0.0.1", "port": 5432}
    try:
        psycopg.connect(**server, user="postgres", dbname="test", connect_timeout=3).close()
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            pytest.fail(f"PostgreSQL is required and not reachable: {error}")
        pytest.skip(f"PostgreSQL is not reachable: {error}")
    connect("db", conn_type="postgres", login="postgres", schema="test", **server)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("select '03:00'::time < '04:00'::time", (True, "True")),
        ("select 5 % 5", (False, "0")),
        ("select 1 where false", (False, "None")),
    ],
)
def test_a_query_is_asked_of_postgresql_too(look, postgres, query, answer):
    ready, value = answer
    assert look({"sql": {"connection": "db", "query": query}}) == (ready, f"tiny: {query} returned {value}")


def test_a_query_that_postgresql_does_not_know_is_not_waited_for(look, postgres):
    with pytest.raises(BadRequestError, match=r"tiny.sql sensor: .*nowhere"):
        look({"sql": {"connection": "db", "query": "select * from nowhere"}})


def load_row(source: str, table: str, run_id: str, business: str | None = None, **changes) -> dict:
    """A row of `_elt.loads` for the week."""
    row = dict.fromkeys(audit.TABLES["loads"]) | {
        "load_id": f"{source}-{table}-{run_id}",
        "source": source,
        "table_name": table,
        "run_id": run_id,
        "window_start": moment(WEEK[0]),
        "window_end": moment(WEEK[1]),
        "rows_loaded": 1,
        "business_date_max": business,
        "loaded_at": moment(WEEK[1]),
    }
    return row | changes


def checked(opened, source: str, table: str, run_id: str, status: str = "passed") -> None:
    result = Result("check", table, "row count", "error", status, 0, "", 0.1)
    with opened() as warehouse:
        keep(warehouse, source, run_id, f"quality.{table}", [result])


def loaded(opened, *args, **kwargs) -> None:
    with opened() as warehouse:
        warehouse.record("loads", [load_row(*args, **kwargs)])


FLEET = {"fleet": ("planes", "airlines")}


def test_another_source_is_waited_for_until_every_table_is_loaded_and_checked(look, opened):
    sensor = {"source": {"name": "fleet"}}
    ready, told = look(sensor, FLEET)
    assert not ready
    assert "fleet.planes has not loaded [2013-01-01T00:00:00Z, 2013-01-08T00:00:00Z); never loaded" in told

    for table in FLEET["fleet"]:
        loaded(opened, "fleet", table, "r1")
    ready, told = look(sensor, FLEET)
    assert not ready
    assert "fleet.planes is loaded but not checked yet in run r1" in told

    for table in FLEET["fleet"]:
        checked(opened, "fleet", table, "r1")
    ready, told = look(sensor, FLEET)
    assert ready, told


def test_a_source_whose_checks_failed_is_waited_for_until_they_pass(look, opened):
    sensor = {"source": {"name": "fleet", "tables": ["planes"]}}
    loaded(opened, "fleet", "planes", "r1")
    checked(opened, "fleet", "planes", "r1", "failed")
    ready, told = look(sensor, FLEET)
    assert not ready
    assert "fleet: checks failed in run r1: planes: row count" in told

    checked(opened, "fleet", "planes", "r1")
    ready, told = look(sensor, FLEET)
    assert ready, told


def test_a_warning_does_not_hold_up_what_waits(look, opened):
    loaded(opened, "fleet", "planes", "r1")
    checked(opened, "fleet", "planes", "r1", "warned")
    assert look({"source": {"name": "fleet", "tables": ["planes"]}})[0]


def test_a_source_that_has_loaded_a_part_of_the_window_is_waited_for(look, opened):
    loaded(opened, "fleet", "planes", "r1", window_end=moment("2013-01-07T00:00:00Z"))
    checked(opened, "fleet", "planes", "r1")
    ready, told = look({"source": {"name": "fleet", "tables": ["planes"]}})
    assert not ready
    assert "loaded up to 2013-01-07T00:00:00Z" in told


def test_a_source_whose_data_are_old_is_waited_for_however_new_the_load(look, opened):
    sensor = {"source": {"name": "fleet", "tables": ["planes"], "business_date_within": "26h"}}
    loaded(opened, "fleet", "planes", "r1", "2013-01-06T12:00:00.000000Z")
    checked(opened, "fleet", "planes", "r1")
    ready, told = look(sensor)
    assert not ready
    assert "newest business date is 2013-01-06T12:00:00.000000Z" in told

    loaded(opened, "fleet", "planes", "r2", "2013-01-07T12:00:00.000000Z")
    checked(opened, "fleet", "planes", "r2")
    assert look(sensor)[0]


def test_a_source_of_which_no_table_is_known_is_never_ready(look, opened):
    ready, told = look({"source": {"name": "fleet"}}, {})
    assert (ready, told) == (False, "tiny: unknown source fleet; check its config")


def test_a_fresh_table_needs_this_windows_load_and_a_new_business_date(look, opened):
    sensor = {"freshness": {"table": "input", "business_date_within": "26h"}}
    ready, told = look(sensor, stage="before_transform")
    assert not ready
    assert "tiny.input has not loaded" in told

    loaded(opened, "tiny", "input", "r1", "2013-01-06T12:00:00.000000Z")
    ready, told = look(sensor, stage="before_transform")
    assert not ready
    assert "tiny.input's newest business date is 2013-01-06T12:00:00.000000Z" in told

    loaded(opened, "tiny", "input", "r2", "2013-01-07T12:00:00.000000Z")
    ready, told = look(sensor, stage="before_transform")
    assert ready, told
