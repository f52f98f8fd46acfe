"""Quality rules as SQL: each counts the rows that break it. Pure functions from values to text."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from elt_factory.config.checks import ColumnCheck, Severity, TableCheck
from elt_factory.config.table import Table
from elt_factory.sql_text import Value
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import LOAD_ID, VALID_TO


@dataclass(frozen=True)
class Rule:
    """One rule whose statement answers with the number of rows that break it."""

    name: str
    severity: Severity
    statement: str


@dataclass(frozen=True)
class LoadedRows:
    """The rows that rules look at: a table, the columns that it has, and the load whose rows count."""

    dialect: Dialect
    table: Relation
    columns: Collection[str]
    load_id: str

    def column(self, name: str) -> str:
        """A column as SQL; one that never had a value is not in the table yet, and NULL everywhere."""
        return self.dialect.name(name) if name in self.columns else "NULL"


def column_rules(rows: LoadedRows, table: Table) -> Iterator[Rule]:
    """The rules of a table's columns; those over single rows look at the rows of the load."""
    for name, column in table.columns.items():
        for check in column.checks:
            yield Rule(f"{name} {_label(check)}", check.severity, _column_statement(rows, name, check))


def table_rule(rows: LoadedRows, check: TableCheck) -> Rule | None:
    """The rule of a table check that is SQL over the table's rows; None for one that looks at the audit tables."""
    if check.unique:
        # as they are written: a name that the table does not have is a mistake here
        names = [rows.dialect.name(name) for name in check.unique]
        return Rule(f"unique {', '.join(check.unique)}", check.severity, repeated_rows(rows, names))
    if check.expression:
        statement = breaking_rows(rows, f"({check.expression}\n)")
        return Rule(f"expression {check.expression}", check.severity, statement)
    return None


def breaking_rows(rows: LoadedRows, condition: str) -> str:
    """SELECT of how many rows of a load do not fulfil a condition; an unknown answer fulfils it, as in a SQL CHECK."""
    d = rows.dialect
    own = f"{d.name(LOAD_ID)} = {d.literal(rows.load_id)}"
    return f"SELECT count(*) FROM {rows.table.sql(d)} WHERE {own} AND NOT {condition}"


def repeated_rows(rows: LoadedRows, columns: Sequence[str]) -> str:
    """SELECT of how many rows of the table repeat another's values; rows with a NULL among them repeat nothing.

    Of a history only the versions that hold now are looked at.
    """
    names = ", ".join(columns)
    conditions = [f"{column} IS NOT NULL" for column in columns]
    conditions += [f"{rows.column(VALID_TO)} IS NULL"] if VALID_TO in rows.columns else []
    present = " AND ".join(conditions)
    return (
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM "
        f"{rows.table.sql(rows.dialect)} WHERE {present} GROUP BY {names} HAVING count(*) > 1) AS repeated"
    )


def _column_statement(rows: LoadedRows, name: str, check: ColumnCheck) -> str:
    column, literal = rows.column(name), rows.dialect.literal
    if check.unique:
        return repeated_rows(rows, (column,))
    if check.between:
        low, high = check.between
        return breaking_rows(rows, f"({column} BETWEEN {literal(low)} AND {literal(high)})")
    if check.accepted_values:
        listed = ", ".join(literal(value) for value in check.accepted_values)
        return breaking_rows(rows, f"({column} IN ({listed}))")
    return breaking_rows(rows, f"({column} IS NOT NULL)")


def _label(check: ColumnCheck) -> str:
    if check.between:
        return f"between {_shown(check.between[0])} and {_shown(check.between[1])}"
    if check.accepted_values:
        return f"in {', '.join(_shown(value) for value in check.accepted_values)}"
    return "unique" if check.unique else "not null"


def _shown(value: Value) -> str:
    return str(value)
