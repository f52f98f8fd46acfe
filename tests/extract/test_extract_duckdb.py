"""DuckDB files as a source."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import duckdb
import pytest
from extract_support import read_request

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, SourceNotReadyError, SourceUnavailableError
from elt_factory.core.window import Window
from elt_factory.discover.writing import yaml_of
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import CursorRange
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.sources.sql.discovery import Tables, look_at_tables
from elt_factory.sources.sql.reader import first_value
from elt_factory.testing.sources import SourceSuite

DAY = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
FILE = Connection("db", "duckdb", host="source.duckdb")
# a type: a value in SQL, the type here, and the value as it is landed
EVERYTHING = {
    "BOOLEAN": ("true", "boolean", True),
    "TINYINT": ("-128", "integer", -128),
    "UTINYINT": ("255", "integer", 255),
    "SMALLINT": ("1", "integer", 1),
    "USMALLINT": ("1", "integer", 1),
    "INTEGER": ("1", "integer", 1),
    "UINTEGER": ("4294967295", "integer", 4294967295),
    "BIGINT": ("-9223372036854775808", "integer", -9223372036854775808),
    "UBIGINT": ("18446744073709551615", "decimal(20,0)", "18446744073709551615"),
    "HUGEINT": ("12345678901234567890123456789012345678", "decimal(38,0)", "12345678901234567890123456789012345678"),
    "UHUGEINT": ("7", "decimal(38,0)", "7"),
    "BIGNUM": ("7", "decimal(38,0)", "7"),
    "DECIMAL(38,10)": ("1.5", "decimal(38,10)", "1.5000000000"),
    "FLOAT": ("0.1", "float", 0.1),
    "DOUBLE": ("'nan'", "float", "nan"),
    "VARCHAR": ("'a''b'", "text", "a'b"),
    "BLOB": ("'\\x00\\xff'::BLOB", "binary", b"\x00\xff"),
    "DATE": ("'0999-12-31'", "date", "0999-12-31"),
    "TIME": ("'10:00:00.5'", "time", "10:00:00.500000"),
    "TIMETZ": ("'10:00:00+02'", "text", "10:00:00+02"),
    "TIMESTAMP": ("'9999-12-31 23:59:59.123456'", "datetime", "9999-12-31 23:59:59.123456"),
    "TIMESTAMP_S": ("'2013-01-01 00:00:01'", "datetime", "2013-01-01 00:00:01"),
    "TIMESTAMP_MS": ("'2013-01-01 00:00:00.5'", "datetime", "2013-01-01 00:00:00.500000"),
    "TIMESTAMPTZ": ("'2013-01-01 00:00:00+02'", "timestamp", "2012-12-31 22:00:00+00:00"),
    "INTERVAL": ("INTERVAL '1 day'", "text", "1 day"),
    "UUID": ("'00000000-0000-0000-0000-000000000005'", "text", "00000000-0000-0000-0000-000000000005"),
    "ENUM('a', 'b')": ("'b'", "text", "b"),
    "BIT": ("'101'", "text", "101"),
    "JSON": ("'{\"a\": [1]}'", "json", '{"a": [1]}'),
    "INTEGER[]": ("[1, NULL]", "json", "[1,null]"),
    "INTEGER[2]": ("[1, 2]", "json", "[1,2]"),
    "STRUCT(a INTEGER)": ("{'a': 1}", "json", '{"a":1}'),
    "MAP(VARCHAR, INTEGER)": ("MAP {'a': 1}", "json", '{"a":1}'),
    "UNION(n INTEGER, s VARCHAR)": ("1", "json", '{"n":1}'),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source.duckdb"
    with duckdb.connect(str(path)) as database:
        columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(EVERYTHING))
        database.execute(f"CREATE TABLE everything ({columns})")
        database.execute(f"INSERT INTO everything VALUES ({', '.join(value for value, *_ in EVERYTHING.values())})")
        database.execute("INSERT INTO everything (c0) VALUES (NULL)")
        database.execute(
            'CREATE TABLE "Orders" (order_id INTEGER PRIMARY KEY, total DECIMAL(9, 2), updated_at TIMESTAMP);'
            "INSERT INTO \"Orders\" VALUES (1, 9.5, '2012-12-31 23:59:59'), (2, 9.5, '2013-01-01'), "
            "(3, 9.5, '2013-01-02'), (4, 9.5, NULL); CREATE VIEW seen AS SELECT * FROM \"Orders\";"
            "CREATE SCHEMA other; CREATE TABLE other.notes (id INTEGER)"
        )
    return path


@pytest.fixture
def read_table(tmp_path, file):
    def run(connection=FILE, schema=None, cursor=None, **table):
        extract = {"type": "sql", "connection": "db", **({"schema": schema} if schema else {})}
        return read(read_request(tmp_path, extract, table, connection, window=DAY, cursor=cursor))

    return run


def rows(spool) -> list[tuple]:
    return duckdb.read_parquet(str(spool.files[0])).fetchall()


def ids(spool) -> list[int]:
    return sorted(row[0] for row in rows(spool))


@pytest.mark.duckdb
def test_every_type_is_landed_with_its_value_and_its_type(tmp_path, read_table):
    spool = read_table(table="everything")
    assert [str(kind) for kind in spool.types.values()] == [kind for _, kind, _ in EVERYTHING.values()]
    known = KnownTable("src", "things", read_request(tmp_path, {"type": "sql", "connection": "db"}, {}).source.tables[
        "things"], None)  # fmt: skip
    work = tmp_path / "contract"
    work.mkdir()
    manifest = land(LandRequest(known, DAY, "load", spool, LocalPlace(tmp_path / "landing"), work, print))
    assert (manifest.rows, manifest.rows_rejected) == (2, 0)
    found = duckdb.read_parquet([str(tmp_path / "landing" / one.path) for one in manifest.files]).to_arrow_table()
    full, empty = sorted(found.to_pylist(), key=lambda row: row["c0"] is None)
    for (kind, (_, _, expected)), value in zip(EVERYTHING.items(), full.values(), strict=True):
        assert value == expected or str(value) == str(expected), kind
    assert set(empty.values()) == {None}


@pytest.mark.duckdb
def test_a_window_takes_its_start_and_leaves_its_end(read_table):
    spool = read_table(table="Orders", incremental={"cursor": "updated_at"})
    assert (ids(spool), spool.null_cursors) == ([2], 1)
    assert ids(read_table(table="seen", incremental={"cursor": "updated_at", "null_cursor": "include"})) == [2, 4]
    numbered = {"cursor": "order_id", "initial": 0}
    assert ids(read_table(table="Orders", incremental=numbered, cursor=CursorRange("2"))) == [3, 4]


@pytest.mark.duckdb
def test_the_values_of_a_query_are_bound(read_table):
    query = "select order_id, '?' from \"Orders\" where updated_at >= {{ window.start }} order by 1 -- all"
    assert rows(read_table(query=query)) == [(2, "?"), (3, "?")]


@pytest.mark.duckdb
def test_the_keys_of_all_rows_are_read_next_to_those_of_the_window(read_table):
    about = {"primary_key": ["order_id"], "write_disposition": "merge", "deletes": "compare"}
    spool = read_table(table="Orders", incremental={"cursor": "updated_at", "null_cursor": "ignore"}, **about)
    assert (ids(spool), ids(spool.keys)) == ([2], [1, 2, 3, 4])


@pytest.mark.duckdb
def test_a_query_reaches_no_other_file(read_table, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for query in (f"select * from '{tmp_path}/secret.csv'", f"select * from read_text('{tmp_path}/secret.csv')"):
        with pytest.raises(BadRequestError, match="disabled by configuration"):
            read_table(query=query)


@pytest.mark.duckdb
def test_what_is_not_there_names_what_is_near(read_table):
    with pytest.raises(BadRequestError, match=r'src\.things: unknown table "Order"; hint: did you mean "Orders"'):
        read_table(table="Order")
    with pytest.raises(BadRequestError, match=r'unknown column "updated" in incremental.cursor; hint: did you mean'):
        read_table(table="orders", incremental={"cursor": "updated"})
    with pytest.raises(SourceNotReadyError, match=r"DuckDB file .*sourc.duckdb does not exist; hint: did you mean"):
        read_table(Connection("db", "duckdb", host="sourc.duckdb"))


@pytest.mark.duckdb
def test_a_file_that_is_no_database_is_bad_data(read_table, tmp_path):
    (tmp_path / "other.duckdb").write_text("no database at all" * 1000)
    with pytest.raises(BadDataError, match="not a valid DuckDB database file"):
        read_table(Connection("db", "duckdb", host="other.duckdb"))


@pytest.mark.services
def test_a_file_that_another_process_writes_is_tried_again(read_table, file):
    code = f"import duckdb, time; d = duckdb.connect({str(file)!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        try:
            with pytest.raises(SourceUnavailableError, match="lock"):
                read_table(table="Orders")
        finally:
            writer.kill()


@pytest.mark.duckdb
def test_a_look_finds_tables_keys_and_cursors(tmp_path, file):
    found = look_at_tables(Tables(FILE, "shop", ("Orders",), None, tmp_path), tmp_path)
    assert 'table: "Orders"' in yaml_of("shop", found, {})
    assert found.tables[0].key.columns == ("order_id",)
    assert first_value(FILE, tmp_path, 'select count(*) from "Orders"', TableLabel("a", "b")) == 4


@pytest.mark.duckdb
class TestDuckDbAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "shop",
        "extract": {"type": "sql", "connection": "db"},
        "tables": {"orders": {"table": "Orders", "write_disposition": "replace"}},
    }
    rows = [{"order_id": number, "total": 9.5} for number in range(1, 3)]

    def connection(self, folder) -> Connection:
        with duckdb.connect(str(folder / "shop.duckdb")) as database:
            database.execute(
                'CREATE TABLE IF NOT EXISTS "Orders" AS SELECT 1 order_id, 9.5 total UNION ALL SELECT 2, 9.5'
            )
        return Connection("db", "duckdb", host=str(folder / "shop.duckdb"))

    def broken(self, folder) -> Connection:
        return Connection("db", "duckdb", host=str(folder / "nowhere.duckdb"))
