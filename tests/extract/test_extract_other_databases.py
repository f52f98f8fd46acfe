"""SQL Server and Oracle, as far as their drivers go without a server: addresses, types, statements, errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import mssql_python
import oracledb
import pytest
import sqlalchemy as sa
from dbapi_support import Connection as DbapiConnection
from dbapi_support import Script
from extract_support import SECRET, read_request
from mssql_python.constants import ConstantsDDBC
from mssql_python.cursor import Cursor
from pyarrow import parquet
from sqlalchemy.dialects.oracle.oracledb import OracleDialect_oracledb

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.read import read
from elt_factory.sources.sql import connections, database, mssql, oracle
from elt_factory.sources.sql.database_url import url_of
from elt_factory.sources.sql.values_as_text import as_text

# the Snowflake provider keeps SQLAlchemy below 2.1 on Python 3.12 and newer
MSDialect_mssqlpython = pytest.importorskip(
    "sqlalchemy.dialects.mssql.mssqlpython", reason="SQL Server's driver needs SQLAlchemy 2.1"
).MSDialect_mssqlpython
SUBJECT = TableLabel("src", "things")


def connection_of(kind: str, **more) -> Connection:
    return Connection("db", kind, **{"host": "127.0.0.1", "port": 1, "schema": "shop", "login": "me", **more})


def arguments(tmp_path, connection):
    url = url_of(connection, tmp_path, SUBJECT)
    return url, url.get_dialect()(dbapi=url.get_dialect().import_dbapi()).create_connect_args(url)


def test_an_address_of_sql_server_has_what_the_connection_has(tmp_path):
    extra = {"Encrypt": True, "TrustServerCertificate": "yes", "driver": "ODBC Driver 18", "unknown": 1}
    _, (given, _) = arguments(tmp_path, connection_of("mssql", password="a;b}c", extra=extra))
    assert given == (
        "Server=127.0.0.1,1;Database=shop;UID=me;PWD={a;b}}c};Encrypt=yes;TrustServerCertificate=yes",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"service_name": "shop"}),
        ({"extra": {"service_name": "pdb1"}}, {"service_name": "pdb1"}),
        ({"schema": None, "extra": {"sid": "XE"}}, {"sid": "XE"}),
    ],
)
def test_an_address_of_oracle_names_a_service_or_a_sid(tmp_path, more, expected):
    url, (_, given) = arguments(tmp_path, connection_of("oracle", password="secret", **more))
    assert url.drivername == "oracle+oracledb"
    found = given["dsn"] if "dsn" in given else str(given)
    for name, value in expected.items():
        assert f"{name.upper()}={value}" in found.replace(" ", "") or given.get(name) == value


def test_a_connection_that_names_no_service_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(BadRequestError, match="names no service; hint: set the schema, or service_name or sid"):
        url_of(connection_of("oracle", schema=None), tmp_path, SUBJECT)


def test_any_dialect_takes_its_options_from_the_extra(tmp_path):
    extra = {"sqlalchemy_query": {"secure": True}}
    url = url_of(connection_of("clickhouse+native", password="p", extra=extra), tmp_path, SUBJECT)
    assert str(url) == "clickhouse+native://me:***@127.0.0.1:1/shop?secure=True"
    with pytest.raises(BadRequestError, match=r"sqlalchemy_query .* is not a mapping; hint: write it as"):
        url_of(connection_of("clickhouse", extra={"sqlalchemy_query": "secure=1"}), tmp_path, SUBJECT)


def test_every_type_of_connection_names_its_extra():
    assert {kind: connections.EXTRAS.get(kind) for kind in connections.TYPES} == {
        "postgres": "postgres",
        "postgresql": "postgres",
        "sqlite": None,
        "mysql": "mysql",
        "mariadb": "mysql",
        "mssql": "mssql",
        "oracle": "oracle",
        "snowflake": "snowflake",
        "duckdb": None,
        "*": None,
    }


# what the driver says of each type: its code, size and digits
SQL_SERVER = {
    "bit": ("SQL_BIT", 1, 0, "boolean"),
    "tinyint": ("SQL_TINYINT", 3, 0, "integer"),
    "smallint": ("SQL_SMALLINT", 5, 0, "integer"),
    "int": ("SQL_INTEGER", 10, 0, "integer"),
    "bigint": ("SQL_BIGINT", 19, 0, "integer"),
    "decimal(18,2)": ("SQL_DECIMAL", 18, 2, "decimal(18,2)"),
    "numeric(38,0)": ("SQL_NUMERIC", 38, 0, "decimal(38,0)"),
    "money": ("SQL_DECIMAL", 19, 4, "decimal(19,4)"),
    "real": ("SQL_REAL", 24, 0, "float"),
    "float": ("SQL_FLOAT", 53, 0, "float"),
    "double": ("SQL_DOUBLE", 53, 0, "float"),
    "date": ("SQL_TYPE_DATE", 10, 0, "date"),
    "time(7)": ("SQL_SS_TIME2", 16, 7, "time"),
    "datetime2(7)": ("SQL_TYPE_TIMESTAMP", 27, 7, "datetime"),
    "datetimeoffset": ("SQL_DATETIMEOFFSET", 34, 7, "timestamp"),
    "char": ("SQL_CHAR", 5, 0, "text"),
    "varchar": ("SQL_VARCHAR", 5, 0, "text"),
    "text": ("SQL_LONGVARCHAR", 0, 0, "text"),
    "nchar": ("SQL_WCHAR", 5, 0, "text"),
    "nvarchar": ("SQL_WVARCHAR", 0, 0, "text"),
    "ntext": ("SQL_WLONGVARCHAR", 0, 0, "text"),
    "uniqueidentifier": ("SQL_GUID", 36, 0, "text"),
    "xml": ("SQL_SS_XML", 0, 0, "text"),
    "sql_variant": ("SQL_SS_VARIANT", 8000, 0, "text"),
    "binary": ("SQL_BINARY", 4, 0, "binary"),
    "varbinary": ("SQL_VARBINARY", 0, 0, "binary"),
    "image": ("SQL_LONGVARBINARY", 0, 0, "binary"),
    "geometry": ("SQL_SS_UDT", 0, 0, "binary"),
}
# Python's types for which a type of the warehouse would be wrong
OF_PYTHON = {"int": {"integer"}, "float": {"float"}, "Decimal": {"decimal"}, "bool": {"boolean"}, "date": {"date"},
             "time": {"time"}, "datetime": {"datetime", "timestamp"}, "bytes": {"binary", "text"}}  # fmt: skip


@pytest.mark.parametrize("name", SQL_SERVER)
def test_every_type_of_sql_server_has_one_here(name):
    code, size, digits, expected = SQL_SERVER[name]
    kind = mssql.type_of(ConstantsDDBC[code].value, size, digits)
    assert str(kind) == expected
    # no other than the Python type in which the driver hands it out can be read back
    of_driver = Cursor._map_data_type(object.__new__(Cursor), ConstantsDDBC[code].value).__name__
    assert kind.name in OF_PYTHON.get(of_driver, {"text", "binary"})


ORACLE = {
    "NUMBER": (0, -127, "decimal(38,9)"),
    "BINARY_INTEGER": (0, 0, "integer"),
    "BINARY_FLOAT": (0, 0, "float"),
    "BINARY_DOUBLE": (0, 0, "float"),
    "BOOLEAN": (0, 0, "boolean"),
    "DATE": (0, 0, "datetime"),
    "TIMESTAMP": (0, 6, "datetime"),
    "TIMESTAMP_TZ": (0, 6, "timestamp"),
    "TIMESTAMP_LTZ": (0, 6, "timestamp"),
    "BLOB": (0, 0, "binary"),
    "BFILE": (0, 0, "binary"),
    "RAW": (0, 0, "binary"),
    "LONG_RAW": (0, 0, "binary"),
    "JSON": (0, 0, "json"),
    "VECTOR": (0, 0, "json"),
}
IN_TEXT = ("CHAR", "CLOB", "INTERVAL_DS", "INTERVAL_YM", "LONG", "LONG_NVARCHAR", "NCHAR", "NCLOB", "NVARCHAR",
           "ROWID", "UROWID", "VARCHAR", "XMLTYPE")  # fmt: skip
NO_COLUMNS = ("CURSOR", "OBJECT", "UNKNOWN")


def test_every_type_of_oracle_has_one_here():
    found = {name.removeprefix("DB_TYPE_") for name in dir(oracledb) if name.startswith("DB_TYPE_")}
    assert found == {*ORACLE, *IN_TEXT, *NO_COLUMNS}
    for name in IN_TEXT:
        assert str(oracle.type_of(getattr(oracledb, f"DB_TYPE_{name}").name, None, None)) == "text"
    for name, (precision, scale, expected) in ORACLE.items():
        assert str(oracle.type_of(getattr(oracledb, f"DB_TYPE_{name}").name, precision, scale)) == expected


@pytest.mark.parametrize(
    ("precision", "scale", "expected"),
    [(10, 0, "integer"), (18, 0, "integer"), (19, 0, "decimal(19,0)"), (38, 0, "decimal(38,0)"),
     (10, 2, "decimal(10,2)"), (3, 5, "decimal(5,5)"), (3, -2, "decimal(5,0)"), (126, -127, "float")],
)  # fmt: skip
def test_a_number_of_oracle_has_the_type_of_its_digits(precision, scale, expected):
    assert str(oracle.type_of("DB_TYPE_NUMBER", precision, scale)) == expected


WINDOW = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            MSDialect_mssqlpython(),
            "SELECT TOP 5 at AS at, [Odd ]] name] AS [Odd ]] name] FROM sales.orders WHERE at >= ",
        ),
        (OracleDialect_oracledb(), 'SELECT at AS at, "Odd ] name" AS "Odd ] name" FROM sales.orders WHERE at >= '),
    ],
)
def test_statements_are_those_of_the_dialect(dialect, expected):
    place = sa.table("orders", schema="sales")
    columns = [sa.column(name).label(name) for name in ("at", "Odd ] name")]
    statement = sa.select(*columns).select_from(place).where(sa.column("at") >= WINDOW[0]).limit(5)
    compiled = " ".join(str(statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})).split())
    assert compiled.replace("TOP :param_1", "TOP 5").startswith(expected)
    assert WINDOW[0] not in compiled.split()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(days=1, hours=2, seconds=3, microseconds=500_000), "P1DT2H3.5S"),
        (timedelta(days=-1, hours=22, minutes=-5), "PT-2H-5M"),
        (timedelta(minutes=10), "PT10M"),
        (timedelta(days=400), "P400D"),
        (timedelta(microseconds=-1), "PT-0.000001S"),
        (timedelta(), "PT0S"),
        (None, None),
    ],
)
def test_an_interval_is_iso_8601_as_that_of_postgresql(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(("years", "months", "text"), [(1, 2, "P1Y2M"), (0, -3, "P-3M"), (0, 0, "P0Y")])
def test_years_and_months_of_oracle_are_iso_8601(years, months, text):
    assert oracle.months_text(oracledb.IntervalYM(years, months)) == text
    assert oracle.months_text(None) is None


READING = {
    "query": "select * from orders",
    "primary_key": ["id"],
    "write_disposition": "merge",
    "incremental": {"cursor": "changed"},
}


def oracle_column(name, kind, digits=None, after=None):
    return name, getattr(oracledb, f"DB_TYPE_{kind}"), None, None, digits, after, True


def test_oracle_reads_rows_and_keys_of_one_moment_in_this_order(tmp_path, monkeypatch):
    columns = [oracle_column("ID", "NUMBER", 9, 0), oracle_column("SPAN", "INTERVAL_DS"),
               oracle_column("MONTHS", "INTERVAL_YM"), oracle_column("CHANGED", "TIMESTAMP")]  # fmt: skip
    row = (1, timedelta(days=1, hours=2), oracledb.IntervalYM(1, 2), WINDOW[0])
    script = Script([
        ("FROM dual", [oracle_column("X", "VARCHAR")], [("SHOP",)]),
        ("count", [oracle_column("N", "NUMBER", 9, 0)], [(0,)]),
        ("SELECT id AS id FROM", columns[:1], [(1,), (2,)]),
        ("FROM", columns, [row]),
    ])  # fmt: skip
    monkeypatch.setattr(oracledb, "connect", lambda *_, **__: DbapiConnection(script))
    spool = read(read_request(tmp_path, {"type": "sql", "connection": "db"}, {**READING, "deletes": "compare"},
                              connection_of("oracle")))  # fmt: skip
    assert parquet.read_table(spool.files[0]).to_pylist() == [
        {"id": "1", "span": "P1DT2H", "months": "P1Y2M", "changed": "2013-01-01T00:00:00+00:00"}
    ]
    assert parquet.read_table(spool.keys.files[0])["id"].to_pylist() == ["1", "2"]
    begun = script.sent.index("SET TRANSACTION READ ONLY")
    assert script.sent[begun - 1] == "rollback"
    assert [statement.split(" FROM")[0] for statement in script.sent[begun + 1 :]] == [
        "SELECT *",
        "SELECT count(*) AS count_1",
        "SELECT id AS id, span AS span, months AS months, changed AS changed",
        "SELECT id AS id",
        "rollback",
    ]


def sql_server_column(name, kind, size=10, digits=0):
    return name, str, None, size, size, digits, True, ConstantsDDBC[kind].value


@pytest.fixture
def sql_server(tmp_path, monkeypatch):
    def run(state, **table):
        text = [sql_server_column("v", "SQL_VARCHAR")]
        columns = [sql_server_column("id", "SQL_INTEGER"), sql_server_column("total", "SQL_DECIMAL", 9, 2),
                   sql_server_column("changed", "SQL_TYPE_TIMESTAMP", 27, 7)]  # fmt: skip
        script = Script([
            ("sys.databases", columns[:1] * 2, [state]),
            ("@@version", text, [("Microsoft SQL Server 2019 - 15.0.2000.5",)]),
            ("schema_name|max support", text, [("dbo",)]),
            ("system_views", text, [("dm_exec_sessions",)]),
            ("transaction_isolation", text, [("READ COMMITTED",)]),
            ("count", columns[:1], [(0,)]),
            ("SELECT id AS id FROM", columns[:1], [(1,), (2,)]),
            ("FROM", columns, [(1, Decimal("1.50"), WINDOW[0].replace(tzinfo=None))]),
        ])  # fmt: skip
        monkeypatch.setattr(mssql_python, "connect", lambda *_, **__: DbapiConnection(script))
        request = read_request(tmp_path, {"type": "sql", "connection": "db"}, READING | table, connection_of("mssql"))
        return read(request), script.sent

    return run


@pytest.mark.parametrize(("state", "has_snapshots"), [((1, False), True), ((0, True), False)])
def test_sql_server_compares_keys_of_a_snapshot_or_of_one_statement(sql_server, state, has_snapshots):
    spool, sent = sql_server(state, deletes="compare")
    assert parquet.read_table(spool.files[0]).to_pylist() == [
        {"id": "1", "total": "1.50", "changed": "2013-01-01T00:00:00"}
    ]
    assert parquet.read_table(spool.keys.files[0])["id"].to_pylist() == ["1", "2"]
    assert ("SET TRANSACTION ISOLATION LEVEL SNAPSHOT" in sent) == has_snapshots
    if has_snapshots:
        assert sent.index("SET TRANSACTION ISOLATION LEVEL SNAPSHOT") < sent.index(
            "SELECT TOP 0 * FROM (select * from orders ) AS q"
        )


def test_sql_server_compares_no_keys_where_it_may_miss_some(sql_server):
    with pytest.raises(BadRequestError, match=r"compare needs a snapshot.*; hint: ALTER DATABASE"):
        sql_server((0, False), deletes="compare")
    _, sent = sql_server((0, False))
    assert not any("ISOLATION LEVEL" in statement for statement in sent)


@pytest.mark.parametrize(
    ("kind", "driver", "answers", "expected"),
    [
        (
            "mssql",
            mssql_python,
            [
                ("sys.databases", [sql_server_column("id", "SQL_INTEGER")] * 2, [(1, True)]),
                ("@@version", [sql_server_column("v", "SQL_VARCHAR")], [("Microsoft SQL Server 2019 - 15.0.2000.5",)]),
                ("schema_name|max support", [sql_server_column("v", "SQL_VARCHAR")], [("dbo",)]),
                ("system_views", [sql_server_column("v", "SQL_VARCHAR")], [("dm_exec_sessions",)]),
                ("transaction_isolation", [sql_server_column("v", "SQL_VARCHAR")], [("READ COMMITTED",)]),
                ("IsHidden", [sql_server_column("v", "SQL_VARCHAR")], [("ValidFrom",)]),
                (
                    "FROM",
                    [sql_server_column("id", "SQL_INTEGER"), sql_server_column("ValidFrom", "SQL_INTEGER")],
                    [(1, 2)],
                ),
            ],
            "SELECT TOP 0 sales.things.*, [ValidFrom] FROM sales.things",
        ),
        (
            "oracle",
            oracledb,
            [
                ("all_tab_cols", [oracle_column("V", "VARCHAR")], [("GONE",)]),
                ("FROM dual", [oracle_column("X", "VARCHAR")], [("SHOP",)]),
                ("FROM", [oracle_column("ID", "NUMBER", 9, 0), oracle_column("GONE", "NUMBER", 9, 0)], [(1, 2)]),
            ],
            "SELECT sales.things.*, gone FROM sales.things FETCH FIRST 0 ROWS ONLY",
        ),
    ],
    ids=["mssql", "oracle"],
)
def test_columns_that_a_star_leaves_out_are_asked_for_by_name(tmp_path, monkeypatch, kind, driver, answers, expected):
    script = Script(answers)
    monkeypatch.setattr(driver, "connect", lambda *_, **__: DbapiConnection(script))
    monkeypatch.setattr(database, "_check_there", lambda *_: None)
    extract = {"type": "sql", "connection": "db", "schema": "sales"}
    spool = read(read_request(tmp_path, extract, {"table": "things"}, connection_of(kind)))
    assert [*spool.types] in (["id", "ValidFrom"], ["id", "gone"])
    assert expected in [re.sub(r" ROWS ONLY.*", " ROWS ONLY", sent) for sent in script.sent]


def test_an_instant_of_oracle_is_read_in_utc_and_a_vector_as_text():
    texts = [str(oracle.read_as("at", f"DB_TYPE_{kind}").compile(dialect=OracleDialect_oracledb()))
             for kind in ("TIMESTAMP_TZ", "VECTOR", "DATE")]  # fmt: skip
    utc = 'to_char(sys_extract_utc(at), \'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"\')'
    assert texts == [utc, "from_vector(at)", "at"]


@pytest.mark.parametrize("kind", ["mssql", "oracle"])
def test_a_server_that_does_not_answer_is_unavailable_and_the_password_is_not_shown(tmp_path, kind):
    connection = connection_of(kind, password=SECRET)
    with pytest.raises(SourceUnavailableError) as error:
        read(read_request(tmp_path, {"type": "sql", "connection": "db"}, {}, connection))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ORA-01017: invalid credential or not authorized; logon denied", AccessDeniedError),
        ("ORA-00942: table or view does not exist", BadRequestError),
        ("[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Login failed for user 'me'.", AccessDeniedError),
        ("The SELECT permission was denied on the object 'orders'", AccessDeniedError),
        ("Invalid object name 'orders'.", BadRequestError),
        ("ORA-01555: snapshot too old: rollback segment number 9 too small", SourceUnavailableError),
        ("ORA-00060: deadlock detected while waiting for resource", SourceUnavailableError),
        ("Transaction (Process ID 52) has been chosen as the deadlock victim", SourceUnavailableError),
    ],
)
def test_what_a_server_refuses_is_not_tried_again_and_what_heals_is(message, kind):
    error = sa.exc.DatabaseError("select", {}, oracledb.DatabaseError(message))
    assert database._kind(error) is kind
