"""MySQL and MariaDB as sources: tables, queries with values in them, and what `elt new` finds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from extract_support import SECRET, read_request

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import CursorRange
from elt_factory.sources.kind import Asked
from elt_factory.sources.read import parts, read
from elt_factory.sources.sql.discovery import Tables, look_at_tables
from elt_factory.sources.sql.kind import KIND

DAY = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))
HOSTILE = ["'; drop table things; --", "' or '1'='1", r"\' or 1=1 -- ", "%s", ":given_0", "😀"]


@pytest.fixture(scope="module")
def shop() -> Iterator[Connection]:
    """A database of its own on the server of this machine."""
    name = f"extract_{uuid.uuid4().hex[:10]}"
    server = sa.create_engine("mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4", poolclass=sa.NullPool)
    try:
        database = server.connect()
    except sa.exc.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no MariaDB to test with: {error}")
    with database:
        database.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        database.execute(sa.text(f"USE {name}"))
        database.execute(
            sa.text(
                "CREATE TABLE things (id INT PRIMARY KEY, region VARCHAR(60), price DECIMAL(10, 2), made DATE, "
                "updated_at DATETIME NOT NULL, email VARCHAR(60))"
            )
        )
        rows = [
            (1, "EMEA", "2013-01-01 04:59:59"),
            (2, "EMEA", "2013-01-01 05:00:00"),
            (3, "APAC", "2013-01-01 06:00:00"),
            *((10 + number, text, "2013-01-01 07:00:00") for number, text in enumerate(HOSTILE)),
        ]
        insert = sa.text("INSERT INTO things VALUES (:id, :region, 9.5, '2013-01-01', :at, 'a@example.org')")
        database.execute(insert, [{"id": number, "region": region, "at": at} for number, region, at in rows])
        database.commit()
        yield Connection("db", "mysql", host="127.0.0.1", port=3306, schema=name, login="root")
        database.execute(sa.text(f"DROP DATABASE {name}"))


EVERYTHING = {
    "b1 BIT(1)": ("boolean", "b'1'", "1"),
    "b8 BIT(8)": ("integer", "18", "18"),
    "b16 BIT(16)": ("integer", "4660", "4660"),
    "b64 BIT(64)": ("decimal(20,0)", "18446744073709551615", "18446744073709551615"),
    "flag BOOLEAN": ("integer", "2", "2"),
    "byte TINYINT": ("integer", "-128", "-128"),
    "usmall SMALLINT UNSIGNED": ("integer", "65535", "65535"),
    "umedium MEDIUMINT UNSIGNED": ("integer", "16777215", "16777215"),
    "signed INT": ("integer", "-2147483648", "-2147483648"),
    "counted SERIAL": ("decimal(20,0)", "1", "1"),
    "tiny TINYINT UNSIGNED": ("integer", "255", "255"),
    "small SMALLINT": ("integer", "-32768", "-32768"),
    "medium MEDIUMINT": ("integer", "8388607", "8388607"),
    "whole INT UNSIGNED": ("integer", "4294967295", "4294967295"),
    "filled INT(5) ZEROFILL": ("integer", "7", "7"),
    "big BIGINT": ("integer", "-9223372036854775808", "-9223372036854775808"),
    "ubig BIGINT UNSIGNED": ("decimal(20,0)", "18446744073709551615", "18446744073709551615"),
    "half BIGINT UNSIGNED": ("decimal(20,0)", "9223372036854775808", "9223372036854775808"),
    "single FLOAT": ("float", "16777216", "16777216"),
    "tenth FLOAT": ("float", "0.1", "0.1"),
    "twice DOUBLE": ("float", "0.1e0 + 0.2e0", "0.30000000000000004"),
    "real_one REAL": ("float", "-1.5e300", "-1.5e+300"),
    "usingle FLOAT UNSIGNED": ("float", "0.1", "0.1"),
    "round_one NUMERIC(10)": ("decimal(10,0)", "-1234567890", "-1234567890"),
    "amount DECIMAL(10,2)": ("decimal(10,2)", "-12345678.90", "-12345678.90"),
    "positive DECIMAL(10,2) UNSIGNED": ("decimal(10,2)", "12345678.90", "12345678.90"),
    "wide DECIMAL(65,2)": ("decimal(38,9)", "1", "1.00"),
    "made YEAR": ("integer", "2024", "2024"),
    "day DATE": ("date", "'1000-01-01'", "1000-01-01"),
    "zero DATE": ("date", "'0000-00-00'", "0000-00-00"),
    "month DATE": ("date", "'2013-05-00'", "2013-05-00"),
    "clock TIME": ("time", "'05:06:07'", "05:06:07"),
    "fine TIME(6)": ("time", "'05:06:07.5'", "05:06:07.500000"),
    "long_time TIME": ("time", "'838:59:59'", "838:59:59"),
    "back TIME": ("time", "'-01:02:03'", "-01:02:03"),
    "wall DATETIME(6)": ("datetime", "'2013-01-02 03:04:05.678901'", "2013-01-02T03:04:05.678901"),
    "no_wall DATETIME": ("datetime", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "instant TIMESTAMP(6) NULL": ("timestamp", "'2013-01-02 03:04:05.5'", "2013-01-02T03:04:05.500000+00:00"),
    "no_instant TIMESTAMP NULL": ("timestamp", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "fixed CHAR(4)": ("text", "'007'", "007"),
    "name VARCHAR(20)": ("text", "'é😀'", "é😀"),
    "empty VARCHAR(20)": ("text", "''", ""),
    "tiny_text TINYTEXT": ("text", "'t'", "t"),
    "some_text TEXT": ("text", "'a,\\nb'", "a,\nb"),
    "medium_text MEDIUMTEXT": ("text", "'x'", "x"),
    "national NVARCHAR(20)": ("text", "'é'", "é"),
    "latin VARCHAR(20) CHARACTER SET latin1": ("text", "'é'", "é"),
    "long_text LONGTEXT": ("text", "'1234'", "1234"),
    "binary_4 BINARY(4)": ("binary", "'AB'", "41420000"),
    "varbinary_4 VARBINARY(4)": ("binary", "'AB'", "4142"),
    "tiny_blob TINYBLOB": ("binary", "'AB'", "4142"),
    "some_blob BLOB": ("binary", "x'00ff'", "00ff"),
    "medium_blob MEDIUMBLOB": ("binary", "'AB'", "4142"),
    "long_blob LONGBLOB": ("binary", "'AB'", "4142"),
    "pick ENUM('a','b')": ("text", "'b'", "b"),
    "picks SET('x','y')": ("text", "'x,y'", "x,y"),
    "doc JSON": ("json", """'{"a": 1}'""", '{"a": 1}'),
    "place POINT": ("binary", "POINT(1, 2)", "000000000101000000000000000000f03f0000000000000040"),
    "way LINESTRING": (
        "binary",
        "LINESTRING(POINT(0, 0), POINT(1, 1))",
        "00000000010200000002000000" + "0" * 32 + "000000000000f03f" * 2,
    ),
    "shape GEOMETRY": ("binary", "POINT(1, 2)", "000000000101000000000000000000f03f0000000000000040"),
    "field POLYGON": ("binary", "NULL", None),
    "places MULTIPOINT": ("binary", "NULL", None),
    "ways MULTILINESTRING": ("binary", "NULL", None),
    "fields MULTIPOLYGON": ("binary", "NULL", None),
    "things GEOMETRYCOLLECTION": ("binary", "NULL", None),
    "id UUID": ("text", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "ip INET6": ("text", "'::1'", "::1"),
    "ip4 INET4": ("text", "'10.0.0.1'", "10.0.0.1"),
}


@pytest.fixture(scope="module")
def everything(shop: Connection) -> None:
    url = f"mysql+pymysql://root@127.0.0.1:3306/{shop.schema}?charset=utf8mb4"
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as database:
        run = database.exec_driver_sql
        run("SET sql_mode = '', time_zone = '+00:00'")
        run(f"CREATE TABLE everything (nr INT PRIMARY KEY, {', '.join(EVERYTHING)})")
        run(f"INSERT INTO everything VALUES (1, {', '.join(value for _, value, _ in EVERYTHING.values())})")
        run("INSERT INTO everything (nr) VALUES (2)")
    yield
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as database:
        database.exec_driver_sql("DROP TABLE everything")


@pytest.mark.parametrize("how", [{"table": "everything"}, {"query": "select * from everything"}])
def test_every_type_has_its_value_and_its_type(tmp_path, shop, everything, how):
    spool = read(request_of(tmp_path, shop, how))
    filled, empty = rows_of(spool)
    names = [definition.split()[0] for definition in EVERYTHING]
    expected = {name: (text, kind) for name, (kind, _, text) in zip(names, EVERYTHING.values(), strict=True)}
    if "query" in how:
        expected["doc"] = (expected["doc"][0], "text")  # MariaDB keeps JSON as text, and says so of a query
    assert {name: (filled[name], str(spool.types[name])) for name in names} == expected
    # SERIAL is NOT NULL
    assert {name for name, value in empty.items() if value is not None} == {"nr", "counted"}


def test_expressions_of_a_query_have_the_types_that_the_server_gives_them(tmp_path, shop, everything):
    query = (
        "select count(*) as n, sum(ubig) as total, avg(small) as mean, max(b8) as bits, "
        "timediff('30:00', '01:00') as t, now() as at, coalesce(single, 0) as f, concat(id, '') as text from everything"
    )
    spool = read(request_of(tmp_path, shop, {"query": query}))
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "n": "integer", "total": "decimal(38,9)", "mean": "decimal(9,4)", "bits": "integer", "t": "time",
        "at": "datetime", "f": "float", "text": "text",
    }  # fmt: skip
    (row,) = rows_of(spool)
    assert (row["n"], row["total"], row["bits"], row["t"]) == ("2", "18446744073709551615", "18", "29:00:00")


def rows_of(spool) -> list[dict]:
    return pq.read_table(spool.files[0]).to_pylist()


def request_of(tmp_path, shop, table, **more):
    return read_request(tmp_path, {"type": "sql", "connection": "db"}, table, shop, window=DAY, **more)


def test_a_table_comes_with_the_types_of_its_catalogue(tmp_path, shop):
    spool = read(request_of(tmp_path, shop, {"table": "things"}))
    assert {name: str(kind) for name, kind in spool.types.items()} == {
        "id": "integer",
        "region": "text",
        "price": "decimal(10,2)",
        "made": "date",
        "updated_at": "datetime",
        "email": "text",
    }
    assert rows_of(spool)[0] == {
        "id": "1",
        "region": "EMEA",
        "price": "9.50",
        "made": "2013-01-01",
        "updated_at": "2013-01-01T04:59:59",
        "email": "a@example.org",
    }
    assert {row["region"] for row in rows_of(spool)} >= set(HOSTILE)


def test_columns_that_a_star_leaves_out_are_read(tmp_path, shop):
    url = sa.URL.create("mysql+pymysql", "root", host="127.0.0.1", port=3306, database=shop.schema)
    with sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as writer:
        writer.execute(
            sa.text(
                "CREATE OR REPLACE TABLE veiled (name VARCHAR(9), id INT PRIMARY KEY AUTO_INCREMENT INVISIBLE, "
                "u FLOAT INVISIBLE DEFAULT 16777216, twice INT GENERATED ALWAYS AS (id * 2) VIRTUAL INVISIBLE)"
            )
        )
        writer.execute(sa.text("INSERT INTO veiled (name) VALUES ('a'), ('b')"))
    of_key = {"primary_key": ["id"], "write_disposition": "merge", "incremental": {"cursor": "u", "initial": 0}}
    spool = read(request_of(tmp_path, shop, {"table": "veiled", **of_key}))
    assert rows_of(spool) == [
        {"name": name, "id": key, "u": "16777216", "twice": twice}
        for name, key, twice in (("a", "1", "2"), ("b", "2", "4"))
    ]
    assert (str(spool.types["id"]), str(spool.types["u"])) == ("integer", "float")
    with_schema = read_request(
        tmp_path, {"type": "sql", "connection": "db", "schema": shop.schema}, {"table": "veiled"}, shop
    )
    assert set(rows_of(read(with_schema))[0]) == {"name", "id", "u", "twice"}
    (table,) = look_at_tables(Tables(shop, "shop", ("veiled",), None, tmp_path / "work"), tmp_path / "work").tables
    assert table.key.columns == ("id",)


def test_a_window_and_a_cursor_read_what_is_theirs(tmp_path, shop):
    by_time = {"table": "things", "incremental": {"cursor": "updated_at"}}
    assert {row["id"] for row in rows_of(read(request_of(tmp_path, shop, by_time)))} >= {"2", "3"}
    assert "1" not in {row["id"] for row in rows_of(read(request_of(tmp_path, shop, by_time)))}
    by_number = {"table": "things", "incremental": {"cursor": "id", "initial": 0}}
    found = read(request_of(tmp_path, shop, by_number, cursor=CursorRange("9", "11")))
    assert [row["id"] for row in rows_of(found)] == ["10", "11"]


QUERY = (
    "select id, '12:30' as t, 7 % 4 as r from things "
    "where updated_at >= {{ window.start }} and updated_at < {{ window.end }} and region = {{ params.region }}"
)


@pytest.mark.parametrize(
    ("region", "ids"), [("EMEA", ["2"]), *((text, [str(10 + n)]) for n, text in enumerate(HOSTILE))]
)
def test_a_value_of_a_query_is_never_sql(tmp_path, shop, region, ids):
    request = request_of(tmp_path, shop, {"query": QUERY}, defaults={"region": "EMEA"}, params={"region": region})
    found = rows_of(read(request))
    assert [row["id"] for row in found] == ids
    assert {(row["t"], row["r"]) for row in found} == {("12:30", "3")}


def test_what_does_not_work_is_told(tmp_path, shop):
    with pytest.raises(BadRequestError, match='unknown table "thinks"; hint: did you mean "things"'):
        read(request_of(tmp_path, shop, {"table": "thinks"}))
    nobody = Connection("db", "mysql", host="127.0.0.1", port=3306, schema=shop.schema, login="nobody", password="no")
    with pytest.raises(AccessDeniedError):
        read(request_of(tmp_path, nobody, {"table": "things"}))


def test_a_look_finds_key_cursor_and_personal_columns(tmp_path, shop):
    (table,) = look_at_tables(Tables(shop, "shop", ("things",), None, tmp_path), tmp_path).tables
    assert table.name == "things"
    assert table.key.columns == ("id",)
    assert table.cursor.value == "updated_at"
    assert [column.name for column in table.columns if column.pii] == ["email"]


def test_a_timestamp_is_an_instant_and_a_datetime_is_on_the_cursors_clock(tmp_path, shop, everything):
    url = f"mysql+pymysql://root@127.0.0.1:3306/{shop.schema}"
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as database:
        database.exec_driver_sql("SET time_zone = '+00:00'")
        database.exec_driver_sql("CREATE TABLE clocks (id INT PRIMARY KEY, wall DATETIME, instant TIMESTAMP NULL)")
        database.exec_driver_sql(
            "INSERT INTO clocks VALUES (1, '2013-01-01 00:00', '2013-01-01 05:00'), "
            "(2, '2013-01-01 23:59:59', '2013-01-02 04:59:59'), (3, '2013-01-02', '2013-01-02 05:00'), (4, NULL, NULL)"
        )
    for cursor in ("wall", "instant"):
        templates = f"select * from clocks where {cursor} >= {{{{ window.start }}}} and {cursor} < {{{{ window.end }}}}"
        for of in ({"table": "clocks"}, {"query": templates}):
            request = request_of(tmp_path, shop, {**of, "incremental": {"cursor": cursor}}, timezone="America/New_York")
            spool = read(request)
            assert [row["id"] for row in rows_of(spool)] == ["1", "2"]
            assert spool.null_cursors == ("query" not in of)


@pytest.mark.parametrize("split", [{"tasks": 2}, {"tasks": 2, "by": "cursor"}], ids=["by key", "by cursor"])
def test_parts_read_up_to_all_digits_of_a_single_float(tmp_path, shop, split):
    url = sa.URL.create("mysql+pymysql", "root", host="127.0.0.1", port=3306, database=shop.schema)
    with sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as writer:
        writer.execute(sa.text("CREATE OR REPLACE TABLE floats (id INT PRIMARY KEY, u FLOAT)"))
        writer.execute(sa.text("INSERT INTO floats VALUES (1, 0.7), (2, 1234567), (3, 16777216)"))
    about = {"table": "floats", "primary_key": ["id"], "write_disposition": "merge", "split": split}
    request = request_of(tmp_path, shop, about | {"incremental": {"cursor": "u", "initial": 0}}, cursor=CursorRange())
    rows = [row for part in parts(request, 2) for row in rows_of(read(replace(request, part=part.what)))]
    assert sorted(row["id"] for row in rows) == ["1", "2", "3"]


def test_the_keys_of_all_rows_are_those_of_the_moment_of_the_rows(tmp_path, shop, monkeypatch):
    """Also where the server lets every statement see a moment of its own."""
    url = sa.URL.create("mysql+pymysql", "root", host="127.0.0.1", port=3306, database=shop.schema)
    other = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with other.connect() as writer:
        writer.execute(sa.text("CREATE TABLE keyed (id INT PRIMARY KEY, updated_at DATETIME)"))
        writer.execute(sa.text("INSERT INTO keyed VALUES (1, '2013-01-01 06:00:00'), (2, '2015-01-01')"))
        real = Progress.done

        def done(self, rows, pages=0):
            writer.execute(sa.text("DELETE FROM keyed WHERE id = 2"))  # the rows are read, the keys are not yet
            real(self, rows, pages)

        monkeypatch.setattr(Progress, "done", done)
        committed = {"init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"}
        connection = replace(shop, extra={"sqlalchemy_query": committed})
        about = {"table": "keyed", "primary_key": ["id"], "write_disposition": "merge", "deletes": "compare"}
        spool = read(request_of(tmp_path, connection, about | {"incremental": {"cursor": "updated_at"}}))
        assert sorted(pq.read_table(spool.keys.files[0])["id"].to_pylist()) == ["1", "2"]


@pytest.mark.parametrize("options", [{"nonsense": "1"}, {"charset": "nope"}, {"connect_timeout": "soon"}])
def test_options_that_the_driver_does_not_take_are_one_message(tmp_path, shop, options):
    connection = replace(shop, password=SECRET, extra={"sqlalchemy_query": options})
    with pytest.raises(BadRequestError, match=r"options of the connection: .* correct sqlalchemy_query") as error:
        read(request_of(tmp_path, connection, {}))
    assert SECRET not in str(error.value)


def test_a_sample_is_asked_for_as_the_database_writes_it(tmp_path, shop):
    """Names in double quotes are text in MySQL, and not every database knows LIMIT."""
    table = {"table": "things", "incremental": {"cursor": "updated_at"}}
    request = request_of(tmp_path, shop, table, most_rows=2)
    narrowed, said = KIND.sampled(Asked(request.source, "things", DAY, {}), shop, tmp_path)
    assert (read(replace(request, source=narrowed)).rows_read, said) == (2, "100 rows")
