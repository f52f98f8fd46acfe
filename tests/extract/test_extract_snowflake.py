"""Snowflake as a source, on fakesnow behind the real connector; no account was asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector
from extract_support import SECRET, read_request
from snowflake.connector.constants import FIELD_TYPES
from snowflake.connector.errors import DatabaseError, OperationalError, ProgrammingError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError
from elt_factory.core.window import Window
from elt_factory.discover.writing import yaml_of
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import CursorRange
from elt_factory.sources.read import parts, read
from elt_factory.sources.sql import snowflake as road
from elt_factory.sources.sql.discovery import Tables, look_at_tables
from elt_factory.sources.sql.reader import first_value
from elt_factory.storage.snowflake import GivenHook
from elt_factory.testing.sources import SourceSuite

DAY = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
LABEL = TableLabel("src", "things")
# a column: its definition, its value in SQL, and what is read of it
EVERYTHING = {
    "id": ("NUMBER(10,0)", "7", ("integer", 7)),
    "big": ("NUMBER(38,0)", "7", ("decimal(38,0)", "7")),
    "amount": ("NUMBER(12,2)", "-1.50", ("decimal(12,2)", "-1.50")),
    "r": ("FLOAT", "0.1", ("float", 0.1)),
    "t": ("VARCHAR", "'a''\u00e9\U0001f600'", ("text", "a'\u00e9\U0001f600")),
    "b": ("BOOLEAN", "true", ("boolean", True)),
    "d": ("DATE", "'0999-12-31'", ("date", "0999-12-31")),
    "clock": ("TIME", "'10:00:00.123456'", ("time", "10:00:00.123456")),
    "ntz": ("TIMESTAMP_NTZ", "'9999-12-31 23:59:59.123456'", ("datetime", "9999-12-31 23:59:59.123456")),
    "ltz": ("TIMESTAMP_LTZ", "'2013-01-01 00:00:00+02:00'", ("timestamp", "2012-12-31 22:00:00+00:00")),
    "tz": ("TIMESTAMP_TZ", "'2013-01-01 00:00:00-05:00'", ("timestamp", "2013-01-01 05:00:00+00:00")),
    "v": ("VARIANT", """parse_json('{"a": [1, null]}')""", ("json", '{"a":[1,null]}')),
    "o": ("OBJECT", """parse_json('{"a": 1}')""", ("json", '{"a":1}')),
    "a": ("ARRAY", "parse_json('[1, 2]')", ("json", "[1,2]")),
    "bin": ("BINARY", "to_binary('00ff', 'hex')", ("binary", b"\x00\xff")),
    '"Odd ""Name"': ("VARCHAR", "'odd'", ("text", "odd")),
}


@pytest.fixture(scope="module")
def account(fake_snowflake) -> Iterator[Connection]:
    fields = fake_snowflake.fields()
    names = {"login": "login", "password": "password", "schema": "schema", "extra": "extra"}
    connection = Connection("db", "snowflake", **{name: fields[name] for name in names})
    with snowflake.connector.connect(**GivenHook(connection).arguments()) as session:
        run = session.cursor().execute
        run("CREATE SCHEMA IF NOT EXISTS PUBLIC")
        run(f"CREATE TABLE everything ({', '.join(f'{name} {kind}' for name, (kind, *_) in EVERYTHING.items())})")
        run(f"INSERT INTO everything SELECT {', '.join(value for _, value, _ in EVERYTHING.values())}")
        run("INSERT INTO everything (id) SELECT 8")
        run("CREATE TABLE orders (order_id NUMBER(10,0) PRIMARY KEY, total NUMBER(10,2), email VARCHAR, "
            "updated_at TIMESTAMP_NTZ, seen_at TIMESTAMP_TZ)")  # fmt: skip
        for number, moment in enumerate(("2012-12-31 23:59:59", "2013-01-01 00:00:00", "2013-01-02 00:00:00"), 1):
            at = f"'{moment}'"
            run(f"INSERT INTO orders SELECT {number}, 9.5, 'a@example.org', {at}, '{moment}+00:00'")
        run("INSERT INTO orders (order_id, total) SELECT 4, 1")
        run("CREATE TABLE changes AS SELECT * FROM orders WHERE updated_at IS NOT NULL")
        run("CREATE VIEW large AS SELECT * FROM orders WHERE total > 5")
        yield connection


@pytest.fixture
def read_table(tmp_path, account):
    def run(connection=None, schema=None, window=DAY, cursor=None, **table):
        extract = {"type": "sql", "connection": "db", **({"schema": schema} if schema else {})}
        return read(read_request(tmp_path, extract, table, connection or account, window=window, cursor=cursor))

    return run


def rows(spool) -> list[dict]:
    return pq.read_table(spool.files[0]).to_pylist()


def numbers(spool) -> list[int]:
    return sorted(row["order_id"] for row in rows(spool))


def test_every_type_has_its_value_and_its_type(read_table):
    spool = read_table(table="everything")
    full, empty = sorted(rows(spool), key=lambda row: row["id"])
    names = {name: 'Odd "Name' if name.startswith('"') else name for name in EVERYTHING}
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        names[name]: kind for name, (_, _, (kind, _)) in EVERYTHING.items()
    }
    for name, (_, _, (kind, expected)) in EVERYTHING.items():
        found = full[names[name]]
        found = "".join(found.split()) if kind == "json" else found
        assert found == expected or str(found) == expected, name
        assert empty[names[name]] is None or name == "id"
    assert spool.rows_read == 2


def test_every_type_of_the_connector_has_one_here():
    """A number of each batch is the narrowest that holds it, so the type is that of the column."""
    found = {field.name: str(road._type(field.name, 12, 2)) for field in FIELD_TYPES}
    assert found == {
        "FIXED": "decimal(12,2)",
        "REAL": "float",
        "TEXT": "text",
        "DATE": "date",
        "TIMESTAMP": "text",
        "VARIANT": "json",
        "TIMESTAMP_LTZ": "timestamp",
        "TIMESTAMP_TZ": "timestamp",
        "TIMESTAMP_NTZ": "datetime",
        "OBJECT": "json",
        "ARRAY": "json",
        "BINARY": "binary",
        "TIME": "time",
        "BOOLEAN": "boolean",
        "GEOGRAPHY": "text",
        "GEOMETRY": "text",
        "VECTOR": "json",
        "MAP": "json",
        "FILE": "text",
        "INTERVAL_YEAR_MONTH": "text",
        "INTERVAL_DAY_TIME": "text",
    }


def test_batches_of_narrow_numbers_become_the_columns_type_with_all_digits():
    schema = pa.schema([("n", pa.decimal128(38, 0)), ("i", pa.int64()), ("at", pa.time64("us"))])
    batch = pa.table({"n": pa.array([1, None], pa.int8()), "i": pa.array([1, 2], pa.int16()),
                      "at": pa.array([1_234_567, None], pa.time64("ns"))})  # fmt: skip
    found = road._of_schema(batch, schema)
    assert (found.schema, str(found["n"][0]), found["at"][0].as_py().microsecond) == (schema, "1", 1234)


@pytest.mark.parametrize("name", ["orders", "large"])
@pytest.mark.parametrize("cursor", ["updated_at", "seen_at"])
def test_a_window_takes_its_start_and_leaves_its_end(read_table, name, cursor):
    spool = read_table(table=name, incremental={"cursor": cursor})
    assert (numbers(spool), spool.null_cursors) == ([2], 1 if name == "orders" else 0)


def test_rows_without_a_cursor_value_are_read_where_that_is_chosen(read_table):
    spool = read_table(table="orders", incremental={"cursor": "updated_at", "null_cursor": "include"})
    assert numbers(spool) == [2, 4]


def test_a_number_is_read_after_the_last(read_table):
    spool = read_table(table="orders", incremental={"cursor": "order_id", "initial": 0}, cursor=CursorRange("2", "3"))
    assert numbers(spool) == [3]


def test_the_values_of_a_query_are_bound(read_table):
    query = "select order_id, '?' as mark from orders where updated_at >= {{ window.start }} -- all"
    spool = read_table(query=query)
    assert rows(spool) == [{"order_id": 2, "mark": "?"}, {"order_id": 3, "mark": "?"}]


def test_the_keys_of_all_rows_are_read_next_to_those_of_the_window(read_table):
    about = {"primary_key": ["order_id"], "write_disposition": "merge", "deletes": "compare"}
    spool = read_table(table="orders", incremental={"cursor": "updated_at", "null_cursor": "ignore"}, **about)
    assert numbers(spool) == [2]
    assert numbers(spool.keys) == [1, 2, 3, 4]


def test_a_table_without_rows_has_its_columns(read_table):
    spool = read_table(table="orders", incremental={"cursor": "updated_at"},
                       window=Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)))  # fmt: skip
    assert pq.read_schema(spool.files[0]).names == ["order_id", "total", "email", "updated_at", "seen_at"]


def test_names_in_small_letters_are_those_in_capitals_and_others_are_exact():
    names = ("orders", "Orders", "odd name", "2nd", "a$1")
    assert [road.stored(name) for name in names] == ["ORDERS", "Orders", "odd name", "2nd", "A$1"]
    assert [road.spoken(road.stored(name)) for name in names] == list(names)


def test_what_is_not_there_names_what_is_near(read_table):
    with pytest.raises(BadRequestError, match=r'src\.things: unknown table "order"; hint: did you mean "orders"'):
        read_table(table="order")
    with pytest.raises(BadRequestError, match=r'unknown column "updated" in incremental.cursor; hint: did you mean'):
        read_table(table="orders", incremental={"cursor": "updated"})
    with pytest.raises(BadRequestError, match="partitions needs PostgreSQL"):
        read_table(table="orders", primary_key=["order_id"], partitions=2)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProgrammingError("no such thing", errno=2003), BadRequestError),
        (ProgrammingError("syntax", errno=1003), BadRequestError),
        (ProgrammingError("insufficient privileges", errno=3001), AccessDeniedError),
        (ProgrammingError("statement timeout", errno=630), SourceUnavailableError),
        (DatabaseError(f"password {SECRET} is wrong", errno=390100), AccessDeniedError),
        (OperationalError("cannot connect", errno=250001), SourceUnavailableError),
        (ConnectionResetError("gone"), SourceUnavailableError),
    ],
)
def test_what_snowflake_says_is_one_message_without_secrets(error, kind):
    label = TableLabel("src", "things", (SECRET,))
    with pytest.raises(kind) as told, road._refused(label):
        raise error
    assert SECRET not in str(told.value)
    assert "src.things: " in str(told.value)


def test_a_server_that_does_not_answer_is_unavailable(read_table, account):
    extra = {**account.extra, "port": 1, "login_timeout": 1, "network_timeout": 1}
    with pytest.raises(SourceUnavailableError):
        read_table(Connection("db", "snowflake", login="me", password=SECRET, extra=extra), table="orders")


def test_the_first_value_of_a_query_is_for_sensors(account, tmp_path):
    assert first_value(account, tmp_path, "select count(*) from orders", LABEL) == 4


def test_a_look_finds_tables_keys_cursors_and_beginnings(account, tmp_path):
    found = look_at_tables(Tables(account, "shop", (), None, tmp_path), tmp_path)
    assert {table.name: table.key.columns for table in found.tables} == {
        "changes": ("order_id",),
        "everything": ("id",),
        "orders": ("order_id",),
    }
    text = yaml_of("shop", found, {})
    assert "incremental: {cursor: updated_at, lag: 1h, initial: 2012-12-31}" in text
    assert "email: {type: text, pii: hash}" in text


class TestSnowflakeAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "shop",
        "extract": {"type": "sql", "connection": "db"},
        "tables": {"large": {"query": "select order_id, total from orders where total > 5"}},
    }
    rows = [{"order_id": number, "total": 9.5} for number in (1, 2, 3)]

    @pytest.fixture(autouse=True)
    def at(self, account) -> None:
        type(self).account = account

    def connection(self, folder) -> Connection:
        return self.account

    def broken(self, folder) -> Connection:
        return Connection("db", "snowflake", login="me", password=SECRET, extra={"account": "x"})


def test_a_split_by_cursor_has_each_row_once(tmp_path, account):
    with_cursor = {"table": "orders", "write_disposition": "merge", "primary_key": ["email"]}
    for cursor in ({"cursor": "updated_at"}, {"cursor": "seen_at"}, {"cursor": "order_id", "initial": 0}):
        table = {**with_cursor, "incremental": cursor, "split": {"tasks": 2, "by": "cursor"}}
        wide = Window(datetime(2012, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
        asked = read_request(tmp_path, {"type": "sql", "connection": "db"}, table, account, window=wide)
        found = [numbers(read(replace(asked, part=part.what))) for part in parts(asked, 2)]
        # the order without an `updated_at` is the first part's
        assert found == ([[1, 2], [3, 4]] if "initial" in cursor else [[1, 2, 4], [3]])
