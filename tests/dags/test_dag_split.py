"""A table that several tasks of a run read: each part is tried again alone, and all are committed together."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from elt_factory.core.failures import LandingError
from elt_factory.dag.parts import landed_parts
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience

sys.path.append(str(Path(__file__).parents[1] / "extract"))
from extract_support import Reply, reply, serving

pytestmark = pytest.mark.timeout(300)
DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
ORDERS = """
name: tiny
start_date: 2012-12-01
retries: {count: 1, delay: 1s}
extract: {type: sql, connection: shop}
tables:
  orders: {primary_key: [id], split: {tasks: 4, pool: shop_reads}, rejects: {max: 50%}}
"""
EVENTS = f"""{ORDERS}
  events:
    primary_key: [key]
    split: {{tasks: 3, by: cursor}}
    incremental: {{cursor: seen}}
    write_disposition: merge
"""
ROWS, LATER = 1000, 600


@pytest.fixture
def shop() -> Iterator[tuple[psycopg.Connection, dict[str, object]]]:
    """A database with 1,000 orders, and what a connection to it is called."""
    server = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "password": "unused", "dbname": "test"}
    try:
        database = psycopg.connect(**server, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL to test with: {error}")
    schema = f"split_{uuid.uuid4().hex[:10]}"
    with database:
        database.execute(f"CREATE SCHEMA {schema}")
        database.execute(f"SET search_path = {schema}")
        database.execute(
            f"CREATE TABLE orders AS SELECT g AS id, 'order ' || g AS name FROM generate_series(1, {ROWS}) g"
        )
        database.execute(f"DELETE FROM orders WHERE id = {LATER}")
        database.execute(
            "CREATE TABLE events AS SELECT md5(g::text)::uuid AS key, 'first' AS v, "
            "timestamptz '2013-01-01 00:00+00' + g * interval '1 minute' AS seen FROM generate_series(1, 90) g"
        )
        options = {"options": f"-c search_path={schema}"}
        yield (
            database,
            {
                "conn_type": "postgres",
                "host": "127.0.0.1",
                "port": 5432,
                "login": "postgres",
                "password": "unused",
                "schema": "test",
                "extra": options,
            },
        )
        database.execute(f"DROP SCHEMA {schema} CASCADE")


def test_a_part_whose_database_connection_ends_is_read_again_alone_and_all_are_loaded_once(tiny, shop, monkeypatch):
    from elt_factory.sources.sql import postgres

    database, connection = shop
    line = tiny(EVENTS)
    line.connect("shop", **connection)
    copied, reads, pieces = postgres.copied, [], []

    def broken_once(opened, statement, file, progress, growing=None):
        text = statement.as_string(opened)
        if '"seen" >=' in text:
            pieces.append(text)
        if '"id"' not in text.partition("WHERE ")[2]:
            return copied(opened, statement, file, progress, growing)
        reads.append(text.partition("WHERE ")[2])
        if reads.count(reads[-1]) == 1 and '"id" >= 501' in text:
            # a row comes while others are being read: the ranges stay those of the split
            database.execute(f"INSERT INTO orders VALUES ({LATER}, 'later')")
            database.execute("SELECT pg_terminate_backend(%s)", [opened.info.backend_pid])
        return copied(opened, statement, file, progress, growing)

    monkeypatch.setattr(postgres, "copied", broken_once)
    outcome = line.run("tiny", **DAY)
    states = {task.task_id: task.state for task in outcome.tasks}
    assert outcome.state == "success", outcome.tasks
    assert [states[f"tables.orders.extract[{number}]"] for number in range(4)] == ["success"] * 4
    assert "↻ tables.orders.extract[2]" in line.screen
    # the one that failed was read twice, in the same range, and no other was
    assert sorted(reads.count(one) for one in set(reads)) == [1, 1, 1, 2]
    counts = "select rows_read, rows_loaded, rows_rejected, rows_duplicate from _elt.loads where table_name ="
    assert line.query(f"{counts} 'orders'") == [(ROWS, ROWS, 0, 0)]
    assert line.query("select count(*), count(distinct id), sum(id) from tiny.orders") == [
        (ROWS, ROWS, ROWS * (ROWS + 1) // 2)
    ]
    assert len(pieces) == 3
    assert line.query(f"{counts} 'events'") == [(90, 90, 0, 0)]
    assert line.query("select count(*), count(distinct key) from tiny.events") == [(90, 90)]
    assert line.query("select count(*) from _elt.loads") == [(2,)]


def test_the_extract_task_is_mapped_over_the_split_and_bounded_by_the_pool(tmp_path):
    from airflow.serialization.serialized_objects import DagSerialization
    from dag_support import config_of

    from elt_factory.dag.factory import build_dag

    config = config_of(tmp_path, ORDERS)
    dag = build_dag(config, {})
    assert sorted(dag.task_ids) == [
        "quality.orders",
        "tables.orders.extract",
        "tables.orders.load",
        "tables.orders.split",
    ]
    text = json.dumps(DagSerialization.serialize_dag(dag))
    # the config is the DAG's, and not stored with each task
    assert "primary_key" not in text.replace("primary_key: [", "")
    stored = DagSerialization.deserialize_dag(json.loads(text))
    extract = stored.get_task("tables.orders.extract")
    assert extract.is_mapped
    assert extract.pool == "shop_reads"
    assert extract.retries == 1
    assert stored.get_task("tables.orders.split").pool == "default_pool"
    assert extract.upstream_task_ids == {"tables.orders.split"}
    assert extract.downstream_task_ids == {"tables.orders.load"}
    assert json.dumps(DagSerialization.serialize_dag(build_dag(config, {}))) == text


def test_parts_are_not_landed_by_two_configs(tmp_path):
    from dag_support import config_of

    from elt_factory.extract.request import CursorRange
    from elt_factory.landing.attempt import Attempt
    from elt_factory.landing.split import SplitLoad, config_digest

    config = config_of(tmp_path, ORDERS)
    split = SplitLoad(Attempt.begin(), None, CursorRange(), [], config_digest(config, "orders"))
    # what no landing depends on may be changed for a retry
    for same in (ORDERS, ORDERS.replace("max: 50%", "max: 90%"), ORDERS.replace("tasks: 4", "tasks: 2")):
        split.check_config(config_of(tmp_path, same), "orders")
    hashed = ORDERS.replace("primary_key", "columns: {name: {pii: hash}}, primary_key")
    for other in (hashed, f"{ORDERS}timezone: Europe/Paris\n"):
        with pytest.raises(LandingError, match=r"tiny\.orders: the config has changed .* clear the task split"):
            split.check_config(config_of(tmp_path, other), "orders")


def test_what_is_said_of_a_part_fits_into_the_database_of_airflow():
    from elt_factory.dag.splitting import shown

    assert shown("id below 7") == "id below 7"
    long = shown(f"3 files, 1.0 MB, from {'folder/' * 50}last\udcff.csv")
    assert len(long) == 200
    assert long.startswith("3 files, 1.0 MB, from folder/")
    assert long.endswith("/last?.csv")


PARTS = [{"part": number, "says": "", "attempt": "a" * 12} for number in range(3)]


def landed(number: int, attempt: str = "a" * 12 + "/b") -> dict[str, object]:
    return {"part": number, "attempt": f"{attempt}{number}"}


def test_the_load_takes_the_parts_of_the_newest_split_in_their_order():
    earlier = [landed(0, "0" * 12 + "/"), landed(3, "0" * 12 + "/"), None]
    attempt, attempts = landed_parts(PARTS, [landed(2), landed(0), *earlier, landed(1)])
    assert attempt == "a" * 12
    assert attempts == [f"{attempt}/b{number}" for number in range(3)]
    # Airflow gives what a single mapped task has returned without a list
    assert landed_parts(PARTS[:1], landed(0)) == (attempt, [f"{attempt}/b0"])


@pytest.mark.parametrize("told", [None, [], [landed(0), landed(2)], [landed(0), landed(1, "0" * 12 + "/"), landed(2)]])
def test_a_part_that_is_missing_fails_the_load_by_its_number(told):
    with pytest.raises(LandingError, match=r"of 3 parts are not landed: .*1.*; clear their extract tasks"):
        landed_parts(PARTS, told)
    with pytest.raises(LandingError, match="no parts from the task split"):
        landed_parts(None, told)


SALES = """
name: tiny
start_date: 2012-12-01
retries: {count: 1, delay: 1s}
extract: {type: rest_api, connection: api}
tables:
  sales:
    path: /sales
    params: {day: "{{ window.start | date }}"}
    slices: 1d
    split: {tasks: 3}
    primary_key: [id]
    write_disposition: merge
    incremental: {cursor: at}
"""
WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}


def test_the_pieces_of_a_window_are_read_by_several_tasks_and_loaded_once(tiny, monkeypatch):
    asked = []

    def answer(request):
        day = request.params["day"]
        asked.append(day)
        if day == "2013-01-04" and asked.count(day) == 1:
            return Reply(status=500)
        # a record of 2 January that is changed on 6 January, while the parts are read: both days have it
        own = [{"id": f"{day}/{number}", "at": f"{day}T0{number}:00:00Z", "v": "first"} for number in range(3)]
        moved = {"id": "moved", "at": f"{day}T09:00:00Z", "v": day}
        return reply([*own, moved] if day in ("2013-01-02", "2013-01-06") else own)

    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    line = tiny(SALES)
    with serving(answer) as server:
        line.connect("api", conn_type="http", host=server.url)
        outcome = line.run("tiny", **WEEK)
    assert outcome.state == "success", outcome.tasks
    assert sorted(task.task_id for task in outcome.tasks if ".extract" in task.task_id) == [
        f"tables.sales.extract[{number}]" for number in range(3)
    ]
    # the part in the middle has two days: only these were asked for again
    again = {day for day in asked if asked.count(day) > 1}
    assert again <= {"2013-01-03", "2013-01-04"}
    assert "2013-01-04" in again
    assert line.query("select count(*), count(distinct id) from tiny.sales") == [(22, 22)]
    assert line.query("select v from tiny.sales where id = 'moved'") == [("2013-01-06",)]
    assert line.query("select rows_read, rows_loaded, rows_rejected, rows_duplicate from _elt.loads") == [
        (23, 22, 0, 1)
    ]
