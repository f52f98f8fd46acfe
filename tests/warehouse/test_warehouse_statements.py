"""Statements word for word, and as another parser reads them."""

from datetime import UTC, date, datetime

import pytest
import sqlglot

from elt_factory.config.models.values import ColumnType
from elt_factory.landing.manifest import Drift, LandedColumn, LandedFile, Manifest
from elt_factory.warehouse import audit, overlaps, statements
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DIALECT as D

T, S = Relation("src", 'ta"b'), Relation("temp", "landed")
NOW = datetime(2013, 1, 31, 10, tzinfo=UTC)
NOW_SQL = "CAST('2013-01-31T10:00:00Z' AS TIMESTAMP WITH TIME ZONE)"
COLUMNS = {"id": ColumnType("integer"), "j": ColumnType("json")}
VALUES = statements.staged_values(D, COLUMNS, COLUMNS)
MANIFEST = Manifest(
    "src", "tab", "L1", "2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z", (LandedColumn("id", "integer"),),
    (LandedFile("p", 2, 10),), None, 3, 2, 0, 1, 0, (), "id", "integer", "1", "2", None, None,
    "2013-01-31T09:00:00Z", "a",
)  # fmt: skip

GOLDEN = [
    (statements.create_schema(D, "src"), 'CREATE SCHEMA IF NOT EXISTS "src"'),
    (
        statements.create_table(D, T, {"n": ColumnType.parse("decimal(18,2)"), "at": ColumnType("timestamp")}),
        'CREATE TABLE IF NOT EXISTS "src"."ta""b" ("n" DECIMAL(18, 2), "at" TIMESTAMP WITH TIME ZONE)',
    ),
    (
        statements.add_columns(D, T, {"new": ColumnType("json")}),
        'ALTER TABLE "src"."ta""b" ADD COLUMN IF NOT EXISTS "new" JSON',
    ),
    (statements.delete_own(D, T, "L'1"), """DELETE FROM "src"."ta""b" WHERE "_load_id" = 'L''1'"""),
    (statements.delete_all(D, T), 'DELETE FROM "src"."ta""b"'),
    (
        statements.delete_matching(D, T, S, ("a", "b"), None),
        'DELETE FROM "src"."ta""b" AS t USING "temp"."landed" AS s WHERE t."a" = s."a" AND t."b" = s."b"',
    ),
    (
        statements.delete_matching(D, T, S, ("a",), "u"),
        (
            'DELETE FROM "src"."ta""b" AS t USING "temp"."landed" AS s WHERE t."a" = s."a" '
            'AND (t."u" IS NULL OR t."u" <= s."u")'
        ),
    ),
    (
        statements.delete_matching(D, T, S, ("a",), "u", in_any_case=("x", "y")),
        (
            'DELETE FROM "src"."ta""b" AS t USING "temp"."landed" AS s WHERE t."a" = s."a" '
            'AND (t."u" IS NULL OR t."u" <= s."u" OR x OR y)'
        ),
    ),
    (
        statements.delete_matching(D, T, S, ("a",), None, overlaps.later_windows(D, MANIFEST)),
        (
            'DELETE FROM "src"."ta""b" AS t USING "temp"."landed" AS s WHERE t."a" = s."a" '
            """AND coalesce(t."_load_id", '') NOT IN (SELECT "load_id" FROM "_elt"."loads" WHERE "source" = 'src' """
            """AND "table_name" = 'tab' AND "load_id" <> 'L1' AND "replaced_by" IS NULL """
            """AND "window_start" >= CAST('2013-01-02T00:00:00Z' AS TIMESTAMP WITH TIME ZONE))"""
        ),
    ),
    (
        statements.insert_rows(D, T, S, VALUES, "L1", NOW),
        (
            'INSERT INTO "src"."ta""b" ("id", "j", "_load_id", "_loaded_at") '
            f'SELECT s."id", CAST(s."j" AS JSON), \'L1\', {NOW_SQL} FROM "temp"."landed" AS s'
        ),
    ),
    (
        statements.insert_rows(D, T, S, {"id": VALUES["id"]}, "L1", NOW, ("id",)),
        (
            'INSERT INTO "src"."ta""b" ("id", "_load_id", "_loaded_at") '
            f'SELECT s."id", \'L1\', {NOW_SQL} FROM "temp"."landed" AS s '
            'WHERE NOT EXISTS (SELECT 1 FROM "src"."ta""b" AS t WHERE t."id" = s."id")'
        ),
    ),
    (
        statements.insert_rejects(D, S, "src", "tab", "L1", NOW),
        (
            'INSERT INTO "_elt"."reject_log" '
            '("load_id", "source", "table_name", "reason", "record", "rejected_at", '
            '"ordinal", "whole", "key", "cursor", "protected", "file", "turn") '
            f"SELECT 'L1', 'src', 'tab', s.\"reason\", s.\"record\", {NOW_SQL}, "
            's."ordinal", s."whole", s."key", s."cursor", s."protected", s."file", '
            """(SELECT max("turn") FROM "_elt"."load_log" WHERE "source" = 'src' AND "table_name" = 'tab') """
            'FROM "temp"."landed" AS s'
        ),
    ),
    (statements.count_rows(D, T), 'SELECT count(*) FROM "src"."ta""b"'),
    (
        audit.insert_row(D, "deadline_misses", {"source": "s", "run_id": "r", "deadline": None, "noticed_at": NOW}),
        (
            'INSERT INTO "_elt"."deadline_misses" ("source", "run_id", "deadline", "noticed_at") '
            f"SELECT 's', 'r', NULL, {NOW_SQL}"
        ),
    ),
    (
        audit.insert_rows(D, "deadline_misses", [dict.fromkeys(audit.TABLES["deadline_misses"], x) for x in "ab"]),
        (
            'INSERT INTO "_elt"."deadline_misses" ("source", "run_id", "deadline", "noticed_at", "table_name") '
            "SELECT 'a', 'a', 'a', 'a', 'a' UNION ALL SELECT 'b', 'b', 'b', 'b', 'b'"
        ),
    ),
    (
        audit.count_load(D, "L1", NOW),
        f"""SELECT count(*) FROM "_elt"."load_log" WHERE "load_id" = 'L1' AND "loaded_at" = {NOW_SQL}""",
    ),
    (
        statements.add_columns(D, T, {"new": ColumnType("json"), "b": ColumnType("integer")}),
        (
            'ALTER TABLE "src"."ta""b" ADD COLUMN IF NOT EXISTS "new" JSON; '
            'ALTER TABLE "src"."ta""b" ADD COLUMN IF NOT EXISTS "b" BIGINT'
        ),
    ),
    (
        audit.create_turn(D, "src", "tab"),
        (
            'CREATE TABLE IF NOT EXISTS "_elt"."turn_src_tab_e30448edb989" '
            """AS SELECT CAST('none' AS VARCHAR) AS "turn\""""
        ),
    ),
    (
        audit.take_turn(D, "src", "tab", "L1"),
        """UPDATE "_elt"."turn_src_tab_e30448edb989" SET "turn" = 'L1'""",
    ),
]


@pytest.mark.parametrize(("statement", "text"), GOLDEN)
def test_a_statement_is_as_written_here_and_parses(statement, text):
    assert statement == text
    sqlglot.parse_one(statement, dialect="duckdb")


@pytest.mark.parametrize("table", audit.TABLES)
def test_an_audit_table_can_be_created_and_filled(table):
    columns = audit.columns(table)
    sqlglot.parse_one(statements.create_table(D, audit.relation(table), columns), dialect="duckdb")
    row = dict.fromkeys(columns) | {"source": "s"}
    sqlglot.parse_one(audit.insert_row(D, table, row), dialect="duckdb")


def test_the_row_of_a_load_has_every_column_and_counts_superseded_rows_as_duplicates():
    row = audit.load_row(
        MANIFEST,
        run_id="r",
        write_disposition="merge",
        full_refresh=False,
        written=audit.Written(1),
        loaded_at=NOW,
    )
    assert set(row) == set(audit.TABLES["loads"])
    assert (row["rows_read"], row["rows_loaded"], row["rows_duplicate"]) == (3, 1, 2)
    assert row["window_start"] == datetime(2013, 1, 1, tzinfo=UTC)


def test_the_row_of_a_drift_has_every_column():
    row = audit.drift_row(MANIFEST, Drift("n", "decimal(38,9)", "widened", "integer"), NOW)
    assert set(row) == set(audit.TABLES["schema_changes"])


@pytest.mark.parametrize(
    ("kind", "name"), [("text", "VARCHAR"), ("json", "JSON"), ("decimal(18,2)", "DECIMAL(18, 2)"), ("binary", "BLOB")]
)
def test_a_type_has_its_name_in_the_warehouse(kind, name):
    assert D.type(ColumnType.parse(kind)) == name


def test_a_literal_of_a_day_is_a_day():
    assert D.literal(date(2013, 1, 31)) == "DATE '2013-01-31'"
