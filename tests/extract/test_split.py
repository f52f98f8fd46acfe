"""A table divided among tasks: every row and every file in exactly one part, whatever the database."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import duckdb
import psycopg
import pytest
from extract_support import read_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, SourceNotReadyError
from elt_factory.core.sql_text import file_list
from elt_factory.core.window import Window
from elt_factory.extract.request import CursorRange
from elt_factory.sources.files.shares import by_bytes, files_of_part
from elt_factory.sources.files.source_files import Chosen
from elt_factory.sources.files.store import Found
from elt_factory.sources.read import parts, read

DAY = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
SQL = {"type": "sql", "connection": "db"}
ROWS = [(-50, "x", 1), (0, "y", 2), (7, None, 3), (8, "z", None), (99, "w", 5), (1000, "last", 6)]


@pytest.fixture(params=["sqlite", "duckdb", "postgres"])
def database(request, tmp_path, schema) -> tuple[Connection, dict[str, str]]:
    """A database with a table `things`, whose key may be NULL."""
    definition = "CREATE TABLE {} (id bigint, name text, n bigint)"
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "data.db") as made:
            made.execute(definition.format("things"))
            made.executemany("INSERT INTO things VALUES (?, ?, ?)", [*ROWS, (None, "no key", 4)])
        return Connection("db", "sqlite", host="data.db"), SQL
    if request.param == "duckdb":
        with duckdb.connect(str(tmp_path / "data.duckdb")) as made:
            made.execute(definition.format("things"))
            made.executemany("INSERT INTO things VALUES (?, ?, ?)", [*ROWS, (None, "no key", 4)])
        return Connection("db", "duckdb", host="data.duckdb"), SQL
    postgres = request.getfixturevalue("postgres")
    postgres.execute("DROP TABLE IF EXISTS things")
    postgres.execute(definition.format("things"))
    postgres.cursor().executemany("INSERT INTO things VALUES (%s, %s, %s)", [*ROWS, (None, "no key", 4)])
    server = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}
    return Connection("db", "postgres", **server), SQL | {"schema": schema}


def read_parts(folder: Path, database, most: int, **table) -> tuple[list[list[str]], list, list[str]]:
    """The names of each part's rows, the parts' own counts of rows without a cursor, and what is said of each part."""
    connection, extract = database
    spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 4}, **table}
    asked = read_request(folder, extract, spec, connection, window=DAY)
    names, empty = [], []
    found = parts(asked, most)
    for number, part in enumerate(found):
        below = folder / f"part{number}"
        below.mkdir()
        spool = read(replace(asked, workdir=below, part=part.what))
        how = "read_parquet" if spool.format == "parquet" else "read_csv"
        rows = duckdb.sql(f"SELECT name FROM {how}({file_list(map(str, spool.files))}) WHERE name IS NOT NULL")
        names.append(sorted(row[0] for row in rows.fetchall()))
        empty.append(spool.null_cursors)
    return names, empty, [part.says for part in found]


def test_every_row_is_in_one_range_of_the_key_also_one_without_a_key(database, tmp_path):
    names, _, says = read_parts(tmp_path, database, 4)
    assert sorted(chain.from_iterable(names)) == sorted(["no key", *(name for _, name, _ in ROWS if name)])
    assert names == [["no key", "w", "x", "y", "z"], [], [], ["last"]]
    assert says == ["id below 213", "id from 213 and below 476", "id from 476 and below 739", "id from 739"]


def test_rows_without_a_cursor_are_counted_once_over_all_parts(database, tmp_path):
    cursor = {"incremental": {"cursor": "n", "initial": 0}, "write_disposition": "merge"}
    names, empty, _ = read_parts(tmp_path, database, 3, **cursor)
    assert sum(empty) == 1
    assert sorted(chain.from_iterable(names)) == ["last", "no key", "w", "x", "y", "z"]


def test_all_parts_end_at_the_cursor_that_the_split_has_seen(database, tmp_path):
    connection, extract = database
    spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 2}}
    spec |= {"incremental": {"cursor": "n", "initial": 0}, "write_disposition": "merge"}
    asked = read_request(tmp_path, extract, spec, connection, window=DAY, cursor=CursorRange("2"))
    found = parts(asked, 2)
    assert [part.what["upto"] for part in found] == ["6", "6"]
    if connection.conn_type == "sqlite":
        with sqlite3.connect(tmp_path / "data.db") as made:
            made.execute("INSERT INTO things VALUES (5, 'too late', 7)")
        spool = read(replace(asked, part=found[0].what))
        rows = duckdb.sql(f"SELECT name FROM read_parquet({file_list(map(str, spool.files))})").fetchall()
        assert sorted(str(name) for (name,) in rows) == ["None", "no key", "w", "y", "z"]


def test_an_empty_table_is_one_part(database, tmp_path):
    connection, extract = database
    spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 4}}
    spec |= {"incremental": {"cursor": "n", "initial": 0}, "write_disposition": "merge"}
    if connection.conn_type == "sqlite":
        with sqlite3.connect(tmp_path / "data.db") as made:
            made.execute("DELETE FROM things")
        assert [part.says for part in parts(read_request(tmp_path, extract, spec, connection), 4)] == ["all rows"]


def test_ranges_are_those_of_the_windows_rows(postgres: psycopg.Connection, schema, tmp_path):
    postgres.execute("DROP TABLE IF EXISTS events")
    postgres.execute("CREATE TABLE events (id bigint, name text, at timestamptz)")
    postgres.execute(
        "INSERT INTO events SELECT g, 'n', timestamptz '2012-12-01' + make_interval(hours => g) "
        "FROM generate_series(1, 1000) g"
    )
    server = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}
    spec = {"table": "events", "primary_key": ["id"], "split": {"tasks": 4}, "write_disposition": "merge"}
    spec |= {"incremental": {"cursor": "at"}}
    extract = SQL | {"schema": schema}
    asked = read_request(tmp_path, extract, spec, Connection("db", "postgres", **server), window=DAY)
    assert [part.says for part in parts(asked, 4)] == [
        "id below 750",
        "id from 750 and below 756",
        "id from 756 and below 762",
        "id from 762",
    ]


@pytest.mark.parametrize("key", ["'a'", "1.5"])
def test_a_key_that_is_no_whole_number_is_refused_with_its_value(tmp_path, key):
    with duckdb.connect(str(tmp_path / "data.duckdb")) as made:
        made.execute(f"CREATE TABLE things AS SELECT {key} AS id")
    spec = {"primary_key": ["id"], "split": {"tasks": 4}}
    asked = read_request(tmp_path, SQL, spec, Connection("db", "duckdb", host="data.duckdb"))
    with pytest.raises(BadRequestError, match=r"split needs a whole number .* and id has the value"):
        parts(asked, 4)


def sqlite_request(folder: Path, definition: str, rows: list[tuple], **table):
    with sqlite3.connect(folder / "data.db") as made:
        made.execute(f"CREATE TABLE things ({definition})")
        made.executemany(f"INSERT INTO things VALUES ({', '.join('?' * len(rows[0]))})", rows)
    spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 2}, "write_disposition": "merge", **table}
    return read_request(folder, SQL, spec, Connection("db", "sqlite", host="data.db"), window=DAY)


@pytest.mark.parametrize(
    ("definition", "what"),
    [
        ("id text, n integer", r"the first column of primary_key, and id is text"),
        ("id integer, n text", r"a cursor with initial: 0, and n is text"),
    ],
)
def test_digits_that_sqlite_keeps_as_text_are_no_number_to_split_by(tmp_path, definition, what):
    rows = [(number, number) for number in (5, 10, 95, 999, 1000)]
    asked = sqlite_request(tmp_path, definition, rows, incremental={"cursor": "n", "initial": 0})
    for part in parts(asked, 2):
        with pytest.raises(BadRequestError, match=rf"split needs a number as {what}"):
            read(replace(asked, part=part.what))


def test_a_cursor_of_times_that_sqlite_keeps_as_text_can_be_split(tmp_path):
    rows = [(1, "2013-01-01 05:00:00"), (50, "2013-01-01T06:00:00Z"), (100, "2013-01-05 00:00:00"), (99, None)]
    said = {"incremental": {"cursor": "at"}, "columns": {"at": {"type": "timestamp"}}}
    asked = sqlite_request(tmp_path, "id integer, at text", rows, **said)
    found = [read(replace(asked, part=part.what, workdir=made(tmp_path, part))).rows_read for part in parts(asked, 2)]
    assert found == [2, 1]


def made(folder: Path, part) -> Path:
    below = folder / part.says
    below.mkdir()
    return below


def test_a_key_that_means_something_else_without_quotes_is_asked_for_with_them(postgres, schema, tmp_path):
    postgres.execute("DROP TABLE IF EXISTS logins")
    postgres.execute('CREATE TABLE logins AS SELECT g AS "user" FROM generate_series(1, 100) g')
    server = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}
    spec = {"table": "logins", "primary_key": ["user"], "split": {"tasks": 2}}
    asked = read_request(tmp_path, SQL | {"schema": schema}, spec, Connection("db", "postgres", **server))
    assert [part.says for part in parts(asked, 2)] == ["user below 51", "user from 51"]


def test_the_queries_of_the_split_wait_as_long_as_the_source_may_be_silent(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(
        "elt_factory.sources.sql.database.not_through_silence", lambda url, most: waited.append(most) or url
    )
    asked = sqlite_request(
        tmp_path, "id integer, n integer", [(1, 1), (9, 9)], incremental={"cursor": "n", "initial": 0}
    )
    extract = asked.source.extract.model_copy(update={"silence": timedelta(minutes=3)})
    parts(replace(asked, source=asked.source.model_copy(update={"extract": extract})), 2)
    assert set(waited) == {timedelta(minutes=3)}


def test_a_numeric_cursor_must_say_that_it_is_one(tmp_path):
    with duckdb.connect(str(tmp_path / "data.duckdb")) as made:
        made.execute("CREATE TABLE things AS SELECT i AS id, i AS n FROM range(100) t(i)")
    spec = {"primary_key": ["id"], "split": {"tasks": 2}, "incremental": {"cursor": "n"}, "write_disposition": "merge"}
    asked = read_request(tmp_path, SQL, spec, Connection("db", "duckdb", host="data.duckdb"))
    with pytest.raises(BadRequestError, match="write initial: 0 for a numeric cursor"):
        read(replace(asked, part=parts(asked, 2)[0].what))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"primary_key": []}, "ranges of the primary_key, which is missing"),
        ({"query": "select 1 as id", "table": None}, "each task would run the query again"),
        ({"partitions": 2}, "split and partitions exclude each other"),
        ({"deletes": {"compare": "hard"}, "write_disposition": "merge"}, "deletes: compare needs all rows"),
    ],
)
def test_what_cannot_be_split_is_refused(tmp_path, table, message):
    spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 2}, **table}
    with pytest.raises(ValidationError, match=message):
        read_request(tmp_path, SQL, spec)


def chosen(*sizes: int) -> list[Chosen]:
    return [Chosen(Found(f"f{number:04}.csv", size, None)) for number, size in enumerate(sizes)]


def test_files_are_shared_out_by_their_bytes_in_their_order():
    found = by_bytes(chosen(10, 10, 10, 10, 40, 40), 3)
    names = [[one.found.name for one in files_of_part(part.what)] for part in found]
    assert names == [["f0000.csv", "f0001.csv", "f0002.csv", "f0003.csv"], ["f0004.csv"], ["f0005.csv"]]
    assert found[0].says == "4 files, 0.0 MB, from f0000.csv"


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(-1, 10**12), max_size=40), st.integers(2, 16))
def test_each_file_is_in_one_part_and_no_part_is_larger_than_its_share_and_its_largest_file(sizes, most):
    files = chosen(*sizes)
    found = [files_of_part(part.what) for part in by_bytes(files, most)]
    assert [one for part in found for one in part] == files
    assert 1 <= len(found) <= most
    share = sum(max(size, 1) for size in sizes) / most
    for part in found:
        each = [max(one.found.size, 1) for one in part]
        assert sum(each) <= share + max(each, default=0) + 1


def test_a_file_that_is_gone_since_the_split_is_no_matter_of_a_retry(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv").write_text("n\n1\n")
    asked = read_request(tmp_path, {"type": "files", "folder": "in"}, {"path": "*.csv", "split": {"tasks": 2}})
    found = parts(asked, 2)
    (tmp_path / "in" / "a.csv").unlink()
    with pytest.raises(SourceNotReadyError, match=r"a\.csv was removed since the task split; clear the task split"):
        read(replace(asked, part=found[0].what))
    assert len(read(replace(asked, part=found[1].what)).sources) == 1


def test_members_of_one_archive_stay_together():
    found = Found("a.zip", 100, datetime(2013, 1, 1, tzinfo=UTC), "tag")
    files = [Chosen(found, members="*.csv", known={"a.zip/x.csv": "h"}), Chosen(found, members="*.txt"), *chosen(100)]
    assert [files_of_part(part.what) for part in by_bytes(files, 8)] == [files[:2], files[2:]]


def test_no_file_is_one_part_without_files():
    (part,) = by_bytes([], 4)
    assert files_of_part(part.what) == []
