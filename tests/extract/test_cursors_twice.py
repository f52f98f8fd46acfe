"""Cursors from a database into a warehouse and back: what a load has kept of one is where the next begins."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pymysql
import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, ContractError
from elt_factory.core.window import Window
from elt_factory.testing.loads import WEEK, Line, source_of
from elt_factory.warehouse.base import LoadReport

pytestmark = pytest.mark.services
LATER = Window(WEEK.end, WEEK.end + timedelta(days=7))
SERVER = {"host": "127.0.0.1", "port": 5432, "login": "postgres", "schema": "test"}
KEYED = {"primary_key": ["id"], "write_disposition": "merge"}
KEYLESS = {"write_disposition": "append"}


@dataclass(frozen=True)
class Database:
    """A database of its own, how to run SQL there, and the folder of its loads."""

    connection: Connection
    extract: dict[str, str]
    execute: Callable[[str], object]
    folder: Path

    def line(self, **table: Any) -> Line:
        extract = {"type": "sql", "connection": "db", **self.extract}
        config = {"name": "src", "schedule": "@daily", "start_date": "2013-01-01", "extract": extract}
        table = {"incremental": {"cursor": "c"}, **table}
        return Line(
            source_of({**config, "tables": {"things": table}}, self.folder), self.connection, self.folder, print
        )

    def loaded_twice(self, first: str, then: str, **table: Any) -> LoadReport:
        """Load once with the first rows there, then with others, too; the second report."""
        line = self.line(**table)
        self.execute(first)
        line.load(WEEK)
        self.execute(then)
        return line.load(LATER)

    def ids(self, **table: Any) -> list[int]:
        return sorted(row["id"] for row in self.line(**table).rows())


@pytest.fixture
def sqlite(tmp_path) -> Iterator[Database]:
    with sqlite3.connect(tmp_path / "data.db", isolation_level=None) as opened:
        yield Database(Connection("db", "sqlite", host="data.db"), {}, opened.execute, tmp_path)
    opened.close()


@pytest.fixture
def duck(tmp_path) -> Database:
    def execute(text: str) -> None:
        with duckdb.connect(str(tmp_path / "data.db")) as opened:
            opened.execute(text)

    return Database(Connection("db", "duckdb", host="data.db"), {}, execute, tmp_path)


@pytest.fixture
def postgresql(tmp_path, postgres, schema) -> Database:
    postgres.execute("DROP TABLE IF EXISTS things")
    return Database(Connection("db", "postgres", **SERVER), {"schema": schema}, postgres.execute, tmp_path)


@pytest.fixture(scope="module")
def mariadb_server() -> Iterator[tuple[pymysql.cursors.Cursor, str]]:
    try:
        opened = pymysql.connect(host="127.0.0.1", user="root", connect_timeout=3, autocommit=True)
    except pymysql.err.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no MariaDB to test with: {error}")
    name = f"cursors_{uuid.uuid4().hex[:10]}"
    with opened, opened.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {name}")
        yield cursor, name
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def mariadb(tmp_path, mariadb_server) -> Database:
    cursor, name = mariadb_server
    cursor.execute("DROP TABLE IF EXISTS things")
    where = {"host": "127.0.0.1", "port": 3306, "schema": name, "login": "root"}
    return Database(Connection("db", "mysql", **where), {}, cursor.execute, tmp_path)


# Bytes


BYTES = {
    "sqlite": ("blob", "x'{}'"),
    "duck": ("blob", "from_hex('{}')"),
    "postgresql": ("bytea", "'\\x{}'"),
    "mariadb": ("binary(8)", "x'{}'"),
}


@pytest.fixture(params=BYTES)
def of_bytes(request) -> tuple[Database, Callable[[int, int], str]]:
    """A database with a table whose cursor is binary, and an INSERT of a number as its bytes, as a rowversion has."""
    database = request.getfixturevalue(request.param)
    kind, form = BYTES[request.param]
    database.execute(f"CREATE TABLE things (id int, c {kind})")
    return database, lambda key, number: f"INSERT INTO things VALUES ({key}, {form.format(f'{number:016x}')})"


@pytest.mark.parametrize(("table", "last"), [(KEYED, 0x1000), (KEYLESS, 0xC3A9)], ids=["merge", "append"])
def test_a_binary_cursor_is_read_from_its_last_bytes_on(of_bytes, table, last):
    database, insert = of_bytes
    report = database.loaded_twice(insert(1, last), insert(2, last + 0x0F), **table)
    assert report.rows_loaded == (2 if table is KEYED else 1)
    assert database.ids(**table) == [1, 2]


def test_a_text_in_a_column_of_bytes_is_its_bytes_for_the_cursor_too(sqlite):
    sqlite.execute("CREATE TABLE things (id int, c blob)")
    sqlite.loaded_twice("INSERT INTO things VALUES (1, x'61')", "INSERT INTO things VALUES (2, 'b')", **KEYLESS)
    assert sqlite.ids(**KEYLESS) == [1, 2]


def test_a_binary_cursor_that_an_older_version_has_kept_asks_for_a_full_refresh(sqlite):
    line = sqlite.line(**KEYED)
    sqlite.execute("CREATE TABLE things (id int, c blob)")
    sqlite.execute("INSERT INTO things VALUES (1, x'000005')")
    line.load(WEEK)
    with line.warehouse() as opened:
        opened.execute(r"UPDATE _elt.load_log SET cursor_value = '\x00\x00\x05'")
    with pytest.raises(BadRequestError, match="not in hex digits; hint: load it with full refresh once"):
        line.load(LATER)
    line.load(LATER, full_refresh=True)
    line.load(LATER)
    assert sqlite.ids(**KEYED) == [1]


def test_a_binary_cursor_begins_with_no_number(sqlite):
    sqlite.execute("CREATE TABLE things (id int, c blob)")
    with pytest.raises(BadRequestError, match="initial is 0, but the cursor c is binary; hint: remove initial"):
        sqlite.line(**KEYED, incremental={"cursor": "c", "initial": 0}).load(WEEK)


# Times that SQLite keeps as texts

HOURS = [
    Window(datetime(2013, 1, 7, hour, tzinfo=UTC), datetime(2013, 1, 7, hour + 1, tzinfo=UTC)) for hour in (21, 22)
]
# an older and a newer time, of two forms or clocks: as texts, or on the clock of each, the newer one is the lesser
TIMES = [
    ("2013-01-07T21:10:00", "2013-01-07 22:30:00", "datetime"),
    ("2013-01-07 22:10:00Z", "2013-01-07 22:10:00.5Z", "timestamp"),
    ("2013-01-08T02:00:00+05:00", "2013-01-07T22:30:00+00:00", "timestamp"),
]


def load_of(line: Line, moment: str) -> LoadReport:
    """Load the hour of a time."""
    hour = (
        datetime.fromisoformat(moment).replace(tzinfo=datetime.fromisoformat(moment).tzinfo or UTC).astimezone(UTC).hour
    )
    return line.load(HOURS[hour - 21])


@pytest.mark.parametrize("declared", ["text", "datetime"])
@pytest.mark.parametrize(("older", "newer", "kind"), TIMES)
def test_an_update_of_sqlite_is_newer_by_its_time_in_whatever_form_it_is_written(sqlite, declared, older, newer, kind):
    sqlite.execute(f"CREATE TABLE things (id integer primary key, v text, c {declared})")
    sqlite.execute(f"INSERT INTO things VALUES (1, 'old', '{older}')")
    line = sqlite.line(**KEYED)
    load_of(line, older)
    sqlite.execute(f"UPDATE things SET v = 'new', c = '{newer}'")
    report = load_of(line, newer)
    assert ([row["v"] for row in line.rows()], report.rows_duplicate) == (["new"], 0)
    with line.warehouse() as opened:
        assert str(opened.columns(line.target)["c"]) == kind


def test_versions_of_sqlite_follow_each_other_as_their_times_do(sqlite):
    older, newer, _ = TIMES[2]
    sqlite.execute("CREATE TABLE things (id integer primary key, v text, c text)")
    sqlite.execute(f"INSERT INTO things VALUES (1, 'old', '{older}')")
    line = sqlite.line(primary_key=["id"], write_disposition="scd2")
    load_of(line, older)
    sqlite.execute(f"UPDATE things SET v = 'new', c = '{newer}'")
    load_of(line, newer)
    with line.warehouse() as opened:
        found = opened.query("SELECT v, _valid_to IS NULL FROM src.things ORDER BY _valid_from").rows
    assert [*map(tuple, found)] == [("old", False), ("new", True)]


@pytest.mark.parametrize("key", [{}, {"primary_key": ["id"]}], ids=["no key", "key"])
@pytest.mark.parametrize("form", ["{}", "{}-05:00"])
def test_a_window_of_sqlite_after_a_full_refresh_takes_its_own_rows(sqlite, key, form):
    times = ["2013-01-01 06:00:00", "2013-01-02T10:00:00", "2013-01-07 18:30:00", "2013-01-08 05:30:00"]
    rows = ", ".join(f"({number}, '{form.format(at)}')" for number, at in enumerate(times))
    sqlite.execute("CREATE TABLE things (id int, c text)")
    sqlite.execute(f"INSERT INTO things VALUES {rows}")
    table = {**KEYLESS, **key, "incremental": {"cursor": "c", "timezone": "America/New_York"}}
    line = sqlite.line(**table)
    line.load(Window(WEEK.start, LATER.end), full_refresh=True)
    for window in (WEEK, LATER):
        line.load(window)
        assert sqlite.ids(**table) == [0, 1, 2, 3]


def test_a_cursor_of_sqlite_with_an_offset_here_and_none_there_needs_a_declared_type(sqlite):
    sqlite.execute("CREATE TABLE things (id integer primary key, c text)")
    sqlite.execute("INSERT INTO things VALUES (1, '2013-01-02 10:00:00'), (2, '2013-01-02T10:00:00Z'), (3, NULL)")
    with pytest.raises(BadDataError, match="times with an offset and times without one; hint: write type: timestamp"):
        sqlite.line(**KEYED).load(WEEK)
    declared = {**KEYED, "columns": {"c": {"type": "timestamp"}}}
    sqlite.line(**declared).load(WEEK)
    assert sqlite.ids(**declared) == [1, 2, 3]


@pytest.mark.parametrize(
    ("had", "has", "hint"),
    [
        ("varchar", "datetime", "write type: datetime under tables.things.columns.c and run with full refresh$"),
        ("timestamp", "timestamp", "write type: timestamp under .* with full refresh, or type: datetime to keep it$"),
    ],
)
def test_a_table_that_has_the_times_of_sqlite_in_another_type_is_not_changed_unasked(sqlite, had, has, hint):
    """As a version before this one has made it, whose order of times was another."""
    time = "2013-01-02T10:00:00" + ("Z" if has == "timestamp" else "")
    sqlite.execute("CREATE TABLE things (id integer primary key, c text)")
    sqlite.execute(f"INSERT INTO things VALUES (1, '{time}')")
    sqlite.line(**KEYED).load(WEEK)
    with sqlite.line(**KEYED).warehouse() as opened:
        opened.execute(f"ALTER TABLE src.things ALTER c TYPE {had}")
    for full_refresh in (False, True):
        with pytest.raises(ContractError, match=hint):
            sqlite.line(**KEYED).load(WEEK, full_refresh=full_refresh)
    declared = {**KEYED, "columns": {"c": {"type": has}}}
    sqlite.line(**declared).load(WEEK, full_refresh=True)
    sqlite.line(**declared).load(WEEK)
    assert sqlite.ids(**declared) == [1]


def test_an_empty_table_of_sqlite_does_not_settle_that_its_cursor_is_text(sqlite):
    sqlite.execute("CREATE TABLE things (id integer primary key, c text)")
    sqlite.line(**KEYED).load(WEEK)
    sqlite.execute("INSERT INTO things VALUES (1, '2013-01-02 10:00:00')")
    sqlite.line(**KEYED).load(WEEK)
    assert sqlite.ids(**KEYED) == [1]


# Numbers of MySQL


@pytest.mark.parametrize("table", [KEYED, KEYLESS], ids=["merge", "append"])
@pytest.mark.parametrize(
    ("kind", "last", "more"),
    [("float", "0.7", "0.8"), ("float", "123456789", "123456999"), ("double", "0.1e0 + 0.2e0", "0.4")],
)
def test_a_float_of_mysql_is_read_from_its_last_value_on(mariadb, table, kind, last, more):
    mariadb.execute(f"CREATE TABLE things (id int, c {kind})")
    table = {**table, "incremental": {"cursor": "c", "initial": 0}}
    first, tie = f"INSERT INTO things VALUES (1, {last})", f"INSERT INTO things VALUES (2, {last}), (3, {more})"
    mariadb.loaded_twice(first, tie, **table)
    # without a key a row with the last value is not read, since nothing tells it from the row that was
    assert mariadb.ids(**table) == ([1, 2, 3] if "primary_key" in table else [1, 3])


# Texts


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "latin1_swedish_ci"])
def test_a_text_of_mysql_is_compared_by_its_bytes_whatever_its_collation(mariadb, collation):
    charset = collation.partition("_")[0]
    mariadb.execute(f"CREATE TABLE things (id int, c varchar(9) CHARACTER SET {charset} COLLATE {collation})")
    first, then = "INSERT INTO things VALUES (1, 'a'), (2, 'B'), (3, 'é')", "INSERT INTO things VALUES (4, 'ö')"
    # appended without a key: the last row is not read again
    mariadb.loaded_twice(first, then, **KEYLESS)
    assert mariadb.ids(**KEYLESS) == [1, 2, 3, 4]


@pytest.mark.parametrize("collation", ["en-x-icu", "C"])
def test_a_text_of_postgresql_is_compared_by_its_bytes_whatever_its_collation(postgresql, collation):
    postgresql.execute(f'CREATE TABLE things (id int, c varchar(9) COLLATE "{collation}")')
    first, then = "INSERT INTO things VALUES (1, 'a'), (2, 'B')", "INSERT INTO things VALUES (3, 'b')"
    postgresql.loaded_twice(first, then, **KEYLESS)
    assert postgresql.ids(**KEYLESS) == [1, 2, 3]


@pytest.mark.parametrize(("kind", "value"), [("xid8", "9"), ("pg_lsn", "0/FFFFFFF"), ("interval", "9 days")])
def test_a_cursor_of_postgresql_whose_order_is_not_that_of_its_text_is_refused(postgresql, kind, value):
    postgresql.execute(f"CREATE TABLE things (id int, c {kind})")
    postgresql.execute(f"INSERT INTO things VALUES (1, '{value}')")
    with pytest.raises(BadRequestError, match=f"the cursor c is {kind}, whose order is not that of its text; hint: "):
        postgresql.line(**KEYED).load(WEEK)


@pytest.mark.parametrize(
    ("kind", "first", "then"),
    [
        ("uuid", "00000000-0000-0000-0000-000000000009", "00000000-0000-0000-0000-00000000000a"),
        ("char(3)", "a", "b"),
        ("name", "a", "b"),
    ],
)
def test_a_text_of_postgresql_is_read_from_its_last_value_on(postgresql, kind, first, then):
    postgresql.execute(f"CREATE TABLE things (id int, c {kind})")
    insert = "INSERT INTO things VALUES ({}, '{}')"
    postgresql.loaded_twice(insert.format(1, first), insert.format(2, then), **KEYLESS)
    assert postgresql.ids(**KEYLESS) == [1, 2]


@pytest.mark.parametrize(("older", "newer", "kind"), [("9", "10", "integer"), ("9.5", "10.25", "float")])
def test_digits_that_sqlite_keeps_as_text_are_numbers_where_initial_is_one(sqlite, older, newer, kind):
    sqlite.execute("CREATE TABLE things (id integer primary key, v text, c text)")
    table = {**KEYED, "incremental": {"cursor": "c", "initial": 0}}
    insert, update = f"INSERT INTO things VALUES (1, 'old', '{older}')", f"UPDATE things SET v = 'new', c = '{newer}'"
    assert sqlite.loaded_twice(insert, update, **table).rows_duplicate == 0
    assert [row["v"] for row in sqlite.line(**table).rows()] == ["new"]
    with sqlite.line(**table).warehouse() as opened:
        assert str(opened.columns(sqlite.line(**table).target)["c"]) == kind
