"""The statements of `scd2`: every version of a row, each with the time in which it held. All of them are DML.

`_valid_from` is included, `_valid_to` is not, and is NULL while the version holds. Both follow from what was loaded for
which window, never from the clock, so that windows give the same table in any order and any number of times:

- A *snapshot* is all there is at a moment, its window's end: see `snapshots`.
- By *cursor* each row says itself since when it holds; a version ends where the next one of its key begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from elt_factory.config.models.values import ColumnType
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement
from elt_factory.warehouse.statements import LOAD_ID, LOADED_AT, VALID_FROM, VALID_TO, staged_values

INSTANT = ColumnType("timestamp")


@dataclass(frozen=True)
class History:
    """A table of versions and the rows that come: both have `columns`, of which `keys` say what a row is about.

    `clock` is the zone of the clock that a cursor without a zone has.
    """

    dialect: Dialect
    table: Relation
    staged_rows: str
    columns: Mapping[str, ColumnType]
    keys: tuple[str, ...]
    clock: str = "UTC"

    @property
    def rows(self) -> str:
        """The table's name."""
        return self.table.sql(self.dialect)

    def column(self, alias: str, name: str) -> str:
        """Return a column of one of two relations."""
        return f"{alias}.{self.dialect.name(name)}"

    def all_columns(self, alias: str, names: Iterable[str]) -> str:
        """Columns of one of two relations, separated by commas."""
        return ", ".join(self.column(alias, name) for name in names)

    def same_key(self, one: str, other: str) -> str:
        """Return the condition for rows about the same."""
        return " AND ".join(f"{self.column(one, key)} = {self.column(other, key)}" for key in self.keys)

    def same_values(self, one: str, other: str) -> str:
        """Return the condition for rows of one key that do not differ; nothing is the same as nothing."""
        pairs = [self._same_value(one, other, name) for name in self.columns if name not in self.keys]
        return " AND ".join(pairs) or "TRUE"

    def same(self, one: str, other: str) -> str:
        """Return the condition for rows of the same key and the same values."""
        return f"{self.same_key(one, other)} AND {self.same_values(one, other)}"

    def since(self, alias: str) -> str:
        """When a version begins."""
        return self.column(alias, VALID_FROM)

    def until(self, alias: str) -> str:
        """When a version ends."""
        return self.column(alias, VALID_TO)

    def insert(self, values: str) -> str:
        """Return the beginning of an INSERT and its SELECT, up to the FROM."""
        names = (*self.columns, LOAD_ID, LOADED_AT, VALID_FROM, VALID_TO)
        return f"INSERT INTO {self.rows} ({self.dialect.names(names)}) SELECT {values}"

    def _same_value(self, one: str, other: str, name: str) -> str:
        columns = self.column(one, name), self.column(other, name)
        if self.columns[name].name == "json":
            return f"({self.dialect.same_json(*columns)})"
        return " IS NOT DISTINCT FROM ".join(columns)


def staged_rows(
    dialect: Dialect, staging: Relation | None, landed: Mapping[str, ColumnType], history: Mapping[str, ColumnType]
) -> str:
    """Project staged rows onto the history's columns.

    All of its columns in its types, NULL in those that did not come.
    """
    values = staged_values(dialect, landed, history) if staging else {}
    nothing = {name: f"CAST(NULL AS {dialect.type(kind)})" for name, kind in history.items()}
    typed = [f"{values.get(name, null)} AS {dialect.name(name)}" for name, null in nothing.items()]
    if staging is None:
        return f"(SELECT {', '.join(typed)} WHERE FALSE)"
    return f"(SELECT {', '.join(typed)} FROM {staging.sql(dialect)} AS s)"


def cursor_statements(history: History, cursor: str, load_id: str, now: datetime) -> list[Statement]:
    """Return what adds versions that say themselves since when they hold. They change nothing where these are there."""
    return [
        Statement(_correct(history, cursor), "delete versions of the same moment with other values"),
        Statement(_add(history, cursor, load_id, now), "insert new versions"),
        Statement(_chain(history), "end each version where the next one of its key starts"),
    ]


def standing_by_cursor(history: History, cursor: str, load_id: str) -> str:
    """SELECT of how many rows the history has since the moments they say, and how many of these the load opened."""
    return standing(history, f"{history.since('t')} = {_moment(history, cursor)}", load_id)


def _moment(history: History, cursor: str) -> str:
    """Since when a row that comes holds."""
    column = history.column("s", cursor)
    if history.columns[cursor] == INSTANT:
        return column
    if history.clock == "UTC":
        return f"CAST({column} AS {history.dialect.type(INSTANT)})"
    return history.dialect.instant(column, history.clock)


def _correct(history: History, cursor: str) -> str:
    """DELETE of versions that come again with the same moment and other values."""
    return (
        f"DELETE FROM {history.rows} AS t USING {history.staged_rows} AS s WHERE {history.same_key('t', 's')} "
        f"AND {history.since('t')} = {_moment(history, cursor)} AND NOT ({history.same_values('t', 's')})"
    )


def _add(history: History, cursor: str, load_id: str, now: datetime) -> str:
    """INSERT of versions that are not there yet; where they end is said after it."""
    d, moment = history.dialect, _moment(history, cursor)
    values = [history.all_columns("s", history.columns), d.literal(load_id), d.literal(now), moment, "NULL"]
    return (
        f"{history.insert(', '.join(values))} FROM {history.staged_rows} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {history.rows} AS t WHERE {history.same_key('t', 's')} AND {history.since('t')} = {moment})"
    )


def _chain(history: History) -> str:
    """UPDATE that ends each version of the keys that came where the next one begins."""
    d, keys = history.dialect, history.all_columns("o", history.keys)
    came = f"(SELECT DISTINCT {history.all_columns('s', history.keys)} FROM {history.staged_rows} AS s)"
    following = f"LEAD({history.since('o')}) OVER (PARTITION BY {keys} ORDER BY {history.since('o')}) AS next_from"
    chained = (
        f"(SELECT {keys}, {history.since('o')}, {following} FROM {history.rows} AS o "
        f"JOIN {came} AS k ON {history.same_key('o', 'k')})"
    )
    return (
        f"UPDATE {history.rows} AS t SET {d.name(VALID_TO)} = n.next_from FROM {chained} AS n "
        f"WHERE {history.same_key('t', 'n')} AND {history.since('t')} = {history.since('n')} "
        f"AND {history.until('t')} IS DISTINCT FROM n.next_from"
    )


def standing(history: History, when: str, load_id: str) -> Statement:
    """SELECT of how many of the rows that come the history has at a time, and how many of these the load opened."""
    own = f"{history.column('t', LOAD_ID)} = {history.dialect.literal(load_id)}"
    return Statement(
        f"SELECT count(*), count(CASE WHEN {own} THEN 1 END) FROM {history.staged_rows} AS s "
        f"JOIN {history.rows} AS t ON {history.same('t', 's')} WHERE {when}",
        "count: every row that was landed is in the history now",
    )
