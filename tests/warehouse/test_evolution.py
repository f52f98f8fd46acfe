"""Schema changes as data, and their DDL; the statements of a history as two other parsers read them."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlglot

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.warehouse import history, snapshots
from elt_factory.warehouse.dialect import Relation, TableOptions
from elt_factory.warehouse.duckdb.warehouse import DIALECT as D
from elt_factory.warehouse.evolution import SchemaChange, schema_changes, statements_of, unfinished, wide_name
from elt_factory.warehouse.history import History
from elt_factory.warehouse.snapshots import Later, Snapshot
from elt_factory.warehouse.snowflake.sql import DIALECT as SNOWFLAKE

T, S = Relation("src", "tab"), Relation("temp", "landed")
INTEGER, TEXT, FLOAT, WIDE = (ColumnType.parse(kind) for kind in ("integer", "text", "float", "decimal(38,9)"))
DIALECTS = {"duckdb": D, "snowflake": SNOWFLAKE}
NOW = datetime(2013, 1, 31, tzinfo=UTC)


def test_what_is_decided_about_each_column_is_data():
    existing = {"same": TEXT, "grows": INTEGER, "holds": WIDE, "shrinks": TEXT, "gone": TEXT}
    landed = {"same": TEXT, "grows": WIDE, "holds": INTEGER, "shrinks": FLOAT, "NEW": FLOAT}
    assert schema_changes(existing, landed) == (
        SchemaChange("grows", "widened", WIDE, INTEGER),
        SchemaChange("holds", "fits", INTEGER, WIDE),
        SchemaChange("shrinks", "refused", FLOAT, TEXT),
        SchemaChange("NEW", "added", FLOAT),
    )


def ddl(dialect, changes, own=None, options=None):
    existing = {"id": INTEGER, "n": INTEGER, "_load_id": TEXT}
    return statements_of(dialect, T, changes, own or {}, existing, options or TableOptions())


def test_a_widening_is_one_statement_which_alters_the_column_or_replaces_the_table():
    changes = [SchemaChange("n", "widened", WIDE, INTEGER), SchemaChange("new", "added", TEXT)]
    assert ddl(D, changes) == [
        'ALTER TABLE "src"."tab" ADD COLUMN IF NOT EXISTS "new" VARCHAR',
        'ALTER TABLE "src"."tab" ALTER COLUMN "n" SET DATA TYPE DECIMAL(38, 9)',
    ]
    assert ddl(SNOWFLAKE, changes, {"_valid_to": FLOAT}) == [
        (
            'CREATE OR REPLACE TABLE "SRC"."TAB" COPY GRANTS AS SELECT "ID" AS "ID", '
            'CAST("N" AS NUMBER(38, 9)) AS "N", "_LOAD_ID" AS "_LOAD_ID", CAST(NULL AS VARCHAR) AS "NEW", '
            'CAST(NULL AS FLOAT) AS "_VALID_TO" '
            'FROM "SRC"."TAB"'
        )
    ]


def test_a_full_refresh_gives_declared_columns_another_type_in_one_statement():
    existing, landed = {"n": TEXT, "m": WIDE, "o": TEXT}, {"n": INTEGER, "m": INTEGER, "o": FLOAT}
    changes = schema_changes(existing, landed, {"n", "m"})
    assert [change.kind for change in changes] == ["retyped", "retyped", "refused"]
    assert [statements_of(dialect, T, changes[:2], {}, existing, TableOptions()) for dialect in (D, SNOWFLAKE)] == [
        [
            (
                'CREATE OR REPLACE TABLE "src"."tab" AS SELECT TRY_CAST("n" AS BIGINT) AS "n", '
                'TRY_CAST(CAST("m" AS VARCHAR) AS BIGINT) AS "m", "o" AS "o" FROM "src"."tab"'
            )
        ],
        [
            (
                'CREATE OR REPLACE TABLE "SRC"."TAB" COPY GRANTS AS SELECT TRY_CAST("N" AS NUMBER(19, 0)) AS "N", '
                'TRY_CAST(CAST("M" AS VARCHAR) AS NUMBER(19, 0)) AS "M", "O" AS "O" FROM "SRC"."TAB"'
            )
        ],
    ]
    assert ddl(D, [SchemaChange("n", "retyped", ColumnType("json"), INTEGER)]) == [
        (
            'CREATE OR REPLACE TABLE "src"."tab" AS SELECT "id" AS "id", CAST(NULL AS JSON) AS "n", '
            '"_load_id" AS "_load_id" FROM "src"."tab"'
        )
    ]


def test_no_other_type_is_cast_to_than_snowflakes_try_cast_knows():
    """It has no TRY_CAST to BINARY or VARIANT."""
    for kind in ("binary", "json"):
        for old in (TEXT, WIDE, ColumnType("json")):
            [statement] = ddl(SNOWFLAKE, [SchemaChange("n", "retyped", ColumnType(kind), old)])
            assert "TRY_CAST" not in statement


def test_a_clustered_column_grows_and_the_table_stays_clustered_and_transient():
    options = TableOptions(transient=True, cluster_by=("n", "id"))
    [statement] = ddl(SNOWFLAKE, [SchemaChange("n", "widened", TEXT, INTEGER)], options=options)
    # without the list of columns Snowflake refuses CLUSTER BY
    assert statement.startswith(
        'CREATE OR REPLACE TRANSIENT TABLE "SRC"."TAB" ("ID", "N", "_LOAD_ID") CLUSTER BY ("N", "ID") COPY GRANTS AS '
    )
    assert "DROP COLUMN" not in statement
    sqlglot.parse_one(statement, dialect="snowflake")


@pytest.mark.parametrize("kind", ["fits", "refused"])
def test_what_fits_or_is_refused_changes_nothing(kind):
    assert ddl(D, [SchemaChange("n", kind, INTEGER, WIDE)]) == []


@pytest.mark.parametrize(
    ("existing", "landed", "expected"),
    [
        (["n"], ["n"], []),
        (["n", "_widened_n"], ["n"], ['ALTER TABLE "src"."tab" DROP COLUMN "_widened_n"']),
        (["_widened_n"], ["n"], ['ALTER TABLE "src"."tab" RENAME COLUMN "_widened_n" TO "n"']),
        (["_widened_n"], [], ['ALTER TABLE "src"."tab" RENAME COLUMN "_widened_n" TO "n"']),
    ],
)
def test_a_widening_that_was_cut_off_goes_back_or_forth(existing, landed, expected):
    assert unfinished(D, T, existing, landed) == expected


def test_the_longest_name_has_a_name_while_it_is_widened():
    assert len(wide_name("n" * 255)) == 255


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("complete", [True, False])
def test_the_statements_of_a_history_are_dml_that_others_parse(name, complete):
    dialect, columns = DIALECTS[name], {"id": INTEGER, "j": ColumnType("json"), "u": ColumnType("date")}
    versions = History(dialect, T, history.staged_rows(dialect, S, columns, columns), columns, ("id",))
    later = tuple(Later(NOW + timedelta(days=day), f"L{day}", NOW, complete=day == 3) for day in (1, 2, 3))
    snapshot = Snapshot("src", "tab", "L0", NOW, NOW, complete, later)
    steps = [
        *snapshots.snapshot_statements(versions, snapshot),
        *history.cursor_statements(versions, "u", "L1", NOW),
    ]
    assert len(steps) == (9 if complete else 13) + 3
    kinds = {type(sqlglot.parse_one(step, dialect=name)).__name__ for step in steps}
    assert kinds == {"Insert", "Update", "Delete"}
    for query in (
        snapshots.standing_in_snapshot(versions, snapshot, "L0"),
        history.standing_by_cursor(versions, "u", "L1"),
        snapshots.later_snapshots(dialect, "src", "tab", NOW),
    ):
        assert type(sqlglot.parse_one(query, dialect=name)).__name__ == "Select"


def test_what_a_yaml_says_of_a_table_is_what_the_warehouse_is_told():
    spec = {
        "description": "One",
        "transient": True,
        "cluster_by": ["b"],
        "columns": {"a": {"description": "A"}, "b": {}},
    }
    assert TableOptions.of(Table.model_validate(spec)) == TableOptions(
        "One", {"a": "A"}, transient=True, cluster_by=("b",)
    )
