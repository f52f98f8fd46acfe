"""SQL that counts the rows that break a rule. Pure functions from values to text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import LOAD_ID, VALID_TO


@dataclass(frozen=True)
class LoadedRows:
    """The rows that rules look at: a table, the columns that it has, the load whose rows count, and which of those.

    `where` is a condition of the YAML; every row of the load counts where it is empty.
    """

    dialect: Dialect
    table: Relation
    columns: Collection[str]
    load_id: str
    where: str = ""
    remote: str = ""  # the condition for the rows of the load, where another system has made it

    @property
    def own(self) -> str:
        """The condition for the rows of the load."""
        if self.remote:
            return self.remote
        return f"{self.dialect.name(LOAD_ID)} = {self.dialect.literal(self.load_id)}"

    @property
    def conditions(self) -> tuple[str, ...]:
        """What `where` adds to other conditions: itself, whose comment may reach to the end of its line, or nothing."""
        return (f"({self.where}\n)",) if self.where else ()

    def only(self, value: str) -> str:
        """Return a value of the rows that count, as what an aggregate takes; NULL of others."""
        return f"CASE WHEN {self.conditions[0]} THEN {value} END" if self.where else value

    def column(self, name: str) -> str:
        """Return a column as SQL; one that never had a value is not in the table yet, and NULL everywhere."""
        return self.dialect.name(name) if name in self.columns else "NULL"


def scan(rows: LoadedRows, aggregates: Sequence[str]) -> str:
    """SELECT of aggregates over the rows of a load: one look at the table for all of them."""
    return f"SELECT {', '.join(aggregates)} FROM {rows.table.sql(rows.dialect)} WHERE {rows.own}"


def broken(rows: LoadedRows, condition: str) -> tuple[str, str]:
    """Return the aggregates of how many rows break a condition, and of how many it is asked of."""
    breaks = " AND ".join((*rows.conditions, f"NOT {condition}"))
    return f"count(CASE WHEN {breaks} THEN 1 END)", counted_rows(rows)


def counted_rows(rows: LoadedRows) -> str:
    """Return the aggregate of how many rows count."""
    return f"count({rows.only('1') if rows.where else '*'})"


def breaking(rows: LoadedRows, condition: str) -> str:
    """FROM and WHERE of the rows of a load that break a condition; an unknown answer fulfils it, as in a SQL CHECK."""
    conditions = " AND ".join((rows.own, *rows.conditions, f"NOT {condition}"))
    return f"FROM {rows.table.sql(rows.dialect)} WHERE {conditions}"


def breaking_rows(rows: LoadedRows, condition: str) -> str:
    """SELECT of how many rows of a load do not fulfil a condition; an unknown answer fulfils it, as in a SQL CHECK."""
    return f"SELECT count(*) {breaking(rows, condition)}"


def repeated_rows(rows: LoadedRows, columns: Sequence[str]) -> str:
    """SELECT of how many rows of the table repeat another's values; rows with a NULL among them repeat nothing.

    Of a history only the versions that hold now are looked at.
    """
    table, names = rows.table.sql(rows.dialect), ", ".join(columns)
    return (
        f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {table} "
        f"WHERE {_present(rows, columns)} GROUP BY {names} HAVING count(*) > 1) AS repeated"
    )


def compared_rows(rows: LoadedRows, columns: Sequence[str]) -> str:
    """SELECT of how many rows of the table could repeat another's values."""
    return f"SELECT count(*) FROM {rows.table.sql(rows.dialect)} WHERE {_present(rows, columns)}"


def repeating(rows: LoadedRows, columns: Sequence[str]) -> str:
    """FROM and WHERE of the rows of the table whose values another one has too."""
    table, names, present = rows.table.sql(rows.dialect), ", ".join(columns), _present(rows, columns)
    several = f"SELECT {names} FROM {table} WHERE {present} GROUP BY {names} HAVING count(*) > 1"
    return f"FROM {table} WHERE {present} AND ({names}) IN ({several})"


def _present(rows: LoadedRows, columns: Sequence[str]) -> str:
    conditions = [*rows.conditions, *(f"{column} IS NOT NULL" for column in columns)]
    conditions += [f"{rows.column(VALID_TO)} IS NULL"] if VALID_TO in rows.columns else []
    return " AND ".join(conditions)


def sample(rows: LoadedRows, key: Sequence[str], failing: str, limit: int) -> str:
    """SELECT of the keys of a few failing rows, always the same ones."""
    names = ", ".join(rows.column(name) for name in key)
    return f"SELECT DISTINCT {names} {failing} ORDER BY {names} LIMIT {limit}"
