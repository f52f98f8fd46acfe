"""A table of PostgreSQL whose rows are landed while more of them are read: a load is right, or it is none."""

import random
import threading

import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import SourceUnavailableError
from elt_factory.extract import growing
from elt_factory.landing import land, reading
from elt_factory.landing import lines as line_stream
from elt_factory.sources.sql import postgres_copy
from elt_factory.testing.loads import WEEK, Line, source_of

pytestmark = pytest.mark.services

SERVER = Connection("db", "postgres", "127.0.0.1", 5432, "test", "postgres")
ROWS = 20_000


@pytest.fixture
def followed(monkeypatch) -> list[bool]:
    """Whether each load used what had gone through the contract before the read had ended."""
    monkeypatch.setattr(growing, "ENOUGH_BYTES", 50_000)
    monkeypatch.setattr(line_stream, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(postgres_copy, "_TOLD_BYTES", 20_000)
    used, original = [], reading.finish_growing

    def finish(*given):
        found = original(*given)
        used.append(found is not None)
        return found

    monkeypatch.setattr(land, "finish_growing", finish)
    return used


@pytest.fixture
def orders(postgres) -> str:
    postgres.execute("DROP TABLE IF EXISTS followed_orders")
    postgres.execute(
        "CREATE TABLE followed_orders AS SELECT n AS id, 'customer ' || n AS name, (n / 8.0)::numeric(12,3) AS price, "
        "'2013-01-01'::date + n % 28 AS day, now() AS at, n % 2 = 0 AS ok, ARRAY[n, n + 1] AS pair, "
        f"decode(md5(n::text), 'hex') AS digest FROM generate_series(1, {ROWS}) AS n"
    )
    postgres.execute("ALTER TABLE followed_orders ADD PRIMARY KEY (id)")
    return "followed_orders"


def line(schema: str, folder, table: str, **fields) -> Line:
    config = {
        "name": "shop",
        "start_date": "2013-01-01",
        "extract": {"type": "sql", "connection": "db", "schema": schema},
        "tables": {"rows": {"table": table, "write_disposition": "replace", **fields}},
    }
    return Line(source_of(config, folder), SERVER, folder, lambda _: None)


def test_each_row_is_loaded_once(postgres, schema, orders, tmp_path, followed):
    loads = line(schema, tmp_path, orders)
    assert loads.load(WEEK).total_rows == ROWS
    there = postgres.execute(f"SELECT id, name, price, day, at, ok FROM {orders} ORDER BY id").fetchall()
    loaded = sorted((row["id"], row["name"], row["price"], row["day"], row["at"], row["ok"]) for row in loads.rows())
    assert loaded == there
    assert followed == [True]


def test_parts_that_are_read_at_the_same_time_are_all_loaded(schema, orders, tmp_path, followed):
    loads = line(schema, tmp_path, orders, primary_key=["id"], partitions=3)
    assert loads.load(WEEK).total_rows == ROWS
    assert sorted(row["id"] for row in loads.rows()) == list(range(1, ROWS + 1))
    assert followed == [True]


def test_a_row_that_no_warehouse_can_hold_is_rejected_and_counted(postgres, schema, orders, tmp_path, followed):
    postgres.execute(f"UPDATE {orders} SET day = 'infinity' WHERE id = 19000")
    loads = line(schema, tmp_path, orders)
    assert loads.load(WEEK).total_rows == ROWS - 1
    with loads.warehouse() as warehouse:
        (reject,) = warehouse.query("SELECT reason FROM _elt.rejects").dicts()
    assert "day" in reject["reason"]
    assert followed == [True]


def test_deletes_are_found_by_the_keys_that_are_read_behind_the_rows(postgres, schema, orders, tmp_path, followed):
    table = {"primary_key": ["id"], "write_disposition": "merge", "deletes": "compare"}
    loads = line(schema, tmp_path, orders, **table)
    loads.load(WEEK)
    postgres.execute(f"DELETE FROM {orders} WHERE id % 10 = 0")
    loads.load(WEEK)
    assert sorted(row["id"] for row in loads.rows()) == [n for n in range(1, ROWS + 1) if n % 10]
    assert followed == [True, True]


def test_a_server_that_ends_the_connection_in_the_middle_lands_nothing_and_the_next_load_is_whole(
    postgres, schema, orders, tmp_path, followed, monkeypatch
):
    def ends(self, *given, **more):
        look(self, *given, **more)
        if self.size > 500_000 and not ended:
            ended.append(True)
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%%followed_orders%%'"
            postgres.execute(query)

    ended, look = [True], postgres_copy._Told.look
    monkeypatch.setattr(postgres_copy._Told, "look", ends)
    loads = line(schema, tmp_path, orders)
    loads.load(WEEK)
    before, landed = loads.rows(), sorted(tmp_path.rglob("landing/**/*"))
    ended.clear()
    postgres.execute(f"UPDATE {orders} SET name = repeat(name, 20)")
    with pytest.raises(SourceUnavailableError):
        loads.load(WEEK)
    assert loads.rows() == before
    assert sorted(tmp_path.rglob("landing/**/*")) == landed
    assert "landing" not in {thread.name for thread in threading.enumerate()}
    assert loads.load(WEEK).total_rows == ROWS
    assert followed == [True, True]


@pytest.mark.parametrize("seed", range(3))
def test_any_text_is_loaded_to_the_letter(postgres, schema, tmp_path, followed, seed):
    chosen = random.Random(seed)
    signs = ['"', ",", "\n", "\r", "\\", " ", "a", "é", "\u2028", "\\.", "\\N", "\t", "'", "\x01", "\ufeff", "NULL"]
    texts = [
        None if chosen.random() < 0.1 else "".join(chosen.choices(signs, k=chosen.randrange(40))) for _ in range(5000)
    ]
    postgres.execute(f"DROP TABLE IF EXISTS {schema}.texts")
    postgres.execute(f'CREATE TABLE {schema}.texts ("te ""xt" text, place int, "a,b" text)')
    with postgres.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {schema}.texts VALUES (%s, %s, %s)", [(t, n, t) for n, t in enumerate(texts)])
    loads = line(schema, tmp_path, "texts")
    assert loads.load(WEEK).total_rows == len(texts)
    loaded = {row["place"]: (row['te "xt'], row["a,b"]) for row in loads.rows()}
    assert loaded == {place: (text, text) for place, text in enumerate(texts)}
    assert followed == [True]


def test_a_text_that_begins_as_a_file_may_is_loaded_to_the_letter(postgres, schema, tmp_path, followed):
    postgres.execute("DROP TABLE IF EXISTS marked")
    postgres.execute(
        f"CREATE TABLE marked AS SELECT U&'\\FEFF' || n AS name, n AS id FROM generate_series(1, {ROWS}) n"
    )
    loads = line(schema, tmp_path, "marked")
    loads.load(WEEK)
    assert {row["name"] for row in loads.rows()} == {f"\ufeff{number}" for number in range(1, ROWS + 1)}
    assert followed == [True]


def test_long_rows_are_landed_when_all_are_there_for_then_it_is_known_how_much_memory_they_take(
    postgres, schema, tmp_path, followed
):
    postgres.execute("DROP TABLE IF EXISTS long_rows")
    postgres.execute(
        "CREATE TABLE long_rows AS SELECT n AS id, "
        "repeat(E'some lines\n', CASE WHEN n > 900 THEN 2000 ELSE 100 END) AS t "
        "FROM generate_series(1, 1000) AS n"
    )
    loads = line(schema, tmp_path, "long_rows")
    assert loads.load(WEEK).total_rows == 1000
    assert followed == []
