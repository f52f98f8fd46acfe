from __future__ import annotations

import contextlib
import csv
import json
import socket
import struct
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
from extract_support import SECRET, read_request
from psycopg import sql
from pydantic import ValidationError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadRequestError,
    EltError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.core.window import Window
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import CursorRange
from elt_factory.landing.casting import cast_text
from elt_factory.landing.csv_files import by_header
from elt_factory.sources.read import read
from elt_factory.sources.sql import postgres as postgres_reader
from elt_factory.sources.sql.discovery import Tables, look_at_tables

SERVER = Connection("db", "postgres", host="127.0.0.1", port=5432, schema="test", login="postgres", password="unused")
DAY = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))


@pytest.fixture
def read_table(tmp_path, schema):
    def run(connection=SERVER, source_schema=schema, fetch_rows=50_000, **more):
        table = {
            key: more.pop(key)
            for key in ("table", "query", "incremental", "primary_key", "write_disposition", "deletes", "partitions")
            if key in more
        }
        extract = {"type": "sql", "connection": "db", "schema": source_schema, "fetch_rows": fetch_rows}
        return read(read_request(tmp_path, extract, table, connection, **{"window": DAY, **more}))

    return run


def values(spool) -> list[tuple]:
    if spool.format == "parquet":
        return [tuple(row.values()) for row in pq.read_table(spool.files[0]).to_pylist()]
    names = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in columns(spool))
    options = "header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false"
    query = f"SELECT * FROM read_csv('{spool.files[0]}', auto_detect = false, columns = {{{names}}}, {options})"
    return duckdb.connect().execute(query).fetchall()


def quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def columns(spool) -> list[str]:
    if spool.format == "parquet":
        return pq.read_schema(spool.files[0]).names
    with spool.files[0].open(newline="") as lines:
        return next(csv.reader(lines))


def made(postgres, name, definition, *rows) -> None:
    postgres.execute(f"DROP TABLE IF EXISTS {name} CASCADE")
    postgres.execute(f"CREATE TABLE {name} ({definition})")
    for row in rows:
        postgres.execute(f"INSERT INTO {name} VALUES ({row})")


EVERYTHING = {
    "i2 smallint": ("integer", "-1", "-1"),
    "i4 integer": ("integer", "-2147483648", "-2147483648"),
    "i8 bigint": ("integer", "9223372036854775807", "9223372036854775807"),
    "f4 real": ("float", "0.1", "0.1"),
    "f8 double precision": ("float", "0.1::float8 + 0.2", "0.30000000000000004"),
    "money numeric(18,2)": ("decimal(18,2)", "1234567890123456.78", "1234567890123456.78"),
    "free numeric": ("decimal(38,9)", "1.123456789012345678901", "1.123456789012345678901"),
    "wide numeric(50,2)": ("decimal(38,9)", "1", "1.00"),
    "yes boolean": ("boolean", "true", "true"),
    "no boolean": ("boolean", "false", "false"),
    "day date": ("date", "'2013-01-02'", "2013-01-02"),
    "clock time": ("time", "'05:06:07.5'", "05:06:07.5"),
    "wall timestamp": ("datetime", "'2013-01-02 03:04:05.678901'", "2013-01-02 03:04:05.678901"),
    "instant timestamptz": ("timestamp", "'2013-01-02 03:04:05+02'", "2013-01-02 01:04:05+00"),
    "plain json": ("json", """'{"a":  1}'""", '{"a":  1}'),
    "doc jsonb": ("json", """'{"a":[1,null]}'""", '{"a": [1, null]}'),
    "raw bytea": ("binary", r"'\x00ff'", "00ff"),
    "name text": ("text", "E'a,\"b\"\n\\\\.'", 'a,"b"\n\\.'),
    "code varchar(5)": ("text", "''", ""),
    "id uuid": ("text", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "list integer[]": ("json", "'{1,NULL,3}'", "[1,null,3]"),
    "words text[]": ("json", "ARRAY['a\"b','']", '["a\\"b",""]'),
    '"Odd ""Name%s" text': ("text", "'x'", "x"),
    "mood feeling": ("text", "'glad'", "glad"),
    "amount cents": ("integer", "7", "7"),
    "span interval": ("text", "'1 day 2 hours'", "P1DT2H"),
}
RARE = {
    "cash money": ("decimal(19,2)", "'-1234567.89'", "-1234567.89"),
    "tiny numeric(3,5)": ("decimal(5,5)", "0.00123", "0.00123"),
    "round numeric(3,-2)": ("decimal(5,0)", "12345", "12300"),
    "zoned timetz": ("text", "'12:00:00.5+02'", "12:00:00.5+02"),
    "fixed char(5)": ("text", "'ab'", "ab   "),
    'letter "char"': ("text", "'c'", "c"),
    "label name": ("text", "'n'", "n"),
    "ip inet": ("text", "'::1/64'", "::1/64"),
    "net cidr": ("text", "'10.0.0.0/8'", "10.0.0.0/8"),
    "mac macaddr": ("text", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    "flags bit(8)": ("text", "B'00010010'", "00010010"),
    "more_flags varbit": ("text", "B'101'", "101"),
    "numbers int4range": ("text", "'[1,5)'", "[1,5)"),
    "gaps int4multirange": ("text", "'{[1,2),[5,9)}'", "{[1,2),[5,9)}"),
    "period tstzrange": ("text", "'[2013-01-01 00:00+02,)'", '["2012-12-31 22:00:00+00",)'),
    "lexemes tsvector": ("text", "'b a:1'", "'a':1 'b'"),
    "markup xml": ("text", "'<a>1</a>'", "<a>1</a>"),
    "place point": ("text", "'(1,2)'", "(1,2)"),
    "position pg_lsn": ("text", "'0/16B3748'", "0/16B3748"),
    "object oid": ("integer", "4294967295", "4294967295"),
    "line_of line": ("text", "'{1,2,3}'", "{1,2,3}"),
    "piece lseg": ("text", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"),
    "frame box": ("text", "'(1,2),(3,4)'", "(3,4),(1,2)"),
    "way path": ("text", "'((1,2),(3,4))'", "((1,2),(3,4))"),
    "field polygon": ("text", "'((1,2),(3,4))'", "((1,2),(3,4))"),
    "ring circle": ("text", "'<(1,2),3>'", "<(1,2),3>"),
    "mac8 macaddr8": ("text", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"),
    "big_range int8range": ("text", "'[1,5]'", "[1,6)"),
    "num_range numrange": ("text", "'(1.5,]'", "(1.5,)"),
    "walls tsrange": ("text", "'[2013-01-01,)'", '["2013-01-01 00:00:00",)'),
    "days daterange": ("text", "'[2013-01-01,2013-01-03]'", "[2013-01-01,2013-01-04)"),
    "big_gaps int8multirange": ("text", "'{[1,2)}'", "{[1,2)}"),
    "num_gaps nummultirange": ("text", "'{[1,2)}'", "{[1,2)}"),
    "day_gaps datemultirange": ("text", "'{[2013-01-01,2013-01-02)}'", "{[2013-01-01,2013-01-02)}"),
    "wall_gaps tsmultirange": ("text", "'{[2013-01-01,)}'", '{["2013-01-01 00:00:00",)}'),
    "periods tstzmultirange": ("text", "'{[2013-01-01 00:00+02,)}'", '{["2012-12-31 22:00:00+00",)}'),
    "search tsquery": ("text", "'a & b'", "'a' & 'b'"),
    "seen pg_snapshot": ("text", "'10:20:10,14'", "10:20:10,14"),
    "seen_before txid_snapshot": ("text", "'10:20:10,14'", "10:20:10,14"),
    "transaction xid": ("text", "'3'", "3"),
    "transaction8 xid8": ("text", "'18446744073709551615'", "18446744073709551615"),
    "command cid": ("text", "'3'", "3"),
    "tuple tid": ("text", "'(0,1)'", "(0,1)"),
    "reader refcursor": ("text", "'c'", "c"),
    "rights aclitem": ("text", "'postgres=r/postgres'", "postgres=r/postgres"),
    "a_class regclass": ("text", "'pg_class'", "pg_class"),
    "a_collation regcollation": ("text", "'\"C\"'", '"C"'),
    "a_config regconfig": ("text", "'simple'", "simple"),
    "a_dictionary regdictionary": ("text", "'simple'", "simple"),
    "a_namespace regnamespace": ("text", "'pg_catalog'", "pg_catalog"),
    "an_oper regoper": ("text", "'^@'", "^@"),
    "an_operator regoperator": ("text", "'+(integer,integer)'", "+(integer,integer)"),
    "a_proc regproc": ("text", "'now'", "now"),
    "a_procedure regprocedure": ("text", "'now()'", "now()"),
    "a_role regrole": ("text", "'postgres'", "postgres"),
    "a_type regtype": ("text", "'int4'", "integer"),
    "oids oidvector": ("json", "'1 2'", '["1","2"]'),
    "small_ones int2vector": ("json", "'1 2'", "[1,2]"),
    "path jsonpath": ("text", "'$.a'", '$."a"'),
    "pairs public.hstore": ("json", "'a=>1, b=>NULL'", '{"a": "1", "b": null}'),
    "twin pair": ("json", "ROW(1, 'a b')", '{"x":1,"y":"a b"}'),
    "twins pair[]": ("json", "ARRAY[ROW(1, NULL)::pair]", '[{"x":1,"y":null}]'),
    "moods feeling[]": ("json", "ARRAY['sad'::feeling]", '["sad"]'),
    "grid integer[][]": ("json", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"),
    "blobs bytea[]": ("json", r"ARRAY['\x00ff'::bytea]", r'["\\x00ff"]'),
    # what other systems do not have comes as the server says it, and is the trouble of its value
    "never date": ("date", "'-infinity'", "-infinity"),
    "ides date": ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
    "far timestamp": ("datetime", "'infinity'", "infinity"),
    "old timestamptz": ("timestamp", "'0044-03-15 12:00+00 BC'", "0044-03-15 12:00:00+00 BC"),
    "nan numeric": ("decimal(38,9)", "'NaN'", "NaN"),
    "nan8 double precision": ("float", "'NaN'", "NaN"),
    "huge double precision": ("float", "'-Infinity'", "-Infinity"),
    "midnight time": ("time", "'24:00'", "24:00:00"),
}
NO_VALUES = ("never", "ides", "far", "old", "nan", "midnight")


@pytest.fixture(scope="module")
def everything(postgres):
    postgres.execute("CREATE TYPE feeling AS ENUM ('glad', 'sad')")
    postgres.execute("CREATE DOMAIN cents AS integer")
    postgres.execute("CREATE TYPE pair AS (x integer, y text)")
    postgres.execute("SELECT pg_advisory_lock(800)")  # two processes of tests may make it at once
    postgres.execute("CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public")
    postgres.execute("SELECT pg_advisory_unlock(800)")
    made(postgres, "everything", ", ".join(EVERYTHING), ", ".join(v for _, v, _ in EVERYTHING.values()))
    postgres.execute("INSERT INTO everything DEFAULT VALUES")
    made(postgres, "rare", ", ".join(RARE), ", ".join(v for _, v, _ in RARE.values()))


def test_every_type_keeps_its_value_and_tells_its_type(everything, read_table):
    spool = read_table(table="everything")
    names = columns(spool)
    assert {name: str(spool.types[name]) for name in names} == {
        name: str(kind) for name, (kind, _, _) in zip(names, EVERYTHING.values(), strict=True)
    }
    filled, empty = values(spool)
    assert filled == tuple(expected for _, _, expected in EVERYTHING.values())
    assert empty == (None,) * len(names)
    assert (spool.format, spool.rows_read) == ("csv", 2)


@pytest.mark.parametrize("how", ["table", "query"])
def test_rare_types_have_their_value_and_their_type(everything, schema, read_table, how):
    spool = read_table(**({"table": "rare"} if how == "table" else {"query": f"select * from {schema}.rare"}))
    found = dict(zip(columns(spool), zip(values(spool)[0], map(str, spool.types.values()), strict=True), strict=True))
    expected = {name: (text, kind) for name, (kind, _, text) in zip(found, RARE.values(), strict=True)}
    assert found == expected


# what the server keeps for itself: no one can write a value of it
INTERNAL = {"gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list",
            "pg_ndistinct", "pg_node_tree"}  # fmt: skip


def test_every_type_of_the_server_is_tested(postgres, everything):
    tested = (
        "SELECT atttypid FROM pg_attribute WHERE attnum > 0 AND attrelid IN ('everything'::regclass, 'rare'::regclass)"
    )
    query = (
        "SELECT typname FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace WHERE nspname = 'pg_catalog' "
        f"AND typtype IN ('b', 'r', 'm') AND typname NOT LIKE '\\_%' AND pg_type.oid NOT IN ({tested})"
    )
    assert {name for (name,) in postgres.execute(query).fetchall()} == INTERNAL


def test_a_null_of_every_type_is_no_value(everything, postgres, read_table):
    postgres.execute("CREATE TABLE IF NOT EXISTS nothing_rare (LIKE rare)")
    postgres.execute("INSERT INTO nothing_rare DEFAULT VALUES")
    assert set(values(read_table(table="nothing_rare"))[0]) == {None}


def test_what_no_warehouse_holds_is_no_value_and_all_else_is(everything, read_table):
    spool = read_table(table="rare")
    names = columns(spool)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        raw = dict(zip(names, values(spool)[0], strict=True))
        cast = {
            name: database.execute(
                f"SELECT {cast_text('v', spool.types[name])} FROM (SELECT ? AS v)", [text]
            ).fetchone()
            for name, text in raw.items()
        }
    assert tuple(name for name, (value,) in cast.items() if value is None) == NO_VALUES


def test_a_query_has_types_too(everything, schema, read_table):
    query = f"select i2 * 2 as twice, day, money, raw, yes from {schema}.everything where i2 < 0; "
    spool = read_table(query=query)
    assert values(spool) == [("-2", "2013-01-02", "1234567890123456.78", "00ff", "true")]
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "twice": "integer", "day": "date", "money": "decimal(18,2)", "raw": "binary", "yes": "boolean",
    }  # fmt: skip


def test_text_does_not_depend_on_how_the_role_is_set_up(everything, read_table):
    options = "-c timezone=Asia/Tokyo -c datestyle=German -c extra_float_digits=-5 -c bytea_output=escape"
    connection = Connection("db", "postgresql", "127.0.0.1", 5432, "test", "postgres", extra={"options": options})
    assert values(read_table(connection, table="everything"))[0] == tuple(v for _, _, v in EVERYTHING.values())


def test_one_column_keeps_its_empty_rows(postgres, read_table):
    made(postgres, "one", "a text", "'x'", "NULL", "''", "NULL", r"'\.'")
    spool = read_table(table="one")
    assert values(spool) == [("x",), (None,), ("",), (None,), ("\\.",)]
    assert spool.rows_read == 5


@pytest.mark.parametrize("name", ["a;b", "a|b", "a\tb", " a ", 'say "it"'])
def test_a_single_column_is_one_whatever_its_name_and_values_look_like(postgres, read_table, name):
    made(postgres, "alone", sql.SQL("{} text").format(sql.Identifier(name)).as_string(postgres), "'x;y'", "'z|1;2'")
    assert by_header(read_table(table="alone")).keys() == {(name,)}


def test_a_query_may_end_in_a_comment_and_hold_any_sign(read_table):
    spool = read_table(query="select '100%s {x} :y' as \"a:b\" -- the end;")
    assert (columns(spool), values(spool)) == (["a:b"], [("100%s {x} :y",)])


def test_no_rows_leave_a_header_line(postgres, read_table):
    made(postgres, "none", "a int, b text")
    spool = read_table(table="none")
    assert (spool.files[0].read_bytes(), spool.rows_read) == (b"a,b\n", 0)


def test_views_and_materialised_views_are_tables(postgres, read_table):
    made(postgres, "base", "a int", "1")
    postgres.execute("CREATE VIEW seen AS SELECT a + 1 AS b FROM base")
    postgres.execute("CREATE MATERIALIZED VIEW kept AS SELECT a + 2 AS c FROM base")
    assert values(read_table(table="seen")) == [("2",)]
    assert values(read_table(table="kept")) == [("3",)]


@pytest.fixture(params=["copy", "cursor"])
def either(request, read_table):
    """The COPY path, and the path of every other database on the same server."""
    kinds = {"copy": "postgres", "cursor": "postgresql+psycopg"}
    connection = Connection("db", kinds[request.param], "127.0.0.1", 5432, "test", "postgres", "unused")
    return lambda **more: read_table(connection, **more)


@pytest.mark.parametrize(
    ("kind", "zone", "inside", "outside"),
    [
        ("timestamptz", "UTC", ["2013-01-01 00:00+00", "2013-01-01 23:59:59.999999+00"], ["2013-01-02 00:00+00"]),
        ("timestamptz", "UTC", ["2013-01-02 00:30+01"], ["2013-01-01 00:30+01"]),
        (
            "timestamp",
            "America/New_York",
            ["2013-01-01", "2013-01-01 23:59:59.999999"],
            ["2012-12-31 23:59", "2013-01-02"],
        ),
        ("date", "UTC", ["2013-01-01"], ["2012-12-31", "2013-01-02"]),
    ],
)
def test_a_window_takes_its_start_and_leaves_its_end(postgres, either, kind, zone, inside, outside):
    made(postgres, "timed", f"at {kind}", *(f"'{text}'" for text in [*inside, *outside]), "NULL")
    spool = either(table="timed", incremental={"cursor": "at"}, timezone=zone)
    assert spool.rows_read == len(inside)


def test_dates_are_days_of_the_sources_zone(postgres, either):
    made(postgres, "days", "d date", *(f"'2013-01-0{day}'" for day in (1, 2, 3)))
    whole_day = Window(datetime(2013, 1, 2, 5, tzinfo=UTC), datetime(2013, 1, 3, 5, tzinfo=UTC))
    spool = either(table="days", incremental={"cursor": "d"}, window=whole_day, timezone="America/New_York")
    assert values(spool) == [("2013-01-02",)]
    begins_in_the_day = Window(datetime(2013, 1, 1, 12, tzinfo=UTC), datetime(2013, 1, 2, 12, tzinfo=UTC))
    assert values(either(table="days", incremental={"cursor": "d"}, window=begins_in_the_day)) == [("2013-01-02",)]


@pytest.mark.parametrize("kind", ["integer", "bigint", "numeric", "numeric(10,0)"])
@pytest.mark.parametrize(
    ("cursor", "initial", "expected"),
    [
        (CursorRange(), None, ["1", "2", "3", "4"]),
        (CursorRange(), 2, ["2", "3", "4"]),
        (CursorRange(after="2"), 1, ["3", "4"]),
        (CursorRange(after="1", upto="3"), None, ["2", "3"]),
        (CursorRange(upto="2"), None, ["1", "2"]),
    ],
)
def test_a_number_is_read_after_the_last_up_to_the_end(postgres, either, kind, cursor, initial, expected):
    made(postgres, "numbered", f"id {kind}", "1", "2", "3", "4")
    spool = either(table="numbered", incremental={"cursor": "id", "initial": initial}, cursor=cursor)
    assert sorted(row[0] for row in values(spool)) == expected


def test_the_keys_of_all_rows_are_those_of_the_moment_of_the_rows(postgres, schema, read_table, monkeypatch):
    about = {"incremental": {"cursor": "at"}, "primary_key": ["id", "part"], "write_disposition": "merge"}
    real = Progress.done

    def done(self, rows, pages=0):
        postgres.execute("DELETE FROM keyed WHERE id = 2")  # the rows are read, the keys are not yet
        real(self, rows, pages)

    monkeypatch.setattr(Progress, "done", done)
    for origin in ({"table": "keyed"}, {"query": f"select * from {schema}.keyed -- all"}):
        made(postgres, "keyed", "id bigint, part text, at timestamptz", "1, '', '2013-01-01'", "2, 'b', '2015-01-01'")
        spool = read_table(**origin, **about, deletes="compare")
        assert sorted(values(spool.keys)) == [("1", ""), ("2", "b")]
        assert {name: str(kind) for name, kind in spool.keys.types.items()} == {"id": "integer", "part": "text"}


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 5, 1000])
def test_parts_of_a_table_have_each_row_once_and_are_of_one_moment(postgres, read_table, monkeypatch, parts, rows):
    made(postgres, "parted", "id bigint, v text")
    postgres.execute("INSERT INTO parted SELECT g * 7 - 50, 'v' FROM generate_series(1, %s) g", [rows])
    postgres.execute("INSERT INTO parted VALUES (NULL, 'null')") if rows else None
    real = postgres_reader._connected
    opened = []

    def connected(connection, silence, snapshot=""):
        if snapshot and not opened.append(1) and len(opened) == 1:
            postgres.execute("DELETE FROM parted; INSERT INTO parted VALUES (1, 'late')")
        return real(connection, silence, snapshot)

    monkeypatch.setattr(postgres_reader, "_connected", connected)
    spool = read_table(table="parted", primary_key=["id"], partitions=parts)
    found = [line for file in spool.files for line in csv.reader(file.read_text().splitlines()[1:])]
    expected = [str(number * 7 - 50) for number in range(1, rows + 1)] + ([""] if rows else [])
    assert sorted(key for key, _ in found) == sorted(expected)
    assert (spool.rows_read, len(spool.files)) == (len(expected), parts if rows else 1)
    longest = max(len(line) for file in spool.files for line in file.read_bytes().splitlines(keepends=True))
    assert (spool.longest, spool.integers) == (longest, {"id"})


def test_rows_that_a_writer_moves_between_parts_while_they_are_read_come_once(postgres, read_table, monkeypatch):
    made(postgres, "moving", "id bigint, v text")
    postgres.execute("INSERT INTO moving SELECT g, g::text FROM generate_series(-100, 100) g WHERE g <> 0")
    real, moves = postgres_reader._connected, []

    def connected(connection, silence, snapshot=""):
        if snapshot:
            # every row leaves its range for that of another part, before each part begins
            moves.append(postgres.execute("UPDATE moving SET id = -id").rowcount)
        return real(connection, silence, snapshot)

    monkeypatch.setattr(postgres_reader, "_connected", connected)
    spool = read_table(table="moving", primary_key=["id"], partitions=4)
    found = [line for file in spool.files for line in csv.reader(file.read_text().splitlines()[1:])]
    assert moves == [200] * 4
    assert sorted(int(v) for _, v in found) == [number for number in range(-100, 101) if number]
    assert all(key == v for key, v in found)


def test_the_longest_record_may_have_many_lines(postgres, read_table):
    made(postgres, "lines", "id int, v text", "1, E'a\\nb\\n\"c\"'", "2, 'short'")
    spool = read_table(table="lines")
    assert spool.longest == len(b'1,"a\nb\n""c"""\n')


def test_parts_keep_to_the_window_and_need_a_whole_number(postgres, read_table):
    made(postgres, "parted_by_time", "id int, at timestamptz", "1, '2013-01-01'", "2, '2013-01-01'", "3, '2015-01-01'")
    incremental = {"cursor": "at", "null_cursor": "include"}
    spool = read_table(table="parted_by_time", primary_key=["id"], partitions=2, incremental=incremental)
    assert spool.rows_read == 2
    with pytest.raises(ValidationError, match="partitions are ranges of the primary_key, which is missing"):
        read_table(table="parted_by_time", partitions=2)
    with pytest.raises(BadRequestError, match=r"partitions needs a whole number .* at is timestamp; hint: remove"):
        read_table(table="parted_by_time", primary_key=["at"], partitions=2)


def test_a_part_that_fails_stops_the_others(postgres, schema, read_table):
    made(postgres, "uneven", "id bigint")
    postgres.execute("INSERT INTO uneven SELECT generate_series(1, 20)")
    postgres.execute(
        f"CREATE VIEW {schema}.slow_view AS SELECT id, "
        "CASE WHEN id = 1 THEN 1 / (id - 1) ELSE length(pg_sleep(3)::text) END AS v FROM uneven"
    )
    began = time.monotonic()
    with pytest.raises(BadRequestError, match="division by zero"):
        read_table(table="slow_view", primary_key=["id"], partitions=2)
    assert time.monotonic() - began < 10


def test_parts_of_a_numeric_key_have_what_is_no_number_too(postgres, read_table):
    made(postgres, "parted_numeric", "id numeric(9,0)", "1", "'NaN'", "5")
    spool = read_table(table="parted_numeric", primary_key=["id"], partitions=3)
    found = [line[0] for file in spool.files for line in csv.reader(file.read_text().splitlines()[1:])]
    assert sorted(line for line in found) == ["1", "5", "NaN"]
    assert (spool.rows_read, len(spool.files)) == (3, 3)


def test_a_text_cursor_is_read_after_the_last(postgres, read_table):
    made(postgres, "ulids", "id text", "'01A'", "'01B'", "'O''C'")
    spool = read_table(table="ulids", incremental={"cursor": "id"}, cursor=CursorRange(after="01A"))
    assert values(spool) == [("01B",), ("O'C",)]
    spool = read_table(table="ulids", incremental={"cursor": "id"}, cursor=CursorRange(after="O'C"))
    assert values(spool) == []


def test_a_text_cursor_of_digits_is_text(postgres, read_table):
    made(postgres, "digits", "id text", "'007'", "'008'", "'10'")
    found = values(read_table(table="digits", incremental={"cursor": "id"}, cursor=CursorRange("007", "10")))
    assert found == [("008",), ("10",)]


def test_an_incremental_query_is_cut_from_outside(postgres, schema, read_table):
    made(postgres, "numbered", "id int", "1", "2", "3")
    query = f"select id * 10 as ten from {schema}.numbered order by 1 desc -- all"
    spool = read_table(query=query, incremental={"cursor": "ten"}, cursor=CursorRange(after="10"))
    assert values(spool) == [("30",), ("20",)]


def test_the_plain_cursor_reads_every_type_as_text(everything, read_table):
    connection = Connection("db", "postgresql+psycopg", "127.0.0.1", 5432, "test", "postgres", "unused")
    spool = read_table(connection, table="everything", fetch_rows=1)
    filled, empty = values(spool)
    found = dict(zip(columns(spool), filled, strict=True))
    assert set(empty) == {None}
    assert {str(pq.read_schema(spool.files[0]).field(name).type) for name in found} == {"string"}
    same = ["i2", "i8", "f4", "f8", "money", "free", "yes", "no", "day", "name", "code", "id", "raw", "mood"]
    expected = dict(zip(found, (v for _, _, v in EVERYTHING.values()), strict=True))
    assert {name: found[name] for name in same} == {name: expected[name] for name in same}
    assert found["wall"] == "2013-01-02T03:04:05.678901"
    assert datetime.fromisoformat(found["instant"]) == datetime(2013, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert json.loads(found["doc"]) == {"a": [1, None]}
    assert json.loads(found["list"]) == [1, None, 3]
    kinds = dict(zip(found, (kind for kind, _, _ in EVERYTHING.values()), strict=True))
    declared = {name: kind for name, kind in kinds.items() if name not in ("span", "amount")}
    assert {name: str(spool.types[name]) for name in declared} == declared


def test_a_missing_table_names_the_near_one(postgres, either):
    made(postgres, "airports", "faa text")
    with pytest.raises(BadRequestError, match=r'src\.things: .*airport.*did you mean "airports"\?'):
        either(table="airport")


def test_the_table_is_named_like_its_key_unless_told(postgres, read_table):
    made(postgres, "things", "a int", "5")
    assert values(read_table()) == [("5",)]


def test_a_missing_schema_names_the_near_one(schema, read_table):
    with pytest.raises(BadRequestError, match=f'did you mean "{schema}"'):
        read_table(source_schema=schema[:-1], table="airports")


def test_a_missing_cursor_column_names_the_near_one(postgres, either):
    made(postgres, "timed", "updated_at timestamptz")
    with pytest.raises(BadRequestError, match=r'unknown column "update_at".*did you mean "updated_at"\?'):
        either(table="timed", incremental={"cursor": "update_at"})


@pytest.mark.parametrize("query", ["select x from nowhere", "select 1 +", "select 1 as a, 2 as a"])
def test_a_query_that_does_not_work_is_a_bad_request(either, query):
    with pytest.raises(BadRequestError, match=r"^src\.things: "):
        either(query=query)


def test_a_query_cannot_write(postgres, schema, read_table):
    made(postgres, "written", "a int", "1")
    body = "LANGUAGE sql AS 'DELETE FROM written; SELECT 1'"
    postgres.execute(f"CREATE FUNCTION wipe() RETURNS int {body} SET search_path = {schema}")
    with pytest.raises(BadRequestError, match="read-only"):
        read_table(query=f"select {schema}.wipe()")
    assert postgres.execute("SELECT count(*) FROM written").fetchone() == (1,)


def test_a_missing_right_is_denied(postgres, schema, read_table):
    made(postgres, "hidden", "a int")
    role = f"{schema}_reader"
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    try:
        postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        with pytest.raises(AccessDeniedError, match="permission denied for table hidden"):
            read_table(Connection("db", "postgres", "127.0.0.1", 5432, "test", role), table="hidden")
    finally:
        postgres.execute(f"REVOKE USAGE ON SCHEMA {schema} FROM {role}")
        postgres.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"login": "nobody_here"}, AccessDeniedError),
        ({"schema": "no_such_database"}, BadRequestError),
        ({"port": 1}, SourceUnavailableError),
        ({"host": "no-such-host.invalid"}, SourceUnavailableError),
    ],
)
def test_a_connection_that_fails_tells_why(postgres, tmp_path, fields, kind):
    base = {"conn_id": "db", "conn_type": "postgres", "host": "127.0.0.1", "schema": "test", "login": "postgres"}
    error = failing(tmp_path, Connection(**{**base, **fields}, password=SECRET))
    assert type(error) is kind
    assert SECRET not in f"{error} {error!r} {error.__cause__}"


def failing(folder, connection) -> EltError:
    with pytest.raises(EltError) as caught:
        read(read_request(folder, {"type": "sql", "connection": "db"}, {}, connection))
    return caught.value


@contextmanager
def refusing_server(code: str, message: str):
    """Asks for a password in the clear, and refuses it, echoing it as no server should."""

    def talk(listener):
        client, _ = listener.accept()
        with client:
            first = client.recv(4096)
            if first[4:8] == struct.pack("!i", 80877103):
                client.sendall(b"N")
                client.recv(4096)
            client.sendall(b"R" + struct.pack("!ii", 8, 3))
            password = client.recv(4096)[5:-1]
            fields = [b"SFATAL", b"VFATAL", b"C" + code.encode(), b"M" + message.encode() + b" " + password]
            body = b"\0".join(fields) + b"\0\0"
            client.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=talk, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("28P01", 'password authentication failed for user "u"', AccessDeniedError),
        ("53300", "sorry, too many clients already", SourceUnavailableError),
        ("57P03", "the database system is starting up", SourceUnavailableError),
    ],
)
def test_a_refused_password_is_denied_and_never_shown(tmp_path, code, message, kind):
    with refusing_server(code, message) as port:
        error = failing(tmp_path, Connection("db", "postgres", "127.0.0.1", port, "test", "u", SECRET))
    assert type(error) is kind
    assert message in str(error)
    assert SECRET not in f"{error} {error!r}"


def test_all_rows_are_of_one_moment_and_are_counted(postgres, either):
    postgres.execute("DROP TABLE IF EXISTS many")
    postgres.execute("CREATE TABLE many AS SELECT g AS id, 'row ' || g AS name FROM generate_series(1, 30000) g")
    told: list[str] = []
    spool = either(table="many", log=told.append, fetch_rows=7000)
    assert spool.rows_read == len(values(spool)) == 30_000
    assert told[-1].startswith("things: read 30,000 rows, ")


@pytest.fixture
def sessions(schema):
    """Connections of other clients, each with a transaction of its own."""
    with contextlib.ExitStack() as stack:

        def begin() -> psycopg.Connection:
            server = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}
            return stack.enter_context(psycopg.connect(**server, options=f"-c search_path={schema}"))

        yield begin


def read_meanwhile(read_table, **table):
    """Start a read in a thread; it is over when its result is asked for."""
    pool = ThreadPoolExecutor(1)
    told = []
    return pool.submit(read_table, log=told.append, **table), told


@pytest.mark.parametrize("how", ["table", "query", "view"])
def test_a_number_that_is_committed_late_is_not_skipped(postgres, schema, read_table, sessions, how):
    made(postgres, "tickets", "id bigserial primary key, name text", "DEFAULT, 'first'")
    postgres.execute("DROP VIEW IF EXISTS seen_tickets; CREATE VIEW seen_tickets AS SELECT * FROM tickets")
    of = {"query": f"select * from {schema}.tickets"} if how == "query" else {"table": "tickets"}
    of = {"table": "seen_tickets"} if how == "view" else of
    slow, quick = sessions(), sessions()
    slow.execute("INSERT INTO tickets (name) VALUES ('slow')")  # takes 2
    quick.execute("INSERT INTO tickets (name) VALUES ('quick')")  # takes 3
    quick.commit()
    reading, told = read_meanwhile(read_table, **of, incremental={"cursor": "id"}, cursor=CursorRange(after="1"))
    while not told:
        time.sleep(0.01)
    assert not reading.done()
    quick.execute("INSERT INTO tickets (name) VALUES ('later')")  # 4: of the next load
    quick.commit()
    slow.commit()
    assert values(reading.result(timeout=20)) == [("2", "slow"), ("3", "quick")]
    after = read_table(**of, incremental={"cursor": "id"}, cursor=CursorRange(after="3"))
    assert values(after) == [("4", "later")]


def test_a_time_that_is_committed_late_is_not_skipped(postgres, read_table, sessions):
    made(postgres, "visits", "name text, at timestamptz", "'first', '2013-01-01 01:00+00'")
    slow = sessions()
    slow.execute("INSERT INTO visits VALUES ('slow', '2013-01-01 02:00+00')")
    reading, told = read_meanwhile(read_table, table="visits", incremental={"cursor": "at"})
    while not told:
        time.sleep(0.01)
    slow.commit()
    assert [name for name, _ in values(reading.result(timeout=20))] == ["first", "slow"]


def test_a_partition_is_waited_for_and_another_table_is_not(postgres, read_table, sessions):
    postgres.execute("DROP TABLE IF EXISTS parts; CREATE TABLE parts (id int) PARTITION BY RANGE (id)")
    postgres.execute("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)")
    made(postgres, "others", "id int")
    slow, elsewhere = sessions(), sessions()
    elsewhere.execute("INSERT INTO others VALUES (1)")
    assert read_table(table="parts", incremental={"cursor": "id"}).rows_read == 0
    slow.execute("INSERT INTO parts_1 VALUES (1)")
    reading, told = read_meanwhile(read_table, table="parts", incremental={"cursor": "id"})
    while not told:
        time.sleep(0.01)
    slow.commit()
    # nothing was there when the load began: what came meanwhile belongs to the next one
    assert reading.result(timeout=20).rows_read == 0
    assert read_table(table="parts", incremental={"cursor": "id"}).rows_read == 1


@pytest.mark.parametrize("how", ["made", "attached"])
def test_a_child_table_of_a_transaction_that_is_open_is_waited_for_and_analyze_is_not(
    postgres, read_table, sessions, how
):
    divided = " PARTITION BY RANGE (id)" if how == "attached" else ""
    postgres.execute(f"DROP TABLE IF EXISTS kin, kin_2 CASCADE; CREATE TABLE kin (id int){divided}")
    if divided:
        postgres.execute("CREATE TABLE kin_1 PARTITION OF kin FOR VALUES FROM (0) TO (9); CREATE TABLE kin_2 (id int)")
    postgres.execute("INSERT INTO kin VALUES (2)")
    slow, busy = sessions(), sessions()
    busy.execute("ANALYZE kin")
    assert read_table(table="kin", incremental={"cursor": "id"}).rows_read == 1
    busy.commit()
    slow.execute("CREATE TABLE IF NOT EXISTS kin_2 () INHERITS (kin); INSERT INTO kin_2 VALUES (-1)")
    if divided:
        slow.execute("ALTER TABLE kin ATTACH PARTITION kin_2 FOR VALUES FROM (-9) TO (0)")
    reading, told = read_meanwhile(read_table, table="kin", incremental={"cursor": "id"})
    while not told:
        time.sleep(0.01)
    slow.commit()
    assert sorted(key for (key,) in values(reading.result(timeout=20))) == ["-1", "2"]


def test_a_transaction_that_never_ends_is_an_error_unless_late_commits_are_ignored(
    postgres, read_table, sessions, monkeypatch
):
    monkeypatch.setattr("elt_factory.sources.sql.late_commits.PATIENCE_SECONDS", 0.3)
    made(postgres, "tickets", "id int", "1")
    slow = sessions()
    slow.execute("INSERT INTO tickets VALUES (2)")
    pid = slow.execute("SELECT pg_backend_pid()").fetchone()[0]
    with pytest.raises(SourceNotReadyError, match=rf"\(pid {pid}\) is still writing .*late_commits: ignore"):
        read_table(table="tickets", incremental={"cursor": "id"})
    ignored = {"cursor": "id", "late_commits": "ignore"}
    assert values(read_table(table="tickets", incremental=ignored)) == [("1",)]


NEW_YORK_DAY = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("zones", "kind", "inside", "outside"),
    [
        (
            ("America/New_York", None),
            "timestamp",
            ["2013-01-01", "2013-01-01 23:59"],
            ["2012-12-31 23:59", "2013-01-02"],
        ),
        (
            ("America/New_York", "UTC"),
            "timestamp",
            ["2013-01-01 05:00", "2013-01-02 04:59"],
            ["2013-01-01", "2013-01-02 05:00"],
        ),
        (("UTC", "America/New_York"), "timestamp", ["2013-01-01"], ["2013-01-02"]),
        (("UTC", "America/New_York"), "date", ["2013-01-01"], ["2012-12-31", "2013-01-02"]),
        (
            ("UTC", "America/New_York"),
            "timestamptz",
            ["2013-01-01 05:00+00"],
            ["2013-01-01 04:59+00", "2013-01-02 05:00+00"],
        ),
    ],
)
@pytest.mark.parametrize("templates", [False, True])
def test_a_cursor_without_a_zone_is_compared_on_its_own_clock(
    postgres, schema, either, read_table, zones, kind, inside, outside, templates
):
    made(postgres, "timed", f"at {kind}", *(f"'{text}'" for text in [*inside, *outside]))
    query = f"select * from {schema}.timed where at >= {{{{ window.start }}}} and at < {{{{ window.end }}}}"
    of = {"query": query} if templates and kind != "date" else {"table": "timed"}
    incremental = {"cursor": "at", "timezone": zones[1]}
    if "query" in of and kind == "timestamptz":
        either = read_table  # other databases do not say of a query that its times are instants
    assert either(**of, incremental=incremental, timezone=zones[0], window=NEW_YORK_DAY).rows_read == len(inside)


@pytest.mark.parametrize("choice", ["include", "ignore", None])
@pytest.mark.parametrize("cursor", ["id", "at"])
def test_rows_without_a_cursor_value_are_counted_and_read_as_chosen(postgres, either, cursor, choice):
    made(postgres, "partly", "id int, at timestamp", "1, '2013-01-01'", "NULL, NULL", "3, '2014-01-01'", "NULL, NULL")
    spool = either(table="partly", incremental={"cursor": cursor, "null_cursor": choice}, cursor=CursorRange(upto="1"))
    assert spool.null_cursors == 2
    assert len(values(spool)) == (3 if choice == "include" else 1)
    first = either(table="partly", incremental={"cursor": "id", "null_cursor": choice})
    assert len(values(first)) == (4 if choice == "include" else 2)


@pytest.mark.parametrize(("lag", "expected"), [(0, ["4"]), (1, ["3", "4"]), (100, ["1", "2", "3", "4"])])
def test_a_numeric_lag_and_ties_are_read_again_where_a_key_finds_them(postgres, either, lag, expected):
    made(postgres, "numbered", "id bigint", "1", "2", "3", "4")
    keyed = {"table": "numbered", "primary_key": ["id"], "write_disposition": "merge"}
    spool = either(**keyed, incremental={"cursor": "id", "lag": lag}, cursor=CursorRange(after="4"))
    assert [row[0] for row in values(spool)] == expected


@pytest.mark.parametrize(
    ("kind", "lag", "words"),
    [
        ("bigint", "1h", "the cursor is a number"),
        ("timestamp", 5, "the cursor is a time"),
        ("date", "1h", "whole days"),
    ],
)
def test_a_lag_that_cannot_work_with_the_column_is_an_error(postgres, either, kind, lag, words):
    made(postgres, "lagging", f"id {kind}")
    table = {"table": "lagging", "primary_key": ["id"], "write_disposition": "merge"}
    with pytest.raises(BadRequestError, match=rf"incremental.lag of id: .*{words}"):
        either(**table, incremental={"cursor": "id", "lag": lag})


def test_a_look_at_a_whole_schema_leaves_out_what_the_login_cannot_read_and_folds_partitions(postgres, tmp_path):
    name = f"looks_{uuid.uuid4().hex[:8]}"
    with contextlib.ExitStack() as stack:
        for statement in (f"DROP ROLE {name}", f"DROP OWNED BY {name}", f"DROP SCHEMA {name} CASCADE"):
            stack.callback(postgres.execute, statement)
        postgres.execute(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO {name}")
        postgres.execute(
            f"CREATE TABLE {name}.days (d date) PARTITION BY RANGE (d);"
            f"CREATE TABLE {name}.days_1 PARTITION OF {name}.days FOR VALUES FROM ('2013-01-01') TO ('2013-02-01');"
            f"CREATE TABLE {name}.shown (id int PRIMARY KEY); CREATE TABLE {name}.hidden (id int);"
            f"GRANT SELECT ON {name}.days, {name}.shown TO {name}"
        )
        connection = Connection("db", "postgres", "127.0.0.1", 5432, "test", name)
        found = look_at_tables(Tables(connection, "shop", (), name, tmp_path), tmp_path)
    assert [table.name for table in found.tables] == ["days", "shown"]
    assert [(one.name, "permission denied" in one.reason) for one in found.skipped] == [("hidden", True)]
