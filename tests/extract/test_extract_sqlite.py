from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from extract_support import read_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    BadDataError,
    BadRequestError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.core.window import Window
from elt_factory.extract.label import TableLabel
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import CursorRange
from elt_factory.sources.read import read
from elt_factory.sources.sql.database_url import url_of
from elt_factory.sources.sql.values_as_text import as_text, text_column

DAY = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "data.db") as connection:
        yield connection
    connection.close()


@pytest.fixture
def read_table(tmp_path):
    def run(connection=None, **more):
        table = {
            key: more.pop(key)
            for key in ("table", "query", "incremental", "primary_key", "write_disposition", "deletes", "columns")
            if key in more
        }
        extract = {"type": "sql", "connection": "db", "fetch_rows": more.pop("fetch_rows", 2)}
        connection = connection or Connection("db", "sqlite", host="data.db")
        return read(read_request(tmp_path, extract, table, connection, **{"window": DAY, **more}))

    return run


def test_integers_that_no_double_holds_are_not_of_a_type_with_fractions(database, read_table):
    database.execute("CREATE TABLE t (a, b NUMERIC, c)")
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", [(2**53 + 1, -(2**63), 2**53), (1.5, 0.5, 0.5)])
    database.commit()
    spool = read_table(table="t")
    assert {name: str(kind) for name, kind in spool.types.items()} == {"a": "text", "b": "text", "c": "float"}


def of_any_form(cursor):
    """A cursor whose times have an offset or none, and what says of which type they are."""
    return {"incremental": {"cursor": cursor}, "columns": {cursor: {"type": "timestamp"}}}


def filled(database, definition, rows, name="things"):
    database.execute(f"CREATE TABLE {name} ({definition})")
    marks = ", ".join("?" for _ in rows[0]) if rows else ""
    database.executemany(f"INSERT INTO {name} VALUES ({marks})", rows) if rows else None
    database.commit()


def values(spool):
    return [tuple(row.values()) for row in pq.read_table(spool.files[0]).to_pylist()]


def test_every_value_comes_as_text_with_the_declared_types(database, read_table):
    definition = (
        "id INTEGER PRIMARY KEY, name TEXT, share REAL, price DECIMAL(10,2), free NUMERIC, yes BOOLEAN, day DATE, "
        'at DATETIME, raw BLOB, doc JSON, "odd ""name" VARCHAR(5), untyped'
    )
    row = (1, "", 0.1, 1.5, 2.5, 1, "2013-01-02", "2013-01-02 03:04:05", b"\x00\xff", '{"a": 1}', "x:y%s", 7)
    filled(database, definition, [row, (2, *[None] * 11)])
    spool = read_table()
    text = ("1", "", "0.1", "1.5", "2.5", "1", "2013-01-02", "2013-01-02 03:04:05", "00ff", '{"a": 1}', "x:y%s", "7")
    assert values(spool) == [text, ("2", *[None] * 11)]
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "id": "integer", "name": "text", "share": "float", "price": "decimal(10,2)", "yes": "boolean", "day": "date",
        "at": "datetime", "raw": "binary", "doc": "json", 'odd "name': "text", "free": "float", "untyped": "integer",
    }  # fmt: skip
    assert set(pq.read_schema(spool.files[0]).types) == {pq.read_schema(spool.files[0]).field("id").type}
    assert (spool.format, spool.rows_read) == ("parquet", 2)


# every name of https://www.sqlite.org/datatype3.html, and those that other databases' tables bring along
DECLARED = {
    **dict.fromkeys(("INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT", "INT2", "INT8",
                     "BIGINT UNSIGNED", "INT(11)"), ("integer", 2**63 - 1, "9223372036854775807")),
    **dict.fromkeys(("CHARACTER(20)", "VARCHAR(255)", "VARYING CHARACTER(255)", "NCHAR(55)", "NVARCHAR(100)",
                     "NATIVE CHARACTER(70)", "TEXT", "CLOB", "LONGTEXT"), ("text", "007", "007")),
    **dict.fromkeys(("BLOB", "BINARY(4)", "VARBINARY(4)", "BYTEA", "LONGBLOB"), ("binary", b"\0\xff", "00ff")),
    **dict.fromkeys(("REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT(5)"), ("float", 0.1 + 0.2, repr(0.1 + 0.2))),
    **dict.fromkeys(("DECIMAL(10,5)", "NUMERIC(10,5)", "NUMBER(10,5)"), ("decimal(10,5)", 1.5, "1.5")),
    "DECIMAL(50,2)": ("decimal(38,9)", 1.5, "1.5"),
    **dict.fromkeys(("NUMERIC", "DECIMAL", "MONEY"), ("float", 1.5, "1.5")),
    **dict.fromkeys(("BOOLEAN", "BOOL"), ("boolean", 1, "1")),
    "DATE": ("date", "2013-01-02", "2013-01-02"),
    "TIME": ("time", "03:04:05", "03:04:05"),
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), ("datetime", "2013-01-02 03:04:05", "2013-01-02 03:04:05")),
    "JSON": ("json", '{"a": 1}', '{"a": 1}'),
    # what a name does not say is what is stored
    **dict.fromkeys(("", "ANY", "UUID", "GUID(36)", "ENUM(2)", "STRING", "INTERVAL", "DATETIMEOFFSET"),
                    ("text", "a b", "a b")),
    **dict.fromkeys(("POINT", "MULTIPOINT", "GEOMETRY"), ("binary", b"\1", "01")),
}  # fmt: skip


def test_every_type_of_sqlite_has_its_value_and_its_type(database, read_table):
    columns = ", ".join(f"c{place} {name}" for place, name in enumerate(DECLARED))
    filled(database, columns, [tuple(value for _, value, _ in DECLARED.values()), (None,) * len(DECLARED)])
    spool = read_table()
    found, empty = values(spool)
    assert dict(zip(DECLARED, zip(map(str, spool.types.values()), found, strict=True), strict=True)) == {
        name: (kind, text) for name, (kind, _, text) in DECLARED.items()
    }
    assert set(empty) == {None}


def test_a_strict_table_has_its_types(database, read_table):
    database.execute("CREATE TABLE things (a INT, b INTEGER, c REAL, d TEXT, e BLOB, f ANY) STRICT")
    database.execute("INSERT INTO things VALUES (1, 2, 1.5, '007', x'00', '7')")
    database.commit()
    spool = read_table()
    assert values(spool) == [("1", "2", "1.5", "007", "00", "7")]
    assert list(map(str, spool.types.values())) == ["integer", "integer", "float", "text", "binary", "text"]


def test_batches_of_different_kinds_of_values_stay_one_text_column(database, read_table):
    filled(database, "v", [(None,), (None,), (1,), ("a",), (2.5,), (b"\x01",), ("é\n",)])
    spool = read_table()
    assert [row[0] for row in values(spool)] == [None, None, "1", "a", "2.5", "\\x01", "é\n"]
    assert {name: str(kind) for name, kind in spool.types.items()} == {"v": "text"}


def test_no_rows_leave_the_columns(database, read_table):
    filled(database, "a INTEGER, b TEXT", [])
    spool = read_table()
    assert (pq.read_schema(spool.files[0]).names, spool.rows_read) == (["a", "b"], 0)


def test_a_query_is_read_as_it_is(database, read_table):
    filled(database, "id INTEGER, name TEXT", [(1, ":x"), (2, "%s"), (3, "y")])
    spool = read_table(
        query="select id * 10 as ten, name, '12:30 :p' as \"a:b\" from things where name <> ':x' -- end;"
    )
    assert values(spool) == [("20", "%s", "12:30 :p"), ("30", "y", "12:30 :p")]
    assert pq.read_schema(spool.files[0]).names == ["ten", "name", "a:b"]
    assert {name: str(kind) for name, kind in spool.types.items()} == {"ten": "integer", "name": "text", "a:b": "text"}


def test_a_query_has_the_types_of_the_columns_it_takes(database, read_table):
    filled(database, "code TEXT, at DATETIME, raw BLOB, price DECIMAL(9,2)", [("007", "2013-01-01", b"12", 1.5)])
    query = "select code, at as seen, raw, price, price > {{ params.least }} as dear, max(at) as m from things"
    spool = read_table(query=query, defaults={"least": 1}, params={"least": 1})
    assert values(spool) == [("007", "2013-01-01", "3132", "1.5", "1", "2013-01-01")]
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "code": "text", "seen": "datetime", "raw": "binary", "price": "decimal(9,2)", "dear": "integer", "m": "text",
    }  # fmt: skip


def test_what_a_column_cannot_hold_is_never_taken_for_another_value(database, read_table):
    definition = "number INTEGER, raw BLOB, price DECIMAL(9,2), words TEXT, at DATETIME"
    rows = [
        (b"AB", "AB", 0.1 + 0.2, b"AB", b"2013"),
        ("12x", 12, 23.200000000000003, 5, 1357016400),
        (None, None, 2**60, None, None),
    ]
    filled(database, definition, rows)
    assert values(read_table()) == [
        ("\\x4142", "4142", "0.3", "\\x4142", "\\x32303133"),
        ("12x", "3132", "23.2", "5", "1357016400"),
        (None, None, str(2**60), None, None),
    ]


def test_text_that_is_no_utf_8_is_the_trouble_of_its_value(database, read_table):
    filled(database, "id INTEGER, name TEXT", [(1, "é")])
    database.execute("INSERT INTO things VALUES (2, CAST(x'ff41' AS TEXT)), (3, 'b')")
    database.commit()
    assert values(read_table()) == [("1", "é"), ("2", "\\xff41"), ("3", "b")]


def test_columns_without_a_type_have_that_of_all_their_values(database, read_table):
    filled(database, "a, b, c, d, e, f NUMERIC", [("007", 1, 1, b"\x01", None, 1), ("8", 2, 2.5, b"", None, 2)])
    spool = read_table()
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "a": "text", "b": "integer", "c": "float", "d": "binary", "e": "text", "f": "integer",
    }  # fmt: skip
    assert values(spool) == [("007", "1", "1", "01", None, "1"), ("8", "2", "2.5", "", None, "2")]


def test_a_view_is_a_table(database, read_table):
    filled(database, "id INTEGER", [(1,)])
    database.execute("CREATE VIEW seen AS SELECT id + 1 AS id FROM things")
    assert values(read_table(table="seen")) == [("2",)]


INSIDE = ["2013-01-01", "2013-01-01 00:00", "2013-01-01T00:00:00", "2013-01-01 23:59:59.999", "2013-01-01T12:00:00Z",
          "2013-01-02T00:30:00+01:00", "2012-12-31T23:30:00.123456-01:00"]  # fmt: skip
OUTSIDE = ["2012-12-31", "2012-12-31T23:59:59Z", "2013-01-02", "2013-01-02 00:00:00.000", "2013-01-01T00:30:00+01:00"]


@pytest.mark.parametrize("declared", ["DATETIME", "TIMESTAMP", "TEXT", "", "TIMESTAMP WITH TIME ZONE"])
def test_a_window_finds_times_in_every_iso_form(database, read_table, declared):
    filled(database, f"at {declared}", [(text,) for text in [*INSIDE, *OUTSIDE, None]])
    assert [row[0] for row in values(read_table(**of_any_form("at")))] == INSIDE


def test_a_window_finds_times_in_a_query(database, read_table):
    filled(database, "at TEXT", [(text,) for text in [*INSIDE, *OUTSIDE]])
    query = "select upper(at) as seen from things"
    assert len(values(read_table(query=query, **of_any_form("seen")))) == len(INSIDE)


def test_dates_are_days_of_the_sources_zone(database, read_table):
    filled(database, "d DATE", [(f"2013-01-0{day}",) for day in (1, 2, 3)])
    whole_day = Window(datetime(2013, 1, 2, 5, tzinfo=UTC), datetime(2013, 1, 3, 5, tzinfo=UTC))
    spool = read_table(incremental={"cursor": "d"}, window=whole_day, timezone="America/New_York")
    assert values(spool) == [("2013-01-02",)]


@pytest.mark.parametrize("bad", ["yesterday", 1357016400, 3, "01/02/2013"])
def test_a_time_that_no_window_would_find_is_bad_data(database, read_table, bad):
    filled(database, "at DATETIME", [("2013-01-01",), (bad,)])
    with pytest.raises(BadDataError, match=rf"src\.things: the cursor at holds {bad!r}, .*hint: .*initial: 0"):
        read_table(incremental={"cursor": "at"})


@pytest.mark.parametrize(
    ("declared", "incremental"),
    [("INTEGER", {}), ("DECIMAL(5,0)", {}), ("REAL", {}), ("TEXT", {"initial": 0}), ("", {"initial": 0})],
)
def test_a_number_is_read_after_the_last_up_to_the_end(database, read_table, declared, incremental):
    filled(database, f"id {declared}", [(n,) for n in (1, 2, 3, 10)])
    spool = read_table(incremental={"cursor": "id", **incremental}, cursor=CursorRange("1", "3"))
    assert [float(row[0]) for row in values(spool)] == [2, 3]


def test_a_number_begins_with_initial(database, read_table):
    filled(database, "id INTEGER", [(1,), (2,), (3,)])
    assert values(read_table(incremental={"cursor": "id", "initial": 2})) == [("2",), ("3",)]
    assert len(values(read_table(incremental={"cursor": "id"}))) == 3


def test_a_missing_file_is_not_ready_and_is_not_made(database, read_table, tmp_path):
    with pytest.raises(
        SourceNotReadyError, match=r'src\.things: .*/date\.db does not exist; hint: did you mean "data\.db"\?'
    ):
        read_table(Connection("db", "sqlite", host="date.db"))
    assert not (tmp_path / "date.db").exists()


@pytest.mark.parametrize("field", ["host", "schema"])
@pytest.mark.parametrize("absolute", [True, False])
def test_the_file_stands_in_host_or_schema(database, read_table, tmp_path, field, absolute):
    filled(database, "a INTEGER", [(1,)])
    name = str(tmp_path / "data.db") if absolute else "data.db"
    assert values(read_table(Connection("db", "sqlite", **{field: name}))) == [("1",)]


def test_a_file_with_an_odd_name_is_found(read_table, tmp_path):
    with sqlite3.connect(tmp_path / "a b%20?x#y.db") as connection:
        connection.execute("CREATE TABLE things AS SELECT 1 AS a")
    connection.close()
    assert values(read_table(Connection("db", "sqlite", host="a b%20?x#y.db"))) == [("1",)]


def test_the_file_is_opened_to_read_only(database, read_table):
    filled(database, "a INTEGER", [(1,)])
    assert database.execute("PRAGMA user_version").fetchone() == (0,)
    # the config takes no such query, but for a function that writes
    with pytest.raises(ValidationError, match="expected a SELECT"):
        read_table(query="insert into things values (2) returning a")
    assert database.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_file_that_is_no_database_is_bad_data(read_table, tmp_path):
    (tmp_path / "data.db").write_text("not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(BadDataError, match="not a database"):
        read_table()


def test_a_locked_database_is_unavailable(database, read_table, monkeypatch):
    filled(database, "a INTEGER", [(1,)])
    real = sqlite3.dbapi2.connect
    monkeypatch.setattr(sqlite3.dbapi2, "connect", lambda *args, **kw: real(*args, **{**kw, "timeout": 0.01}))
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceUnavailableError, match="locked"):
        read_table()


def test_a_missing_table_or_column_names_the_near_one(database, read_table):
    filled(database, "updated_at TEXT", [], "airports")
    with pytest.raises(BadRequestError, match=r'unknown table "airport"; hint: did you mean "airports"\?'):
        read_table(table="airport")
    with pytest.raises(BadRequestError, match=r'did you mean "updated_at"\?'):
        read_table(table="airports", incremental={"cursor": "updatedat"})


def test_an_unknown_kind_of_database_is_a_bad_request(read_table):
    with pytest.raises(BadRequestError, match="unknown connection type"):
        read_table(Connection("db", "nosuchdb", host="x", password="s3cr3t"))


def test_a_missing_driver_is_a_bad_request(read_table, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    monkeypatch.setitem(__import__("sys").modules, "MySQLdb", None)
    with pytest.raises(BadRequestError, match="driver"):
        read_table(Connection("db", "mysql", host="x", password="s3cr3t"))


def test_a_mysql_address_asks_for_full_unicode(tmp_path):
    connection = Connection("db", "mariadb", "h", 3307, "shop", "u", "p/w")
    url = url_of(connection, tmp_path, TableLabel("src", "things"))
    assert url.drivername.startswith("mariadb+")
    assert (url.host, url.port, url.database, url.username, url.password) == ("h", 3307, "shop", "u", "p/w")
    assert url.query == {"charset": "utf8mb4"}


TEXTUAL = {
    int: int, str: str, float: float, bytes: bytes.fromhex, bool: {"true": True, "false": False}.get, Decimal: Decimal,
    date: date.fromisoformat, datetime: datetime.fromisoformat, time: time.fromisoformat, UUID: UUID,
    dict: json.loads, list: json.loads,
}  # fmt: skip
VALUES = st.one_of(
    st.integers(), st.text(), st.floats(allow_nan=False), st.binary(), st.booleans(), st.decimals(allow_nan=False),
    st.dates(), st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.times(), st.uuids(),
    st.dictionaries(st.text(), st.integers() | st.none()), st.lists(st.text() | st.booleans()),
)  # fmt: skip


@given(VALUES)
def test_text_says_the_whole_value(value):
    assert TEXTUAL[type(value)](as_text(value)) == value


@given(st.lists(VALUES | st.none()))
def test_a_column_of_text_is_the_values_one_by_one(mixed):
    assert text_column(mixed).to_pylist() == [as_text(value) for value in mixed]


NEW_YORK_DAY = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))


@pytest.mark.parametrize("zones", [("America/New_York", None), ("UTC", "America/New_York")])
@pytest.mark.parametrize("of", [{}, {"query": "select at from things where at >= {{ window.start }}"}])
def test_a_time_without_an_offset_is_on_the_cursors_clock_and_one_with_it_is_an_instant(
    database, read_table, zones, of
):
    inside = ["2013-01-01 00:00:00", "2013-01-01 23:59", "2013-01-02T04:59:00Z", "2013-01-01T05:00:00+00:00"]
    outside = ["2012-12-31 23:59", "2013-01-02", "2013-01-02T05:00:00Z"]
    filled(database, "at DATETIME", [(text,) for text in [*inside, *outside]])
    cursor = of_any_form("at") | {"incremental": {"cursor": "at", "timezone": zones[1]}}
    found = values(read_table(**of, **cursor, timezone=zones[0], window=NEW_YORK_DAY))
    assert [row[0] for row in found] == inside


def test_windows_in_the_hour_that_clocks_show_twice_share_no_row_and_miss_none(database, read_table):
    minutes = [f"2013-11-03 {hour:02}:{minute:02}:00" for hour in range(4) for minute in (0, 30)]
    filled(database, "at DATETIME", [(text,) for text in minutes])
    first = datetime(2013, 11, 3, 4, tzinfo=UTC)  # midnight in New York, which has 25 hours that day
    found = []
    for quarter in range(20):
        window = Window(first + quarter * timedelta(minutes=15), first + (quarter + 1) * timedelta(minutes=15))
        spool = read_table(incremental={"cursor": "at"}, window=window, timezone="America/New_York")
        found += [row[0] for row in values(spool)]
    assert found == minutes


@pytest.mark.parametrize("choice", ["include", "ignore"])
def test_rows_without_a_cursor_value_are_counted_and_read_as_chosen(database, read_table, choice):
    filled(database, "id INTEGER, at DATETIME", [(1, "2013-01-01"), (None, None), (3, "2014-01-01"), (None, None)])
    for cursor in ("id", "at"):
        spool = read_table(incremental={"cursor": cursor, "null_cursor": choice}, cursor=CursorRange(upto="1"))
        assert (spool.null_cursors, spool.rows_read) == (2, 3 if choice == "include" else 1)


def test_the_keys_of_all_rows_are_read_next_to_those_of_the_window(database, read_table):
    rows = [(1, "a", "2013-01-01"), (2, "b", "2015-01-01"), (3, None, None)]
    filled(database, "id INTEGER, part TEXT, at DATETIME", rows)
    about = {"incremental": {"cursor": "at"}, "primary_key": ["id", "part"], "write_disposition": "merge"}
    spool = read_table(**about, deletes="compare")
    assert (values(spool), values(spool.keys), spool.keys.rows_read) == (
        [("1", "a", "2013-01-01"), ("3", None, None)], [("1", "a"), ("2", "b")], 2
    )  # fmt: skip
    assert {name: str(kind) for name, kind in spool.keys.types.items()} == {"id": "integer", "part": "text"}
    assert read_table(**about, deletes={"column": "at"}).keys is None
    with pytest.raises(BadRequestError, match=r'unknown column "idd" in primary_key; hint: did you mean "id"'):
        read_table(**about | {"primary_key": ["idd"]}, deletes="compare")


def test_the_keys_of_all_rows_are_those_of_the_moment_of_the_rows(database, read_table, monkeypatch):
    filled(database, "id INTEGER, at TEXT", [(1, "2013-01-01"), (2, "2015-01-01")])
    database.execute("PRAGMA journal_mode = WAL")
    real = Progress.done

    def done(self, rows, pages=0):
        database.execute("DELETE FROM things WHERE id = 2")  # the rows are read, the keys are not yet
        database.commit()
        real(self, rows, pages)

    monkeypatch.setattr(Progress, "done", done)
    about = {"incremental": {"cursor": "at"}, "primary_key": ["id"], "write_disposition": "merge"}
    assert sorted(values(read_table(**about, deletes="compare").keys)) == [("1",), ("2",)]


def test_waiting_for_late_commits_works_with_postgresql_alone(database, read_table):
    filled(database, "id INTEGER", [(1,)])
    with pytest.raises(BadRequestError, match="late_commits: wait needs PostgreSQL"):
        read_table(incremental={"cursor": "id", "late_commits": "wait"})
