"""Rules word for word, and as another parser reads them."""

import pytest
import sqlglot

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import Checking
from elt_factory.config.models.checks import COLUMN_CHECKS, TABLE_CHECKS, ColumnCheck, TableCheck
from elt_factory.warehouse.base import Rows
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DIALECT

ROWS = LoadedRows(DIALECT, Relation("src", "tab"), ("n", 'q"t'), "L'1")
BREAKING = 'SELECT count(*) FROM "src"."tab" WHERE "_load_id" = \'L\'\'1\' AND NOT '


def repeated(names, present):
    return (
        'SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM "src"."tab" '
        f"WHERE {present} GROUP BY {names} HAVING count(*) > 1) AS repeated"
    )


def column_rule(check, name="n"):
    """The label and the statement of a column's check."""
    read = ColumnCheck.model_validate(check)
    kind = COLUMN_CHECKS.get(read.kind)
    return f"{name} {kind.label(read.spec)}", kind.statement(ROWS, ROWS.column(name), read.spec)


class Recorder:
    """A warehouse that keeps what it is asked, and answers that two rows break it."""

    def query(self, statement):
        self.statement = statement
        return Rows(("n",), [(2,)])


@pytest.mark.parametrize(
    ("check", "name", "statement"),
    [
        ({"not_null": True}, "n not null", BREAKING + '("n" IS NOT NULL)'),
        ({"between": [0, 6000]}, "n between 0 and 6000", BREAKING + '("n" BETWEEN 0 AND 6000)'),
        ({"between": ["a", "it's"]}, "n between a and it's", BREAKING + "(\"n\" BETWEEN 'a' AND 'it''s')"),
        ({"accepted_values": ["EWR", "J'K"]}, "n in EWR, J'K", BREAKING + "(\"n\" IN ('EWR', 'J''K'))"),
        ({"unique": True}, "n unique", repeated('"n"', '"n" IS NOT NULL')),
    ],
)
def test_a_column_check_is_a_count_of_the_rows_that_break_it(check, name, statement):
    assert column_rule(check) == (name, statement)
    sqlglot.parse_one(statement, dialect="duckdb")


def test_a_column_name_is_quoted():
    assert '("q""t" IS NOT NULL)' in column_rule({"not_null": True}, 'q"t')[1]


def test_a_column_that_the_table_does_not_have_yet_is_null():
    assert column_rule({"not_null": True, "severity": "warn"}, "later")[1] == BREAKING + "(NULL IS NOT NULL)"


@pytest.mark.parametrize(
    ("check", "name", "statement"),
    [
        ({"unique": ["a", "b"]}, "unique a, b", repeated('"a", "b"', '"a" IS NOT NULL AND "b" IS NOT NULL')),
        ({"expression": "n > 0 or n < -5"}, "expression n > 0 or n < -5", BREAKING + "(n > 0 or n < -5\n)"),
        ({"expression": "n > 0 -- why"}, "expression n > 0 -- why", BREAKING + "(n > 0 -- why\n)"),
    ],
)
def test_a_table_check_is_a_count_of_the_rows_that_break_it(check, name, statement):
    read, warehouse = TableCheck.model_validate(check), Recorder()
    kind = TABLE_CHECKS.get(read.kind)
    found = kind.look(read.spec, Checking(warehouse, None, ROWS))
    assert (kind.label(read.spec), warehouse.statement) == (name, statement)
    assert (found.verdict.holds, found.verdict.message, found.failing_rows) == (False, "2 rows violate it", 2)
    sqlglot.parse_one(statement, dialect="duckdb")
    assert kind.look(read.spec, Checking(warehouse, None, None)) is None, "a table without a row breaks nothing"
