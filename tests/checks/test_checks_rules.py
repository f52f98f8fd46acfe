"""Rules word for word, and as another parser reads them."""

import pytest
import sqlglot

from elt_factory.checks.rules import LoadedRows, column_rules, table_rule
from elt_factory.config.checks import TableCheck
from elt_factory.config.table import Table
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb import DIALECT

ROWS = LoadedRows(DIALECT, Relation("src", "tab"), ("n", 'q"t'), "L'1")
BREAKING = 'SELECT count(*) FROM "src"."tab" WHERE "_load_id" = \'L\'\'1\' AND NOT '


def repeated(names, present):
    return (
        'SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM "src"."tab" '
        f"WHERE {present} GROUP BY {names} HAVING count(*) > 1) AS repeated"
    )


def column_rule(check, name="n"):
    [rule] = column_rules(ROWS, Table.model_validate({"columns": {name: {"checks": [check]}}}))
    return rule


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
    rule = column_rule(check)
    assert (rule.name, rule.severity, rule.statement) == (name, "error", statement)
    sqlglot.parse_one(rule.statement, dialect="duckdb")


def test_a_column_name_is_quoted():
    assert '("q""t" IS NOT NULL)' in column_rule({"not_null": True}, 'q"t').statement


def test_a_column_that_the_table_does_not_have_yet_is_null():
    assert column_rule({"not_null": True, "severity": "warn"}, "later").statement == BREAKING + "(NULL IS NOT NULL)"


@pytest.mark.parametrize(
    ("check", "name", "statement"),
    [
        ({"unique": ["a", "b"]}, "unique a, b", repeated('"a", "b"', '"a" IS NOT NULL AND "b" IS NOT NULL')),
        ({"expression": "n > 0 or n < -5"}, "expression n > 0 or n < -5", BREAKING + "(n > 0 or n < -5\n)"),
        ({"expression": "n > 0 -- why"}, "expression n > 0 -- why", BREAKING + "(n > 0 -- why\n)"),
    ],
)
def test_a_table_check_is_a_count_of_the_rows_that_break_it(check, name, statement):
    rule = table_rule(ROWS, TableCheck.model_validate(check))
    assert (rule.name, rule.statement) == (name, statement)
    sqlglot.parse_one(rule.statement, dialect="duckdb")


@pytest.mark.parametrize("check", [{"row_count": {"min": 1}}, {"freshness": {"loaded_within": "1h"}}])
def test_a_check_of_the_audit_tables_is_no_rule_over_rows(check):
    assert table_rule(ROWS, TableCheck.model_validate(check)) is None
