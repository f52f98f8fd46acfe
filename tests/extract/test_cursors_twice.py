"""Cursors from a database into a warehouse and back: what a load has kept of one is where the next begins."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pymysql
import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
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
