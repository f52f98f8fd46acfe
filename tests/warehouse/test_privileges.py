"""The roles for Snowflake are complete: each statement that is sent needs nothing that its role has not.

What statements need is read out of the statements; those of loads of every kind are looked at where they are recorded,
in test_snowflake_statements.py.
"""

import re
from datetime import UTC, datetime

import pytest
import sqlglot
import typer
from grants_support import given, needs
from sqlglot import exp
from test_snowflake_statements import GOLDEN

from elt_factory.cli.privileges import database_of
from elt_factory.core.connection import Connection
from elt_factory.diagnosis import audit_sql
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.snowflake import credits as books
from elt_factory.warehouse.snowflake.privileges import JOBS, Estate, grants
from elt_factory.warehouse.snowflake.sql import DIALECT as D

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ESTATE = Estate(
    "ANALYTICS",
    ("LOADING",),
    sources=("src", "s"),
    models=("staging", "marts"),
    others=("fivetran",),
    integration="reader",
    counts_credits=True,
    user="elt",
)
GRANTS = grants(ESTATE)
_NAME = r'"[A-Z_]+"'
FORMS = [
    re.compile(form.replace("NAME", _NAME))
    for form in (
        "CREATE ROLE IF NOT EXISTS NAME",
        r"GRANT SELECT ON (ALL|FUTURE) (TABLES|VIEWS) IN SCHEMA NAME\.NAME TO ROLE NAME",
        r"GRANT DATABASE ROLE SNOWFLAKE\.(GOVERNANCE|USAGE)_VIEWER TO ROLE NAME",
        "GRANT ROLE NAME TO (ROLE|USER) NAME",
    )
]
PAGE = [
    audit_sql.newest_loads(D, ["src"], audit_sql.LOAD_COLUMNS, 5),
    audit_sql.last_commits(D, ["src"], audit_sql.LOAD_COLUMNS),
    audit_sql.newest_results(D, ["src"], NOW),
    audit_sql.drift_since(D, ["src"], NOW),
    audit_sql.misses_since(D, ["src"], NOW),
    audit_sql.columns_there(D, ["_elt"]),
]
COUNTED = audit_sql.tables_now(D, {("src", "t"): (Relation("fivetran", "t"), None)})
BOOKS = [books.spent(NOW, NOW), books.attributed(NOW, NOW), books.metered(NOW, NOW)]


def lacking(statements, job: str, estate_grants=GRANTS) -> set:
    has = given(estate_grants, ESTATE.role(job))
    return {(need, statement) for statement in statements for need in needs(statement) if need not in has}


@pytest.mark.parametrize("statement", GRANTS)
def test_every_statement_is_snowflakes(statement):
    """By sqlglot where it has a tree; roles, and grants on all tables, by the grammar that Snowflake documents."""
    [tree] = sqlglot.parse(statement, read="snowflake")
    if not isinstance(tree, (exp.Grant, exp.Create)):
        assert any(form.fullmatch(statement) for form in FORMS), statement


def test_the_loader_may_send_every_golden_statement():
    assert lacking([sent for sent, _ in GOLDEN], "loader") == set()


def test_the_page_and_the_auditor_read_the_audit_tables_and_nothing_else():
    assert lacking(PAGE, "page") == lacking(PAGE, "auditor") == set()
    assert lacking([COUNTED], "page") == set()
    assert lacking(BOOKS, "auditor") == set()
    assert lacking([books.credits_since("src", NOW)], "loader") == set()
    for job in ("page", "auditor"):
        has = given(GRANTS, ESTATE.role(job))
        assert {privilege for privilege, _ in has} <= {"USAGE", "SELECT", "BOOKS"}
        assert ("SELECT", 'SCHEMA "SRC"') not in has
        assert lacking(['DELETE FROM "_ELT"."LOAD_LOG" WHERE 1 = 1'], job)


def test_the_transformer_reads_what_is_loaded_and_writes_models_alone():
    made = ['CREATE TABLE "MARTS"."M" AS SELECT * FROM "SRC"."T"', 'CREATE VIEW "STAGING"."V" AS SELECT 1 AS a']
    assert lacking(made, "transformer") == set()
    assert lacking(['DELETE FROM "SRC"."T" WHERE 1 = 1'], "transformer")
    assert lacking(['SELECT * FROM "_ELT"."REJECTS"'], "transformer")


def test_no_role_has_more_than_it_is_said_to_need():
    text = "\n".join(GRANTS)
    for never in (
        "OWNERSHIP",
        "ALL PRIVILEGES",
        "CREATE SCHEMA ON",
        "MANAGE GRANTS",
        "ACCOUNTADMIN",
        "PUBLIC",
        "WITH GRANT",
    ):
        assert never not in text
    # what the loader may do in addition is for schemas that no golden statement is about
    wanted = (
        {need for sent, _ in GOLDEN for need in needs(sent)}
        | needs(books.credits_since("src", NOW))
        | set().union(*map(needs, BOOKS))
    )
    spare = given(GRANTS, ESTATE.role("loader")) - wanted
    assert {where for privilege, where in spare if privilege not in ("USAGE", "SELECT")} <= {
        'SCHEMA "_ELT"',
        'SCHEMA "S"',
    }


@pytest.mark.parametrize("without", ["CREATE TABLE", "READ", "USAGE ON INTEGRATION", "ON SCHEMA", "DATABASE ROLE"])
def test_a_privilege_that_is_missing_is_found(without):
    fewer = [statement for statement in GRANTS if without not in statement]
    statements = [*(sent for sent, _ in GOLDEN), *BOOKS, books.credits_since("src", NOW)]
    assert lacking(statements, "loader", fewer)


def test_every_role_is_made_before_it_is_given_anything():
    made = [statement.split()[-1] for statement in GRANTS if statement.startswith("CREATE ROLE")]
    assert made == [*map(ESTATE.role, JOBS), '"ELT"']
    first = min(number for number, statement in enumerate(GRANTS) if statement.startswith("GRANT"))
    assert all(statement.startswith("CREATE") for statement in GRANTS[:first])
    assert GRANTS[-1] == 'GRANT ROLE "ELT" TO USER "ELT"'


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (None, "is not of type snowflake; hint: use --database ANALYTICS --warehouse LOADING"),
        (
            Connection("warehouse", "snowflake"),
            'names no database; hint: add "database" to its extra, or use --database',
        ),
    ],
)
def test_what_is_missing_of_the_connection_is_named(connection, message, capsys):
    with pytest.raises(typer.Exit):
        database_of(connection)
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_database_is_that_of_the_connection():
    assert database_of(Connection("warehouse", "snowflake", extra={"database": "ANALYTICS"})) == "ANALYTICS"
