"""SQL that counts the rows that break a rule. Pure functions from values to text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import LOAD_ID, VALID_TO


@dataclass(frozen=True)
class LoadedRows:
    """The rows that rules look at: a table, the columns that it has, and the load whose rows count."""

    dialect: Dialect
    table: Relation
    columns: Collection[str]
    load_id: str

    def column(self, name: str) -> str:
        """Return a column as SQL; one that never had a value is not in the table yet, and NULL everywhere."""
        return self.dialect.name(name) if name in self.columns else "NULL"


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
