"""A source's own count of what a load reads is the number of rows that the load reads."""

import contextlib
import socket
import sqlite3
import uuid

import psycopg
import pytest
from extract_support import WEEK, read_request, reply, serving
from rest_support import request_of, source_of

from elt_factory.core.connection import Connection
from elt_factory.sources.read import count, read

MOMENTS = ["2012-12-31 23:59:59+00", "2013-01-01 00:00+00", "2013-01-08 00:30+01", "2013-01-08 00:00+00"]
CURSOR = {"cursor": "at", "null_cursor": "ignore"}


def counted(folder, table, connection, **extract):
    request = read_request(folder, {"type": "sql", "connection": "db", **extract}, table, connection)
    there = count(request)
    spool = read(request)
    rows = spool.rows_read
    if rows is None:
        rows = sum(len(file.read_text().splitlines()) - 1 for file in spool.files)
    return there, rows


@pytest.fixture
def postgres():
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 5432), timeout=1).close()
        schema = f"counting_{uuid.uuid4().hex[:8]}"
        server = "host=127.0.0.1 user=postgres dbname=postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"CREATE TABLE {schema}.things (id int, at timestamptz)")
            values = ", ".join(f"({number}, '{at}')" for number, at in enumerate(MOMENTS))
            connection.execute(f"INSERT INTO {schema}.things VALUES {values}, (9, NULL)")
            yield Connection("db", "postgres", "127.0.0.1", 5432, "postgres", "postgres", "unused"), schema
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
        return
    pytest.skip("no PostgreSQL on 127.0.0.1:5432")


def test_postgres_counts_a_table_a_window_and_a_query(postgres, tmp_path):
    connection, schema = postgres
    query = f"SELECT id FROM {schema}.things WHERE at < {{{{ window.end }}}} -- all before"
    for table, rows in (
        ({}, 5),
        ({"incremental": CURSOR}, 2),
        ({"incremental": {**CURSOR, "null_cursor": "include"}, "write_disposition": "replace"}, 3),
        ({"query": query}, 3),
    ):
        assert counted(tmp_path, table, connection, schema=schema) == (rows, rows)
    assert WEEK.start.year == 2013


def test_sqlite_counts_a_table_and_leaves_times_to_the_reader(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute("CREATE TABLE things (id INTEGER, at TEXT)")
        database.executemany("INSERT INTO things VALUES (?, ?)", [(1, "2013-01-01"), (2, "2013-01-09 00:00:00")])
        database.commit()
    connection = Connection("db", "sqlite", host="data.db")
    assert counted(tmp_path, {}, connection) == (2, 2)
    assert counted(tmp_path, {"incremental": CURSOR}, connection)[0] is None


def test_what_only_the_cursor_of_the_load_says_is_not_counted(tmp_path):
    request = read_request(
        tmp_path, {"type": "sql", "connection": "db"}, {"incremental": {"cursor": "id", "initial": 0}}
    )
    assert count(request) is None
    files = read_request(tmp_path, {"type": "files", "folder": "x"}, {"path": "x"})
    assert count(files) is None


TOTAL = """
paginator: {type: page_number, page_param: page, total: meta.total}
"""
OF_AN_API = """
whole: {path: /orders, records: data}
days: {path: /orders, records: data, params: {from: "{{ window.start }}"}}
lists: {path: "/orders/{{ shop }}", records: data, for_each: {shop: [a, b]}}
rows: {path: "/orders/{{ whole.id }}", records: data, for_each: whole}
"""


def test_an_api_counts_by_the_total_of_its_first_page(tmp_path):
    asked = []

    def answer(request):
        asked.append(request.target)
        page = int(request.params.get("page", 1))
        rows = [{"id": number} for number in range(5)][2 * page - 2 : 2 * page]
        return reply({"data": rows, "meta": {"total": 5}})

    with serving(answer) as server:
        for table, rows in (("whole", 5), ("days", 5), ("lists", 10)):
            source = source_of(tmp_path, OF_AN_API, TOTAL)
            request = request_of(server, tmp_path, source, table)
            asked.clear()
            assert count(request) == rows
            assert len(asked) == (2 if table == "lists" else 1)
            assert read(request).rows_read == rows
        # of these an API has no total of its own
        assert count(request_of(server, tmp_path, source, "rows")) is None
        silent = source_of(tmp_path, OF_AN_API, TOTAL.replace(", total: meta.total", ""))
        assert count(request_of(server, tmp_path, silent, "whole")) is None
