"""Loads by cursors whose values are odd: whatever they are, each new row is loaded, or an error says why not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import exc

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.sources.sql.database import _kind
from elt_factory.testing.loads import WEEK, Line, source_of
from mongo_server import mongo_running

pytestmark = pytest.mark.services

NEXT = replace(WEEK, start=WEEK.end, end=WEEK.end + timedelta(days=7))
AFTER = replace(NEXT, start=NEXT.end, end=NEXT.end + timedelta(days=7))
SERVER = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}
POSTGRES = Connection("db", "postgres", **SERVER)
BY_NUMBER = {"write_disposition": "merge", "primary_key": ["id"], "incremental": {"cursor": "c", "initial": 0}}


def line(connection: Connection, folder: Path, table: dict, **extract: str) -> Line:
    given = {"type": "sql", "connection": "db", **extract}
    config = {"name": "src", "start_date": "2013-01-01", "extract": given, "tables": {"odd": table}}
    return Line(source_of(config, folder), connection, folder, lambda _: None)


def values(of: Line) -> list[object]:
    return sorted(row["c"] for row in of.rows())


@pytest.fixture
def in_postgres(postgres, schema, tmp_path) -> Callable[..., tuple[Callable[[str], object], Line]]:
    """Make the table `odd` whose cursor has a type, and the line that loads it."""

    def make(kind: str, **table: object) -> tuple[Callable[[str], object], Line]:
        postgres.execute("DROP TABLE IF EXISTS odd")
        postgres.execute(f"CREATE TABLE odd (id int PRIMARY KEY, c {kind})")
        server = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}
        return postgres.execute, line(
            Connection("db", "postgres", **server), tmp_path, BY_NUMBER | table, schema=schema
        )

    return make


@pytest.fixture
def in_sqlite(tmp_path) -> Callable[..., tuple[Callable[[str], object], Line]]:
    """Make a table of SQLite, and the line that loads it."""

    def execute(text: str) -> object:
        with sqlite3.connect(tmp_path / "data.db") as made:
            return made.executescript(text)

    def make(definition: str, **table: object) -> tuple[Callable[[str], object], Line]:
        execute(f"CREATE TABLE odd ({definition})")
        return execute, line(Connection("db", "sqlite", host="data.db"), tmp_path, BY_NUMBER | table)

    return make


@pytest.mark.parametrize(
    ("kind", "first", "then"),
    [
        ("real", ["0.05", "0.1"], ["0.2", "0.7"]),
        ("numeric(38,0)", ["1", "1" + "2" * 37], ["1" + "2" * 36 + "3"]),
        ("numeric(38,20)", ["1.5", "2." + "3" * 20], ["2." + "3" * 19 + "4"]),
        ("numeric", ["1.25", "2.5"], ["2.500001"]),
    ],
)
@pytest.mark.parametrize("key", [True, False])
def test_a_number_of_postgresql_is_read_up_to_its_last_digit(in_postgres, kind, first, then, key):
    more = {} if key else {"write_disposition": "append", "primary_key": []}
    execute, of = in_postgres(kind, **more)
    execute(f"INSERT INTO odd SELECT row_number() OVER (), v::{kind} FROM unnest('{{{','.join(first)}}}'::text[]) v")
    of.load(WEEK)
    assert len(of.rows()) == len(first)
    execute(f"INSERT INTO odd SELECT 9 + row_number() OVER (), v::{kind} FROM unnest('{{{','.join(then)}}}'::text[]) v")
    for window in (NEXT, AFTER):
        of.load(window)
        assert [float(value) for value in values(of)] == [float(text) for text in [*first, *then]]


@pytest.mark.parametrize("value", ["Infinity", "NaN"])
def test_behind_infinity_nothing_is_read_and_that_is_said(in_postgres, value):
    execute, of = in_postgres("float8")
    execute(f"INSERT INTO odd VALUES (1, 1.5), (2, '{value}')")
    of.load(WEEK)
    execute("INSERT INTO odd VALUES (3, 5)")
    with pytest.raises(BadDataError, match=r"up to \w+ of the cursor c, which no later row exceeds; hint: correct"):
        of.load(NEXT)


@pytest.mark.parametrize("columns", [{}, {"columns": {"c": {"type": "integer"}}}])
def test_a_text_that_is_said_to_be_a_number_is_refused_since_it_has_another_order(in_postgres, columns):
    execute, of = in_postgres("text", **columns)
    execute("INSERT INTO odd VALUES (1, '8'), (2, '9')")
    with pytest.raises(BadRequestError, match="initial is 0, but the cursor c is text, where 10 comes before 9; hint"):
        of.load(WEEK)


def test_a_column_whose_name_is_reserved_is_a_cursor_by_the_name_it_is_loaded_under(postgres, schema, tmp_path):
    postgres.execute("DROP TABLE IF EXISTS odd")
    postgres.execute('CREATE TABLE odd (id int, "_loaded_at" timestamptz)')
    postgres.execute("INSERT INTO odd VALUES (1, '2013-01-02'), (2, '2013-01-09'), (3, NULL)")
    for split in ({}, {"split": {"tasks": 2, "by": "cursor"}}, {"split": {"tasks": 2}}):
        table = BY_NUMBER | {"incremental": {"cursor": "_source_loaded_at"}} | split
        of = line(POSTGRES, tmp_path, table, schema=schema)
        of.load(WEEK, full_refresh=bool(split))
        assert sorted(row["id"] for row in of.rows()) == [1, 3]


def test_a_value_of_char_says_that_a_row_is_deleted_without_the_blanks_behind_it(in_postgres):
    deletes = {"deletes": {"column": "state", "equals": "cancelled"}}
    execute, of = in_postgres("int, state char(12)", **deletes)
    execute("INSERT INTO odd VALUES (1, 1, 'open'), (2, 2, 'cancelled'), (3, 3, NULL)")
    of.load(WEEK)
    execute("UPDATE odd SET c = 4, state = 'cancelled' WHERE id = 1")
    assert values(of) == [1, 3]
    of.load(NEXT)
    assert values(of) == [3]


@pytest.mark.parametrize("definition", ["id INTEGER, c", "id INTEGER, c REAL", "id INTEGER, c NUMERIC"])
@pytest.mark.parametrize("key", [True, False])
def test_a_fraction_of_sqlite_is_a_number_whatever_its_column_was_declared_as(in_sqlite, definition, key):
    more = {} if key else {"write_disposition": "append", "primary_key": []}
    execute, of = in_sqlite(definition, **more)
    execute("INSERT INTO odd VALUES (1, 1.5), (2, 2.5)")
    of.load(WEEK)
    execute("INSERT INTO odd VALUES (3, 3.5), (4, 4.0)")
    for window in (NEXT, AFTER):
        of.load(window)
        assert values(of) == [1.5, 2.5, 3.5, 4.0]


@pytest.mark.parametrize(("kind", "value"), [("time", "23:00:00"), ("boolean", "true"), ("boolean[]", "{true}")])
def test_a_cursor_that_does_not_grow_is_refused(in_postgres, in_sqlite, kind, value):
    """Next to the greatest value of such a column no later row would ever be read."""
    for make in (in_postgres,) if kind == "boolean[]" else (in_postgres, in_sqlite):
        execute, of = make(kind if make is in_postgres else f"id INTEGER, c {kind}", incremental={"cursor": "c"})
        execute(f"INSERT INTO odd VALUES (1, '{value}')")
        with pytest.raises(BadRequestError, match=r"the cursor c is (time|boolean|json), which does not grow"):
            of.load(WEEK)


@pytest.mark.parametrize("value", ["1", "2013", "2456293.5", "10:30", "now", "2013-1-1"])
def test_a_text_of_sqlite_that_is_no_day_is_no_time(in_sqlite, value):
    execute, of = in_sqlite("id INTEGER, c TEXT", incremental={"cursor": "c"})
    execute(f"INSERT INTO odd VALUES (1, '2013-01-02'), (2, '{value}')")
    with pytest.raises(BadDataError, match=f"holds '{value}', which is not an ISO date or time"):
        of.load(WEEK)


def test_a_decimal_of_sqlite_keeps_the_digits_that_its_double_has(in_sqlite):
    given = ["12345678901234.56", "99999999999999.25", "23.2", "0.1", "-5"]
    execute, of = in_sqlite(
        "id INTEGER, c DECIMAL(18,2)", write_disposition="replace", incremental=None, primary_key=[]
    )
    execute(f"INSERT INTO odd VALUES {', '.join(f'({n}, {text})' for n, text in enumerate(given))}")
    of.load(WEEK)
    assert values(of) == sorted(map(Decimal, given))
    # more digits than its scale are not rounded: the column grows
    execute("INSERT INTO odd VALUES (9, 12.345)")
    of.load(WEEK)
    assert values(of) == sorted(map(Decimal, [*given, "12.345"]))


def test_whole_numbers_and_fractions_of_mongodb_are_one_cursor(tmp_path):
    extract = {"type": "mongodb", "connection": "db", "database": "shop"}
    table = {"write_disposition": "merge", "primary_key": ["_id"], "incremental": {"cursor": "c", "initial": 0}}
    config = {"name": "src", "start_date": "2013-01-01", "extract": extract, "tables": {"orders": table}}
    with mongo_running() as server:
        server.fill("shop", "orders", {"_id": 1, "c": 1}, {"_id": 2, "c": 2.5})
        connection = Connection("db", "mongo", host="127.0.0.1", port=server.port, schema="shop")
        of = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
        of.load(WEEK)
        server.store["shop"]["orders"].insert_one({"_id": 3, "c": 3})
        of.load(NEXT)
        assert values(of) == [1, 2.5, 3]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1060, BadRequestError), (1242, BadRequestError), (1267, BadRequestError), (1305, BadRequestError)]
    + [(code, SourceUnavailableError) for code in (1040, 1205, 1213, 1927, 2003, 2013)],
)
def test_what_a_server_of_mysql_would_refuse_again_is_not_tried_again(code, kind):
    import pymysql

    said = exc.OperationalError("SELECT 1", {}, pymysql.err.OperationalError(code, "no"))
    assert _kind(said) is kind
