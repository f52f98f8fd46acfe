"""A table divided by its cursor: pieces of the window, or ranges of a number, with about as many rows in each."""

# ruff: noqa: DTZ001 - times without a zone are what many databases keep
from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pymysql
import pytest
from extract_support import read_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elt_factory.config.models.values import ColumnType
from elt_factory.core.clock import Clock
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.core.sql_text import file_list
from elt_factory.core.window import Window
from elt_factory.extract.bounds import on_clock
from elt_factory.extract.request import CursorRange, Part, ReadRequest
from elt_factory.sources.read import parts, read
from elt_factory.sources.sql.cuts import Cuts, walked

YEARS = Window(datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
SERVER = {"host": "127.0.0.1", "port": 5432, "schema": "test", "login": "postgres", "password": "unused"}


@dataclass(frozen=True)
class Database:
    """A database to read from: its connection, what `extract` says of it, and how to run SQL there."""

    connection: Connection
    extract: dict[str, str]
    execute: Callable[[str], object]

    def request(self, folder: Path, *, cursor: CursorRange = CursorRange(), **table: object) -> ReadRequest:  # noqa: B008
        spec = {"table": "things", "primary_key": ["id"], "split": {"tasks": 4, "by": "cursor"}, **table}
        spec = {"incremental": {"cursor": "seen"}, "write_disposition": "merge", **spec}
        return read_request(folder, self.extract, spec, self.connection, window=YEARS, cursor=cursor)


def _in_file(kind: str, folder: Path) -> Database:
    def execute(text: str) -> object:
        if kind == "duckdb":
            with duckdb.connect(str(folder / "data.db")) as opened:
                return opened.execute(text).fetchall()
        with sqlite3.connect(folder / "data.db") as made:
            return made.execute(text).fetchall()

    return Database(Connection("db", kind, host="data.db"), {"type": "sql", "connection": "db"}, execute)


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb"])
def database(request, tmp_path, schema) -> Iterator[Database]:
    """A database without a table `things`."""
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        postgres.execute("DROP TABLE IF EXISTS things")
        extract = {"type": "sql", "connection": "db", "schema": schema}
        yield Database(Connection("db", "postgres", **SERVER), extract, postgres.execute)
    elif request.param == "mariadb":
        yield from _mariadb()
    else:
        yield _in_file(request.param, tmp_path)


def _mariadb() -> Iterator[Database]:
    try:
        opened = pymysql.connect(host="127.0.0.1", user="root", connect_timeout=3, autocommit=True)
    except pymysql.err.OperationalError as error:
        pytest.skip(f"no MariaDB to test with: {error}")
    name = f"cuts_{uuid.uuid4().hex[:10]}"
    with opened, opened.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        where = {"host": "127.0.0.1", "port": 3306, "schema": name, "login": "root"}
        yield Database(Connection("db", "mysql", **where), {"type": "sql", "connection": "db"}, cursor.execute)
        cursor.execute(f"DROP DATABASE {name}")


def read_part(asked: ReadRequest, part: Part, number: int) -> tuple[list[str], int | None]:
    """The ids of the rows of a part, and how many rows without a cursor it counts."""
    below = asked.workdir / f"part{number}"
    below.mkdir(exist_ok=True)
    spool = read(replace(asked, workdir=below, part=part.what))
    how = "read_parquet" if spool.format == "parquet" else "read_csv"
    rows = duckdb.sql(f"SELECT CAST(id AS VARCHAR) FROM {how}({file_list(map(str, spool.files))})").fetchall()
    return [row[0] for row in rows], spool.null_cursors


def read_all(asked: ReadRequest, most: int = 4) -> tuple[list[list[str]], list[int | None], list[Part]]:
    """The ids of each part, what each counts without a cursor, and the parts; all of them what one read has, once."""
    found = parts(asked, most)
    ids, empty = zip(*(read_part(asked, part, number) for number, part in enumerate(found)), strict=True)
    whole, without = read_part(replace(asked, part=None), Part({}, ""), 99)
    assert sorted(one for part in ids for one in part) == sorted(whole)
    assert sum(empty) == without
    return [*ids], [*empty], found


# most rows are of the last year, one moment has many, some are outside the window, some have no cursor
SKEWED = [
    *(datetime(2010, 1, 1) + timedelta(days=30 * n) for n in range(20)),
    *(datetime(2019, 6, 1) + timedelta(minutes=n) for n in range(150)),
    *[datetime(2019, 7, 1, 12, 0, 0, 123456)] * 30,
    datetime(2009, 12, 31, 23, 59, 59),
    datetime(2020, 1, 1),
    None,
    None,
]
TIMES = {
    "sqlite": ("text", "'{}'"),
    "duckdb": ("timestamp", "'{}'"),
    "postgres": ("timestamptz", "'{}+00'"),
    "mariadb": ("datetime(6)", "'{}'"),
}


def filled(database: Database, of_cursor: str, values: list[str]) -> None:
    """Make a table whose key is text, with these values of its cursor."""
    database.execute(f"CREATE TABLE things (id varchar(40), seen {of_cursor})")
    keys = [uuid.UUID(int=number * 2**64) for number in range(len(values))]
    rows = [f"('{key}', {value})" for key, value in zip(keys, values, strict=True)]
    random.Random(7).shuffle(rows)
    database.execute(f"INSERT INTO things VALUES {', '.join(rows)}")


def test_a_skewed_cursor_of_times_is_divided_into_parts_of_about_as_many_rows(database, tmp_path):
    kind, form = TIMES[database.connection.conn_type.replace("mysql", "mariadb")]
    filled(database, kind, ["NULL" if at is None else form.format(at) for at in SKEWED])
    ids, empty, found = read_all(database.request(tmp_path))
    # 200 rows in the window, of which 30 are of one moment and stay together; those without a cursor are the first's
    assert [len(part) for part in ids] == [52, 50, 50, 50]
    assert empty == [2, 0, 0, 0]
    assert found[0].says.startswith("seen from 2010-01-01 00:00:00 UTC and below 2019-06-01 00:30:00")
    assert found[-1].says.endswith("and below 2020-01-01 00:00:00 UTC")
    # appended are only rows with a cursor
    ids, _, _ = read_all(database.request(tmp_path, write_disposition="append"))
    assert [len(part) for part in ids] == [50, 50, 50, 50]


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo"])
def test_dates_are_divided_between_days(database, tmp_path, zone):
    days = [date(2015, 10, 1) + timedelta(days=n // 5) for n in range(300)]
    filled(database, "date", [f"'{day}'" for day in days])
    ids, _, _ = read_all(database.request(tmp_path, incremental={"cursor": "seen", "timezone": zone}))
    assert sum(map(len, ids)) == 300
    assert max(map(len, ids)) <= 80


def test_wall_clock_times_through_the_hour_that_comes_twice_are_each_in_one_part(database, tmp_path):
    kind = {"sqlite": "text", "duckdb": "timestamp", "postgres": "timestamp"}.get(
        database.connection.conn_type, "datetime(6)"
    )
    filled(database, kind, [f"'{datetime(2013, 11, 3) + timedelta(minutes=2 * n)}'" for n in range(120)])
    ids, _, _ = read_all(database.request(tmp_path, incremental={"cursor": "seen", "timezone": "America/New_York"}), 8)
    assert sum(map(len, ids)) == 120
    assert len(ids) >= 4


@pytest.mark.parametrize(("kind", "step"), [("bigint", "1"), ("decimal(12,3)", "0.125"), ("double precision", "0.1")])
def test_numbers_are_divided_up_to_what_the_split_has_seen(database, tmp_path, kind, step):
    values = [str(Decimal(step) * n * n) for n in range(-20, 100)]
    filled(database, kind, [*values, "NULL", "NULL"])
    # a load that is not the first: 50 rows and the one with its beginning, and two without a cursor
    cursor = CursorRange(after=str(Decimal(step) * 2500))
    asked = database.request(tmp_path, incremental={"cursor": "seen", "initial": -10}, cursor=cursor)
    ids, empty, found = read_all(asked, 3)
    assert (len(ids), sum(map(len, ids)), max(map(len, ids)) <= 20) == (3, 52, True)
    assert empty == [2, 0, 0]
    database.execute("INSERT INTO things VALUES ('too late', 1000000)")
    assert sorted(read_part(asked, found[-1], 2)[0]) == sorted(ids[-1])


def test_rows_that_come_after_the_split_are_in_the_part_of_their_cursor(database, tmp_path):
    kind, form = TIMES[database.connection.conn_type.replace("mysql", "mariadb")]
    filled(database, kind, [form.format(datetime(2015, 1, 1) + timedelta(days=n)) for n in range(100)])
    asked = database.request(tmp_path)
    found = parts(asked, 4)
    for at in (YEARS.start, datetime(2015, 1, 26), datetime(2015, 1, 25, 23, 59, 59, 999000), datetime(2019, 12, 31)):
        database.execute(f"INSERT INTO things VALUES ('new', {form.format(at.replace(tzinfo=None))})")
    new = [read_part(asked, part, number)[0].count("new") for number, part in enumerate(found)]
    assert new == [2, 1, 0, 1]


@pytest.mark.parametrize("incremental", [{"cursor": "seen"}, {"cursor": "seen", "initial": 0}])
def test_an_empty_table_is_one_part(database, tmp_path, incremental):
    kind = "bigint" if "initial" in incremental else TIMES[database.connection.conn_type.replace("mysql", "mariadb")][0]
    database.execute(f"CREATE TABLE things (id varchar(40), seen {kind})")
    assert read_all(database.request(tmp_path, incremental=incremental))[0] == [[]]


def test_a_window_that_has_not_ended_is_one_part_since_rows_move_in_it_meanwhile(tmp_path):
    database = _in_file("sqlite", tmp_path)
    filled(database, "text", [f"'{datetime(2015, 1, 1) + timedelta(days=n)}'" for n in range(10)])
    asked = database.request(tmp_path)
    assert len(parts(asked, 4)) == 4
    assert len(parts(replace(asked, clock=Clock(YEARS.end - timedelta(seconds=5))), 4)) == 1


def test_no_primary_key_is_needed_where_rows_are_appended(database, tmp_path):
    kind, form = TIMES[database.connection.conn_type.replace("mysql", "mariadb")]
    filled(database, kind, [form.format(datetime(2015, 1, 1) + timedelta(days=n)) for n in range(10)])
    asked = database.request(tmp_path, primary_key=[], write_disposition="append")
    assert list(map(len, read_all(asked)[0])) == [3, 3, 3, 1]


def test_infinity_and_nan_of_postgres_are_where_one_task_would_read_them(postgres, schema, tmp_path):
    opened = Database(
        Connection("db", "postgres", **SERVER),
        {"type": "sql", "connection": "db", "schema": schema},
        postgres.execute,
    )
    for kind, odd in (
        ("timestamptz", ("infinity", "-infinity")),
        ("timestamp", ("infinity",)),
        ("date", ("infinity",)),
    ):
        opened.execute("DROP TABLE IF EXISTS things")
        days = [f"'{date(2015, 1, 1) + timedelta(days=n)}'" for n in range(20)]
        filled(opened, kind, [*days, *(f"'{one}'" for one in odd), "'0044-03-15 BC'", "'99999-01-01'"])
        assert sum(map(len, read_all(opened.request(tmp_path))[0])) == 20
    for kind in ("numeric", "float8"):
        opened.execute("DROP TABLE IF EXISTS things")
        filled(opened, kind, [*map(str, range(20)), *["'NaN'"] * 20, "'Infinity'", "'-Infinity'", "1e30"])
        ids, _, _ = read_all(opened.request(tmp_path, incremental={"cursor": "seen", "initial": 0}))
        assert sum(map(len, ids)) == 42


def test_dates_of_mysql_that_no_calendar_has_divide_nothing_and_are_in_one_part(tmp_path):
    for database in _mariadb():
        database.execute("SET sql_mode = ''")
        days = [f"'2015-01-{1 + n // 4:02}'" for n in range(40)]
        filled(database, "date", [*days, *["'2015-02-00'"] * 20, "'0000-00-00'"])
        ids, _, _ = read_all(database.request(tmp_path))
        assert sum(map(len, ids)) == 60
    numbers = Cuts(ColumnType("integer"), [1, "a text of SQLite", Decimal("NaN"), 1.5, 10**30]).numbers()
    assert numbers == [1, 2]


def test_times_with_and_without_an_offset_in_sqlite_are_each_in_one_part(tmp_path):
    database = _in_file("sqlite", tmp_path)
    forms = ["{:%Y-%m-%d %H:%M:%S}", "{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dT%H:%M:%S+09:00}", "{:%Y-%m-%d}"]
    times = [datetime(2015, 1, 1) + timedelta(hours=n) for n in range(80)]
    filled(database, "text", [f"'{forms[n % 4].format(at)}'" for n, at in enumerate(times)])
    said = {"incremental": {"cursor": "seen", "timezone": "America/New_York"}}
    asked = database.request(tmp_path, **said, columns={"seen": {"type": "timestamp"}})
    assert sum(map(len, read_all(asked, 8)[0])) == 80


@pytest.mark.parametrize(
    ("kind", "incremental", "message"),
    [
        ("varchar(40)", {"cursor": "seen"}, r"split by cursor needs a time or a number, and seen is text"),
        ("bigint", {"cursor": "seen"}, r"write initial: 0 for a numeric cursor"),
        ("timestamp", {"cursor": "nothing"}, r'unknown column "nothing" in incremental.cursor'),
    ],
)
def test_a_cursor_that_cannot_be_divided_is_refused_by_the_task_split(
    postgres, schema, tmp_path, kind, incremental, message
):
    postgres.execute("DROP TABLE IF EXISTS things")
    extract = {"type": "sql", "connection": "db", "schema": schema}
    opened = Database(Connection("db", "postgres", **SERVER), extract, postgres.execute)
    filled(opened, kind, ["'2015-01-01'" if kind != "bigint" else "7"])
    with pytest.raises(BadRequestError, match=message):
        parts(opened.request(tmp_path, incremental=incremental), 4)


MOMENTS = st.datetimes(datetime(2012, 1, 1), datetime(2014, 12, 31))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(MOMENTS, max_size=30),
    rows=st.lists(MOMENTS, max_size=30),
    zone=st.sampled_from(["UTC", "America/New_York", "Europe/Paris", "Australia/Lord_Howe", "America/Sao_Paulo"]),
    name=st.sampled_from(["timestamp", "datetime", "date"]),
)
def test_the_pieces_of_a_window_are_exactly_the_window(values, rows, zone, name):
    kind, clock = ColumnType(name), ZoneInfo(zone)
    whole = Window(datetime(2012, 6, 1, tzinfo=UTC), datetime(2014, 6, 1, tzinfo=UTC))
    given_as = {"timestamp": lambda at: at.replace(tzinfo=UTC), "date": datetime.date}.get(name, lambda at: at)
    cuts = Cuts(kind, list(map(given_as, values))).moments(whole, clock)
    ends = [on_clock(kind, moment, clock) for moment in (whole.start, *cuts, whole.end)]
    assert ends == sorted(ends)
    for row in map(given_as, rows):
        inside = [start <= row < end for start, end in pairwise(ends)]
        assert sum(inside) == (ends[0] <= row < ends[-1])


@given(values=st.lists(st.integers(0, 40), max_size=120).map(sorted), most=st.integers(2, 16))
def test_shares_are_at_most_the_asked_ones_and_only_rows_of_one_value_make_one_larger(values, most):
    def value_at(after: object, behind: int) -> object:
        further = [value for value in values if after is None or value > after]
        return further[behind] if behind < len(further) else None

    cuts = walked(len(values), most, value_at)
    assert cuts == sorted(set(cuts))
    assert len(cuts) < most
    share = -(-len(values) // most)
    for start, end in zip([None, *cuts], [*cuts, None], strict=True):
        held = [v for v in values if (start is None or v >= start) and (end is None or v < end)]
        assert len(held) < share + max(map(held.count, held), default=1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"incremental": None, "write_disposition": "replace"}, "by the cursor, and incremental: is missing"),
        ({"columns": {"seen": {"type": "text"}}}, "neither a time nor a number"),
        ({"query": "select 1 as id", "table": None}, "each task would run the query again"),
        ({"partitions": 2}, "split and partitions exclude each other"),
        ({"deletes": {"compare": "hard"}}, "deletes: compare needs all rows"),
    ],
)
def test_what_cannot_be_split_by_its_cursor_is_refused(tmp_path, table, message):
    with pytest.raises(ValidationError, match=message):
        _in_file("sqlite", tmp_path).request(tmp_path, **table)
