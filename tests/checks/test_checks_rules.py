"""Rules word for word, and as another parser reads them."""

import pytest
import sqlglot

from elt_factory.checks.counting import LoadedRows, sample, scan
from elt_factory.checks.kind import Checking, Scanned
from elt_factory.checks.query import found_rows
from elt_factory.checks.relationships import has_parent
from elt_factory.config.models.allowance import Allowance
from elt_factory.config.models.checks import COLUMN_CHECKS, TABLE_CHECKS, ColumnCheck, TableCheck
from elt_factory.warehouse.base import Rows
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DIALECT
from elt_factory.warehouse.snowflake.sql import DIALECT as SNOWFLAKE

ROWS = LoadedRows(DIALECT, Relation("src", "tab"), ("n", 'q"t'), "L'1")
OWN = "\"_load_id\" = 'L''1'"


def repeated(names, present):
    return (
        'SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM "src"."tab" '
        f"WHERE {present} GROUP BY {names} HAVING count(*) > 1) AS repeated"
    )


class Recorder:
    """A warehouse that keeps what it is asked, and answers that two rows break it, of twenty."""

    dialect = DIALECT

    def __init__(self):
        self.statements = []

    def query(self, statement):
        self.statements.append(statement)
        return Rows(("n",), [(2 if len(self.statements) == 1 else 20,)])

    def columns(self, relation):
        return {}


def column_look(check, name="n", rows=ROWS, **checking):
    """What a column's check asks."""
    from elt_factory.checks.run import _of_column

    read = ColumnCheck.model_validate(check)
    return _of_column(COLUMN_CHECKS.get(read.kind), read, name, Checking(Recorder(), None, rows, **checking))


def label(check, name="n"):
    read = ColumnCheck.model_validate(check)
    return f"{name} {COLUMN_CHECKS.get(read.kind).label(read.spec)}"


@pytest.mark.parametrize(
    ("check", "name", "condition"),
    [
        ({"not_null": True}, "n not null", '("n" IS NOT NULL)'),
        ({"between": [0, 6000]}, "n between 0 and 6000", '("n" BETWEEN 0 AND 6000)'),
        ({"between": ["a", "it's"]}, "n between a and it's", "(\"n\" BETWEEN 'a' AND 'it''s')"),
        ({"accepted_values": ["EWR", "J'K"]}, "n in EWR, J'K", "(\"n\" IN ('EWR', 'J''K'))"),
        ({"regex": "^N\\d'"}, "n matches ^N\\d'", "(regexp_matches(CAST(\"n\" AS VARCHAR), '^N\\d'''))"),
        ({"length": {"min": 2, "max": 6}}, "n length min 2, max 6", None),
    ],
)
def test_a_row_check_is_a_count_of_the_rows_that_break_its_condition(check, name, condition):
    look = column_look(check)
    assert label(check) == name
    if condition:
        assert look.aggregates == (f"count(CASE WHEN NOT {condition} THEN 1 END)", "count(*)")
    sqlglot.parse_one(scan(ROWS, look.aggregates), dialect="duckdb")
    outcome = look.judge([2, 20])
    assert (outcome.verdict.holds, outcome.verdict.message, outcome.failing_rows) == (False, "2 rows violate it", 2)


def test_all_row_checks_of_a_table_and_its_figures_are_one_select_on_every_warehouse():
    checks = [
        {"not_null": True},
        {"regex": "^N"},
        {"length": {"max": 6}},
        {"sum": {"min": 1}},
        {"distribution": {"quantiles": "10%"}},
    ]
    golden = {
        "duckdb": (
            'SELECT count(CASE WHEN (m > 0\n) AND NOT ("n" IS NOT NULL) THEN 1 END), '
            "count(CASE WHEN (m > 0\n) THEN 1 END), "
            "count(CASE WHEN (m > 0\n) AND NOT (regexp_matches(CAST(\"n\" AS VARCHAR), '^N')) THEN 1 END), "
            'count(CASE WHEN (m > 0\n) AND NOT (length(CAST("n" AS VARCHAR)) <= 6) THEN 1 END), '
            'CAST(sum(CASE WHEN (m > 0\n) THEN "n" END) AS DOUBLE), '
            'count(CASE WHEN (m > 0\n) THEN "n" END), count(DISTINCT CASE WHEN (m > 0\n) THEN "n" END), '
            + ", ".join(
                f'percentile_cont({share}) WITHIN GROUP (ORDER BY CAST(CASE WHEN (m > 0\n) THEN "n" END AS DOUBLE))'
                for share in (0.05, 0.25, 0.5, 0.75, 0.95)
            )
            + ' FROM "src"."tab" WHERE "_load_id" = \'L\'\'1\''
        ),
        "snowflake": (
            'SELECT count(CASE WHEN (m > 0\n) AND NOT ("N" IS NOT NULL) THEN 1 END), '
            "count(CASE WHEN (m > 0\n) THEN 1 END), "
            "count(CASE WHEN (m > 0\n) AND NOT (REGEXP_INSTR(CAST(\"N\" AS VARCHAR), '^N') > 0) THEN 1 END), "
            'count(CASE WHEN (m > 0\n) AND NOT (length(CAST("N" AS VARCHAR)) <= 6) THEN 1 END), '
            'CAST(sum(CASE WHEN (m > 0\n) THEN "N" END) AS DOUBLE), '
            'count(CASE WHEN (m > 0\n) THEN "N" END), count(DISTINCT CASE WHEN (m > 0\n) THEN "N" END), '
            + ", ".join(
                f'percentile_cont({share}) WITHIN GROUP (ORDER BY CAST(CASE WHEN (m > 0\n) THEN "N" END AS DOUBLE))'
                for share in (0.05, 0.25, 0.5, 0.75, 0.95)
            )
            + ' FROM "SRC"."TAB" WHERE "_LOAD_ID" = \'L\'\'1\''
        ),
    }
    for name, dialect in (("duckdb", DIALECT), ("snowflake", SNOWFLAKE)):
        rows = LoadedRows(dialect, Relation("src", "tab"), ("n",), "L'1", "m > 0")
        looks = [column_look(check, rows=rows) for check in checks]
        every = tuple(dict.fromkeys(aggregate for look in looks for aggregate in look.aggregates))
        assert scan(rows, every) == golden[name]
        sqlglot.parse_one(scan(rows, every), dialect=name)


@pytest.mark.parametrize(
    ("allowed", "failing", "rows", "holds", "message"),
    [
        (Allowance(2), 2, 20, True, "2 rows violate it; 2 may"),
        (Allowance(1), 2, 20, False, "2 rows violate it; 1 may"),
        (Allowance(share=0.1), 2, 20, True, "2 of 20 rows violate it; 10% may"),
        (Allowance(share=0.29), 30, 100, False, "30 of 100 rows violate it; 29% may"),
        # a float is not the share that was written
        (Allowance(share=0.29), 29, 100, True, "29 of 100 rows violate it; 29% may"),
        (Allowance(share=0.001), 1, 999, False, "1 of 999 rows violate it; 0.1% may"),
    ],
)
def test_a_threshold_is_a_number_of_rows_or_a_share(allowed, failing, rows, holds, message):
    outcome = column_look({"not_null": True}, allowed=allowed).judge([failing, rows])
    assert (outcome.verdict.holds, outcome.verdict.message, outcome.failing_rows) == (holds, message, failing)


def test_a_column_name_is_quoted():
    assert '("q""t" IS NOT NULL)' in column_look({"not_null": True}, 'q"t').aggregates[0]


def test_a_column_that_the_table_does_not_have_yet_is_null():
    assert "NOT (NULL IS NOT NULL)" in column_look({"not_null": True, "severity": "warn"}, "later").aggregates[0]


@pytest.mark.parametrize(
    ("check", "name", "statement"),
    [
        ({"unique": ["a", "b"]}, "unique a, b", repeated('"a", "b"', '"a" IS NOT NULL AND "b" IS NOT NULL')),
        (
            {"expression": "n > (select 1)"},
            "expression n > (select 1)",
            f'SELECT count(*) FROM "src"."tab" WHERE {OWN} AND NOT (n > (select 1)\n)',
        ),
        (
            {"query": "select * from loaded -- why"},
            "query select * from loaded -- why",
            (
                f'WITH "loaded" AS (SELECT * FROM "src"."tab" WHERE {OWN}) '
                "SELECT count(*) FROM (\nselect * from loaded -- why\n) AS found"
            ),
        ),
    ],
)
def test_a_table_check_is_a_count_of_the_rows_that_break_it(check, name, statement):
    read, warehouse = TableCheck.model_validate(check), Recorder()
    kind = TABLE_CHECKS.get(read.kind)
    found = kind.look(read.spec, Checking(warehouse, None, ROWS))
    assert (kind.label(read.spec), warehouse.statements) == (name, [statement])
    assert (found.verdict.holds, found.verdict.message, found.failing_rows) == (False, "2 rows violate it", 2)
    sqlglot.parse_one(statement, dialect="duckdb")
    assert kind.look(read.spec, Checking(warehouse, None, None)) is None, "a table without a row breaks nothing"


@pytest.mark.parametrize("condition", ["n > 0 or n < -5", "n > 0 -- why"])
def test_an_expression_is_part_of_the_scan(condition):
    kind = TABLE_CHECKS.get("expression")
    look = kind.look(condition, Checking(Recorder(), None, ROWS))
    assert isinstance(look, Scanned)
    assert look.aggregates[0] == f"count(CASE WHEN NOT ({condition}\n) THEN 1 END)"


def test_a_share_of_a_whole_table_asks_how_many_rows_it_has():
    warehouse, unique = Recorder(), TABLE_CHECKS.get("unique")
    found = unique.look(("n",), Checking(warehouse, None, ROWS, Allowance(share=0.1)))
    assert warehouse.statements[1] == 'SELECT count(*) FROM "src"."tab" WHERE "n" IS NOT NULL'
    assert (found.verdict.holds, found.verdict.message) == (True, "2 of 20 rows violate it; 10% may")


def test_a_relationship_ignores_nulls_on_both_sides():
    for dialect, parent in ((DIALECT, '"fleet"."planes"'), (SNOWFLAKE, '"FLEET"."PLANES"')):
        rows, key = LoadedRows(dialect, Relation("src", "tab"), ("n",), "L"), dialect.name("id")
        found = has_parent(rows, rows.column("n"), Relation("fleet", "planes"), "id", of_history=False)
        column = dialect.name("n")
        assert found == f"({column} IS NULL OR {column} IN (SELECT {key} FROM {parent} WHERE {key} IS NOT NULL))"
    found = has_parent(ROWS, '"n"', Relation("fleet", "planes"), "id", of_history=True)
    assert found.endswith('WHERE "id" IS NOT NULL AND "_valid_to" IS NULL))')


def test_a_sample_of_keys_is_the_same_ones_every_time():
    outcome = column_look({"not_null": True}, rows=ROWS).judge([1, 1])
    statement = sample(ROWS, ("n", 'q"t'), outcome.failing, 5)
    failing = f'FROM "src"."tab" WHERE {OWN} AND NOT ("n" IS NOT NULL)'
    assert statement == f'SELECT DISTINCT "n", "q""t" {failing} ORDER BY "n", "q""t" LIMIT 5'


def test_a_query_reads_the_rows_of_the_load_by_a_name():
    rows = LoadedRows(SNOWFLAKE, Relation("src", "tab"), ("n",), "L")
    statement = found_rows(rows, "WITH a AS (SELECT * FROM loaded) SELECT * FROM a")
    assert sqlglot.parse_one(statement, dialect="snowflake").sql("snowflake").count("LOADED") == 1
