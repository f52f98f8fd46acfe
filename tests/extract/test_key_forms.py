"""Keys that are text, of a column that gets another type at its source: no row is there twice."""

from __future__ import annotations

import os
import uuid

import duckdb
import pytest
import sqlalchemy as sa
from bson import ObjectId
from extract_support import WEEK, read_request
from mssql_python.constants import ConstantsDDBC

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError
from elt_factory.core.window import Window
from elt_factory.sources.read import read
from elt_factory.sources.sql import mssql
from elt_factory.testing.loads import Line, source_of
from mongo_server import mongo_running

pytestmark = pytest.mark.services

NEXT = Window(WEEK.end, WEEK.end + (WEEK.end - WEEK.start))
POSTGRES = Connection("db", "postgres", host="127.0.0.1", port=5432, schema="test", login="postgres", password="unused")
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


@pytest.fixture
def loaded(postgres, schema, tmp_path):
    """Load a table whose key has a type, and its rows again after the type has changed."""

    def run(kind: str, key: str, change: str) -> Line:
        postgres.execute("DROP TABLE IF EXISTS keyed")
        postgres.execute(f"CREATE TABLE keyed (id {kind} PRIMARY KEY, v int)")
        postgres.execute(f"INSERT INTO keyed VALUES ('{key}', 1)")
        table = {"primary_key": ["id"], "write_disposition": "merge", "columns": {"id": {"type": "text"}}}
        extract = {"type": "sql", "connection": "db", "schema": schema}
        config = {"name": "src", "start_date": "2013-01-01", "extract": extract, "tables": {"keyed": table}}
        line = Line(source_of(config, tmp_path), POSTGRES, tmp_path, lambda _: None)
        line.load(WEEK)
        postgres.execute(f"ALTER TABLE keyed ALTER id TYPE {change}")
        line.load(NEXT)
        return line

    return run


@pytest.mark.parametrize(
    ("kind", "key", "change", "said"),
    [
        ("char(6)", "ab", "varchar(6)", r"id was char\(6\), and is text"),
        ("char(6)", "ab", "char(8)", r"id was char\(6\), and is char\(8\)"),
        ("uuid", UUID, "text USING replace(id::text, '-', '')", "id was uuid, and is text"),
        ("int", "12", "text USING lpad(id::text, 5, '0')", "id was integer, and is text"),
        ("numeric(5,1)", "1.0", "numeric(6,2)", "id was decimal of scale 1, and is decimal of scale 2"),
    ],
)
def test_a_key_that_another_type_writes_otherwise_fails_the_load(loaded, kind, key, change, said):
    with pytest.raises(BadDataError, match=said):
        loaded(kind, key, change)


@pytest.mark.parametrize(
    ("kind", "key", "change"),
    [
        ("varchar(10)", "ab", "varchar(20)"),
        ("varchar(10)", "ab ", "text"),
        ("char(2)", "ab", "varchar(2)"),
        ("uuid", UUID, "text"),
        ("int", "12", "bigint"),
        ("numeric(5,1)", "1.0", "numeric(9,1)"),
    ],
)
def test_a_change_that_leaves_keys_as_they_are_written_loads_on(loaded, kind, key, change):
    assert len(loaded(kind, key, change).rows()) == 1


def test_an_enum_of_postgresql_is_text_whatever_number_it_has_since_it_was_restored(postgres, schema, tmp_path):
    postgres.execute("CREATE TYPE mood AS ENUM ('a')")
    postgres.execute("CREATE TABLE things (a mood, b char(2))")
    given = {"type": "sql", "connection": "db", "schema": schema}
    assert read(read_request(tmp_path, given, {}, POSTGRES)).forms == {"a": "text", "b": "char(2)"}


@pytest.fixture
def mariadb():
    name = f"keys_{uuid.uuid4().hex[:10]}"
    server = sa.create_engine("mysql+pymysql://root@127.0.0.1:3306", poolclass=sa.NullPool)
    try:
        database = server.connect()
    except sa.exc.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no MariaDB to test with: {error}")
    with database:
        database.exec_driver_sql(f"CREATE DATABASE {name}")
        database.exec_driver_sql(
            f"CREATE TABLE {name}.things (a UUID, b CHAR(36), c INET6, d DECIMAL(5,2), e BINARY(4))"
        )
        yield Connection("db", "mysql", host="127.0.0.1", port=3306, schema=name, login="root")
        database.exec_driver_sql(f"DROP DATABASE {name}")


def test_databases_say_how_they_write_what_is_text_here(tmp_path, mariadb):
    with duckdb.connect(str(tmp_path / "source.duckdb")) as database:
        database.execute("CREATE TABLE things (a UUID, b VARCHAR, c ENUM ('x'), d DECIMAL(5,2))")
    given, in_duckdb = {"type": "sql", "connection": "db"}, Connection("db", "duckdb", host="source.duckdb")
    assert [read(read_request(tmp_path, given, {}, connection)).forms for connection in (mariadb, in_duckdb)] == [
        {"a": "UUID or INET", "b": "text", "c": "UUID or INET", "d": "decimal of scale 2", "e": "binary(4)"},
        {"a": "UUID", "b": "text", "c": "ENUM", "d": "decimal of scale 2"},
    ]
    of_char = ("id", str, None, 6, 6, 0, True)
    codes = [ConstantsDDBC[name].value for name in ("SQL_GUID", "SQL_CHAR", "SQL_BINARY", "SQL_VARCHAR")]
    assert [mssql.form_of_key(code, of_char) for code in codes] == ["uniqueidentifier", "char(6)", "binary(6)", ""]


@pytest.fixture
def orders(tmp_path):
    """A collection and its table."""
    with mongo_running() as server:

        def made(**more):
            table = {"primary_key": ["_id"], "write_disposition": "merge", **more}
            config = {"name": "src", "extract": {"type": "mongodb", "connection": "db"}, "tables": {"orders": table}}
            connection = Connection("db", "mongo", host="127.0.0.1", port=server.port, schema="shop")
            return server, Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)

        yield made


@pytest.mark.parametrize("column", [{"type": "text"}, {"pii": "hash"}])
def test_keys_of_mongodb_are_of_any_types_in_any_load(orders, column):
    server, line = orders(columns={"_id": column})
    server.fill("shop", "orders", {"_id": "12"}, {"_id": ObjectId("507f1f77bcf86cd799439011")})
    line.load(WEEK)
    for rows, key in ((3, "00012"), (4, 7)):
        server.store["shop"].drop_collection("orders")
        server.fill("shop", "orders", {"_id": key})
        assert line.load(NEXT).total_rows == rows


def test_bytes_of_mongodb_next_to_text_are_loaded_into_a_column_that_is_binary(orders):
    server, line = orders()
    server.fill("shop", "orders", {"_id": 1, "v": b"\x00\xff"})
    line.load(WEEK)
    server.fill("shop", "orders", {"_id": 2, "v": b"\x01"}, {"_id": 3, "v": "02"}, {"_id": 4, "v": "xyz"})
    report = line.load(NEXT)
    assert (report.rows_loaded, report.rows_rejected) == (3, 1)
    assert sorted(row["v"] for row in line.rows()) == [b"\x00\xff", b"\x01", b"\x02"]
