"""Snowflake's statements word for word; and every one that a load sends is Snowflake's for another parser too."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlglot
from grants_support import given, needs
from opening_support import fakesnow_database
from sqlglot import exp

from elt_factory.config.models.values import ColumnType
from elt_factory.landing.manifest import LandedFile
from elt_factory.testing.warehouses.loader import MERGE, MERGE_BY_CURSOR, Loader, day
from elt_factory.warehouse import audit, statements
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.snapshots import texts_of_key
from elt_factory.warehouse.snowflake import sql
from elt_factory.warehouse.snowflake import warehouse as snowflake
from elt_factory.warehouse.snowflake.privileges import Estate, grants
from elt_factory.warehouse.snowflake.sql import DIALECT as D
from elt_factory.warehouse.snowflake.sql import StageFolder

T, S = Relation("src", 'ta"b'), Relation("_elt", "staged_1")
STAGE = Relation("_elt", "landing")
FOLDER = StageFolder(STAGE, sql.safe_path("src", 'ta"b', "20130101T000000Z-1f", "a1"))
NOW = datetime(2013, 1, 31, 10, tzinfo=UTC)
NOW_SQL = "CAST('2013-01-31T10:00:00Z' AS TIMESTAMP_TZ)"
COLUMNS = {"id": ColumnType("integer"), "Name": ColumnType("text"), "j": ColumnType("json")}

GOLDEN = [
    (sql.use_warehouse("loading"), 'USE WAREHOUSE "LOADING"'),
    (sql.describe_table(T), 'DESCRIBE TABLE "SRC"."TA""B"'),
    (sql.describe_schema("src"), 'DESCRIBE SCHEMA "SRC"'),
    (sql.describe_stage(STAGE), 'DESCRIBE STAGE "_ELT"."LANDING"'),
    (sql.create_stage(STAGE), 'CREATE STAGE IF NOT EXISTS "_ELT"."LANDING"'),
    (
        sql.create_staging(S, COLUMNS),
        (
            'CREATE TRANSIENT TABLE IF NOT EXISTS "_ELT"."STAGED_1" ("ID" NUMBER(19, 0), "NAME" VARCHAR, "J" VARCHAR) '
            'DATA_RETENTION_TIME_IN_DAYS = 0'
        ),
    ),
    (sql.drop_table(S), 'DROP TABLE IF EXISTS "_ELT"."STAGED_1"'),
    (
        sql.put(Path("/land it's/data/*.parquet"), FOLDER),
        (
            "PUT 'file:///land it''s/data/*.parquet' @\"_ELT\".\"LANDING\"/src/ta-b/20130101T000000Z-1f/a1/ "
            "PARALLEL = 16 AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
        ),
    ),
    (
        sql.copy_into(S, FOLDER),
        (
            'COPY INTO "_ELT"."STAGED_1" FROM @"_ELT"."LANDING"/src/ta-b/20130101T000000Z-1f/a1/ '
            "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE NULL_IF = ()) "
            "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE "
            "ON_ERROR = ABORT_STATEMENT"
        ),
    ),
    (sql.remove(FOLDER), 'REMOVE @"_ELT"."LANDING"/src/ta-b/20130101T000000Z-1f/a1/'),
    (
        sql.create_external_stage(STAGE, "s3://it's/elt/", "reader"),
        "CREATE STAGE IF NOT EXISTS \"_ELT\".\"LANDING\" URL = 's3://it''s/elt/' STORAGE_INTEGRATION = \"READER\"",
    ),
    (sql.list_files(STAGE), 'LIST @"_ELT"."LANDING"'),
    (
        audit.committed(D, "src", "tab"),
        (
            """SELECT "LOAD_ID", "STARTED_AT" FROM "_ELT"."LOADS" WHERE "SOURCE" = 'src' AND "TABLE_NAME" = 'tab' """
            'AND (coalesce("ROWS_REJECTED", 0) = 0 OR coalesce("ROWS_LOADED", 0) + coalesce("ROWS_UNCHANGED", 0) + '
            'coalesce("ROWS_DUPLICATE", 0) > 0)'
        ),
    ),
    (
        audit.delete_rejects_before(D, "src", "tab", NOW),
        (
            """DELETE FROM "_ELT"."REJECT_LOG" WHERE "SOURCE" = 'src' AND "TABLE_NAME" = 'tab' """
            f'AND "REJECTED_AT" < {NOW_SQL}'
        ),
    ),
    (
        audit.create_turn(D, "src", "tab"),
        (
            'CREATE TRANSIENT TABLE IF NOT EXISTS "_ELT"."TURN_SRC_TAB_E30448EDB989" DATA_RETENTION_TIME_IN_DAYS = 0 '
            """AS SELECT CAST('none' AS VARCHAR) AS "TURN\""""
        ),
    ),
    (
        statements.add_columns(D, T, {"a": ColumnType("integer"), "b": ColumnType("text")}),
        'ALTER TABLE "SRC"."TA""B" ADD COLUMN IF NOT EXISTS "A" NUMBER(19, 0), IF NOT EXISTS "B" VARCHAR',
    ),
    (
        sql.staging_tables("_elt", "staged_"),
        (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '_ELT' "
            "AND STARTSWITH(table_name, 'STAGED_') ORDER BY table_name"
        ),
    ),
    (
        sql.table_comment(T),
        (
            "SELECT comment FROM information_schema.tables "
            "WHERE table_schema = 'SRC' AND table_name = 'TA\"B'"
        ),
    ),
    (
        statements.create_table(D, T, {"n": ColumnType.parse("decimal(18,2)"), "at": ColumnType("timestamp")}),
        'CREATE TABLE IF NOT EXISTS "SRC"."TA""B" ("N" NUMBER(18, 2), "AT" TIMESTAMP_TZ)',
    ),
    (
        statements.delete_matching(D, T, S, ("a",), "u"),
        (
            'DELETE FROM "SRC"."TA""B" AS t USING "_ELT"."STAGED_1" AS s WHERE t."A" = s."A" '
            'AND (t."U" IS NULL OR t."U" <= s."U")'
        ),
    ),
    (
        statements.insert_rows(D, T, S, statements.staged_values(D, COLUMNS, COLUMNS), "L1", NOW),
        (
            'INSERT INTO "SRC"."TA""B" ("ID", "NAME", "J", "_LOAD_ID", "_LOADED_AT") '
            f'SELECT s."ID", s."NAME", PARSE_JSON(s."J"), \'L1\', {NOW_SQL} FROM "_ELT"."STAGED_1" AS s'
        ),
    ),
    (
        audit.insert_rows(
            D, "deadline_misses", [{"source": "s", "run_id": "r", "deadline": None, "noticed_at": NOW}] * 2
        ),
        (
            'INSERT INTO "_ELT"."DEADLINE_MISSES" ("SOURCE", "RUN_ID", "DEADLINE", "NOTICED_AT") '
            f"SELECT 's', 'r', NULL, {NOW_SQL} UNION ALL SELECT 's', 'r', NULL, {NOW_SQL}"
        ),
    ),
]  # fmt: skip


def parses(statement: str) -> bool:
    """Whether it is Snowflake's; a parser that does not know a statement takes it for words without a meaning."""
    [parsed] = sqlglot.parse(statement, dialect="snowflake")
    # sqlglot does not know REMOVE
    return statement.startswith("REMOVE @") or not isinstance(parsed, exp.Command)


@pytest.mark.parametrize(("statement", "text"), GOLDEN)
def test_a_statement_is_as_written_here_and_parses(statement, text):
    assert statement == text
    assert parses(statement)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's \\ a\\n", "'it''s \\\\ a\\\\n'"),
        (date(2013, 1, 31), "DATE '2013-01-31'"),
        (NOW, NOW_SQL),
        (datetime(2013, 1, 31, 10, 0, 0, 5), "CAST('2013-01-31 10:00:00.000005' AS TIMESTAMP_NTZ)"),  # noqa: DTZ001
        (Decimal("1E+3"), "1000"),
        (2**63, "9223372036854775808"),
        (True, "TRUE"),
        (float("inf"), "CAST('inf' AS DOUBLE)"),
        (None, "NULL"),
    ],
)
def test_a_literal_means_the_value_and_nothing_else(value, text):
    assert D.literal(value) == text
    assert parses(f"SELECT {text}")


@pytest.mark.parametrize(
    "kind", ["text", "float", "boolean", "date", "time", "timestamp", "datetime", "json", "binary"]
)
def test_a_type_is_found_again(kind):
    assert sql.from_snowflake_type(D.types[kind]) == ColumnType(kind)


@pytest.mark.parametrize(
    ("described", "kind"),
    [
        ("NUMBER(19,0)", "integer"),
        ("NUMBER(38,9)", "decimal(38,9)"),
        ("VARCHAR(16777216)", "text"),
        ("TIMESTAMP_TZ(9)", "timestamp"),
        ("BINARY(8388608)", "binary"),
        ("GEOGRAPHY", "text"),
    ],
)
def test_a_type_is_read_as_snowflake_describes_it(described, kind):
    assert str(sql.from_snowflake_type(described)) == kind


@pytest.mark.parametrize(
    ("old", "new", "can"),
    [
        ("integer", "decimal(38,0)", True),
        ("decimal(10,2)", "decimal(18,2)", True),
        ("decimal(10,2)", "decimal(18,3)", False),
        ("integer", "decimal(38,9)", False),
        ("integer", "text", False),
        ("date", "datetime", False),
    ],
)
def test_alter_table_widens_what_snowflake_can_widen(old, new, can):
    assert sql.alters_type(ColumnType.parse(old), ColumnType.parse(new)) is can


def test_one_path_means_all_files_of_a_landing():
    one, two = LandedFile("a1/data/data_0.parquet", 1, 1), LandedFile("a1/data/data_1.parquet", 1, 1)
    assert sql.wildcard(Path("/l"), [one]) == Path("/l/a1/data/data_0.parquet")
    assert sql.wildcard(Path("/l"), [one, two]) == Path("/l/a1/data/*.parquet")


def test_a_staging_table_says_when_it_was_made():
    name = snowflake.staging_name("0a1b", NOW)
    assert name.startswith("staged_20130131t100000z_0a1b_")
    assert snowflake.staged_at(name.upper()) == NOW
    assert snowflake.staging_name("0a1b", NOW) != name
    assert snowflake.staged_at("STAGED_BY_HAND") is None


LOCKING = ("UPDATE ", "DELETE FROM ", "MERGE INTO ")
LOADS = {
    "append": ({}, [{"id": 1, "v": "a"}], [{"id": 2, "v": "b", "new": {"a": [1]}}, "{"]),
    "merge": (MERGE, [{"id": 1, "v": "a"}], [{"id": 1, "v": "b"}]),
    "merge_by_cursor": (MERGE_BY_CURSOR, [{"id": 1, "u": 1}], [{"id": 1, "u": 2}, "{"]),
    "replace": ({"write_disposition": "replace"}, [{"id": 1, "v": "a"}], []),
    "widened": ({}, [{"id": 1, "v": 1}], [{"id": 1, "v": 1.5}]),
    "scd2": ({"write_disposition": "scd2", "primary_key": ["id"]}, [{"id": 1, "v": "a"}], [{"id": 1, "v": "b"}]),
    "scd2_by_cursor": (
        {"write_disposition": "scd2", "primary_key": ["id"], "incremental": {"cursor": "u"}},
        [{"id": 1, "v": "a", "u": "2013-01-01T00:00:00Z"}],
        [{"id": 1, "v": "b", "u": "2013-01-02T00:00:00Z"}],
    ),
    "described": (
        {"description": "What it is", "transient": True, "cluster_by": ["id"], "columns": {"id": {"description": "x"}}},
        [{"id": 1}],
        [{"id": 2}],
    ),
}  # fmt: skip


@pytest.mark.fakesnow
@pytest.mark.parametrize("case", LOADS)
def test_every_statement_of_a_load_is_snowflakes(request, tmp_path, monkeypatch, case):
    """Recorded at the connection, whoever wrote them; what fakesnow refuses of them is another test's matter."""
    sent, by_connection = [], {}
    real = snowflake.SnowflakeWarehouse._run

    def run(self, statement):
        sent.append(statement)
        by_connection.setdefault(id(self), []).append(statement)
        return real(self, statement)

    monkeypatch.setattr(snowflake.SnowflakeWarehouse, "_run", run)
    spec, *loads = LOADS[case]
    with fakesnow_database(request, tmp_path) as connect, connect() as warehouse:
        loader = Loader(tmp_path / "landing", warehouse, spec=spec)
        for number, records in enumerate(loads, 1):
            loader.load(records, day(number))
    assert len(sent) > 20
    assert [statement for statement in sent if not parses(statement)] == []
    # the role that `elt privileges` makes for loads may send each of them
    loader_has = given(grants(Estate("ANALYTICS", ("LOADING",), sources=("src",))), '"ELT_LOADER"')
    assert {(need, statement) for statement in sent for need in needs(statement) if need not in loader_has} == set()
    # a table that is widened is held by a second connection's transaction
    blocks = [block for own in by_connection.values() for block in "\n".join(own).split("BEGIN\n")[1:]]
    inside = [line.split()[0] for block in blocks for line in block.split("\nCOMMIT")[0].splitlines()]
    assert set(inside) <= {"SELECT", "INSERT", "UPDATE", "DELETE", "DESCRIBE"}
    locked = {text.split()[2 if text.startswith("DELETE FROM") else 1] for text in sent if text.startswith(LOCKING)}
    own = audit.turn("src", "tab").sql(D)
    assert locked <= {loader.target.sql(D), own}, "no load locks what belongs to several tables"
    assert own in locked


def test_a_key_of_times_is_known_as_it_is_written_now_and_as_snowflake_wrote_it_before():
    now, before = texts_of_key(D, "t", {"at": ColumnType("datetime")})
    assert now.endswith(""" || ':' || CAST(t."AT" AS VARCHAR)""")
    assert before.endswith(""" || ':' || TO_VARCHAR(t."AT", 'YYYY-MM-DD HH24:MI:SS.FF3')""")
