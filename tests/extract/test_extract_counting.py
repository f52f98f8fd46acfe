"""A source's own count of what a load reads is the number of rows that the load reads."""

import contextlib
import gzip
import io
import shutil
import socket
import sqlite3
import uuid
from dataclasses import replace

import fastavro
import psycopg
import pyarrow as pa
import pytest
from extract_support import WEEK, read_request, reply, serving
from pyarrow import orc, parquet
from rest_support import request_of, source_of

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, SourceNotReadyError
from elt_factory.extract.request import KnownFile, Ledger
from elt_factory.formats import counting
from elt_factory.formats.counting import filled_lines
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


def files_request(folder, table):
    (folder / "in").mkdir(exist_ok=True)
    return read_request(folder, {"type": "files", "folder": "in"}, {"write_disposition": "append", **table})


def of_the_load(request):
    """What the ledger has of the files once they are loaded, and how many rows were read."""
    spool = read(replace(request, ledger=Ledger()))
    ledger = {one.name: KnownFile(one.size, one.modified_at, one.hash, "load-1") for one in spool.sources}
    shutil.rmtree(request.workdir)
    request.workdir.mkdir()
    return replace(request, ledger=Ledger(ledger)), spool.rows_read


ODD_CSV = 'a title\nid;text\n1;"two\nlines; and a \\"quote\\""\n\n2;\n;\n3;x\ntotal;3\n'


def test_records_of_files_are_counted_by_another_way_than_they_are_read(tmp_path):
    odd = {"type": "csv", "delimiter": ";", "skip_lines": 1, "footer_lines": 1, "skip_blank": True, "escape": "\\"}
    table = pa.table({"id": list(range(7))})
    for name, content, form, rows in (
        ("plain.csv", b'id,text\n1,"a\nb"\n2,c\n', {"type": "csv"}, 2),
        ("odd.csv", ODD_CSV.encode(), odd, 3),
        ("two.csv", "\ufeffid\n1\n2".encode("utf-16-le"), {"type": "csv"}, 2),
        ("doubled.csv", b'id,text\n1,"a ""b"""\n2,c\n', {"type": "csv", "escape": '"'}, 2),
        ("one.csv", b"id\n1\n\n2\n\n", {"type": "csv"}, 4),
        ("one_bare.csv", b"1\n\n2\n", {"type": "csv", "header": False}, 3),
        ("one_mixed.csv", b"id\r\n1\n\n2\r\n", {"type": "csv"}, 3),
        ("one_blank.csv", b"id\n1\n\n2\n", {"type": "csv", "skip_blank": True}, 2),
        ("one_wide.csv", "\ufeffid\r\n1\r\n\r\n2".encode("utf-16-le"), {"type": "csv"}, 3),
        ("bare.csv.gz", gzip.compress(b"1,a\n2,b\n"), {"type": "csv", "header": False}, 2),
        ("lines.ndjson", b'{"id": 1}\n\n  \n{"id": 2}', {"type": "ndjson"}, 2),
        ("rows.parquet", written(table, parquet.write_table), {"type": "parquet"}, 7),
        ("rows.orc", written(table, orc.write_table), {"type": "orc"}, 7),
        ("rows.avro", in_avro(5), {"type": "avro"}, 5),
    ):
        request = files_request(tmp_path, {"path": name, "format": form})
        (tmp_path / "in" / name).write_bytes(content)
        loaded, read_rows = of_the_load(request)
        assert (name, count(loaded), read_rows or rows) == (name, rows, rows)
    # a file of a format that has no other way, and one that is not what was loaded
    (tmp_path / "in" / "list.json").write_text('[{"id": 1}]')
    assert count(of_the_load(files_request(tmp_path, {"path": "list.json", "format": {"type": "json"}}))[0]) is None
    changed, _ = of_the_load(files_request(tmp_path, {"path": "plain.csv"}))
    (tmp_path / "in" / "plain.csv").write_text("id,text\n1,a\n")
    assert count(changed) is None
    (tmp_path / "in" / "plain.csv").unlink()
    assert count(changed) is None


def test_files_of_one_column_have_the_same_records_whatever_lies_next_to_them(tmp_path):
    request = files_request(tmp_path, {"path": "*.csv", "format": {"type": "csv"}})
    for number, content in enumerate((b"id\n1\n\n2\n", b"id\r\n3\n\n4\r\n\n", b'id\n"5 ""x"""\n')):
        (tmp_path / "in" / f"{number}.csv").write_bytes(content)
    loaded, rows = of_the_load(request)
    assert (count(loaded), rows) == (8, 8)
    (tmp_path / "in" / "1.csv").unlink()
    spool = read(request)
    assert spool.rows_read is None  # the landing reads them, and a blank line is a record to it


def written(table, write):
    write(table, found := pa.BufferOutputStream())
    return found.getvalue().to_pybytes()


def in_avro(rows):
    schema = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}
    fastavro.writer(found := io.BytesIO(), schema, [{"id": number} for number in range(rows)])
    return found.getvalue()


def test_a_delivery_says_how_many_rows_it_has_in_a_file_next_to_it_or_in_its_trailer(tmp_path):
    for name, pattern, said in (
        ({"file": "{stem}.ctl"}, None, "42\n"),
        ({"file": "{name}.count"}, r"rows=(\d+)", "date=20130101 rows=42"),
        ({"file": "control/{stem}.txt"}, r"^{name},(\d+)", "other.csv,7\nday.csv,42\n"),
        ({}, r"^T\|(\d+)$", ""),
    ):
        declared = {**name, **({"pattern": pattern} if pattern else {})}
        table = {"path": "sub/day.csv", "declared_rows": declared, "format": {"type": "csv", "footer_lines": 1}}
        request = files_request(tmp_path, table)
        folder = tmp_path / "in" / "sub"
        (folder / "control").mkdir(parents=True, exist_ok=True)
        (folder / "day.csv").write_text("id\n1\n2\nT|42\n")
        loaded, _ = of_the_load(request)
        if name:
            with pytest.raises(SourceNotReadyError, match=r"is not there; hint: it is expected next to sub/day\.csv"):
                count(loaded)
            control = folder / name["file"].format(stem="day", name="day.csv")
            control.write_text(said)
        assert count(loaded) == 42
        if name:
            control.write_text("none")
            with pytest.raises(BadDataError, match="does not say how many rows there are"):
                count(loaded)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_trailer_in_utf_16_is_read_as_the_file_is(tmp_path, encoding):
    form = {"type": "csv", "encoding": "utf-16", "footer_lines": 1}
    table = {"path": "day.csv", "declared_rows": {"pattern": r"^T\|(\d+)$"}, "format": form}
    request = files_request(tmp_path, table)
    rows = "".join(f"{number}\n" for number in range(20_000))
    (tmp_path / "in" / "day.csv").write_text(f"id\n{rows}T|42\n", encoding=encoding)
    assert count(of_the_load(request)[0]) == 42


def test_copies_of_files_are_gone_once_they_are_counted(tmp_path):
    request = files_request(tmp_path, {"path": "*.csv.gz"})
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv.gz").write_bytes(gzip.compress(b"id\n1\n2\n"))
    loaded, _ = of_the_load(request)
    assert count(loaded) == 4
    assert [one for one in loaded.workdir.rglob("*") if one.is_file()] == []
    assert sorted(one.name for one in (tmp_path / "in").iterdir()) == ["a.csv.gz", "b.csv.gz"]


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


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"", 0), (b" \n\n", 0), (b"abc\n   \nde", 2), (b"\xef\xbb\xbf\n  x\n", 1), (b"  x  ", 1)],
)
def test_a_line_that_is_as_long_as_the_file_is_counted_in_pieces(tmp_path, monkeypatch, content, lines):
    file = tmp_path / "a.ndjson"
    file.write_bytes(content)
    for piece in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(counting, "_PIECE", piece)
        assert filled_lines(None, file) == lines
