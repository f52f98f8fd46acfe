"""The statements of `scd2`: every version of a row, each with the time in which it held. All of them are DML.

`_valid_from` is included, `_valid_to` is not, and is NULL while the version holds. Both follow from what was loaded for
which window, never from the clock, so that windows give the same table in any order and any number of times:

- A *snapshot* is all there is at a moment, its window's end. It says what holds from there to the next snapshot, in
  whatever order the two were loaded, and touches nothing outside of that time.
- By *cursor* each row says itself since when it holds; a version ends where the next one of its key begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from elt_factory.config.values import ColumnType
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import LOAD_ID, LOADED_AT, VALID_FROM, VALID_TO, staged_values

_INSTANT = ColumnType("timestamp")


@dataclass(frozen=True)
class History:
    """A table of versions and the rows that come: both have `columns`, of which `keys` say what a row is about."""

    dialect: Dialect
    table: Relation
    picture: str
    columns: Mapping[str, ColumnType]
    keys: tuple[str, ...]

    @property
    def rows(self) -> str:
        """The table's name."""
        return self.table.sql(self.dialect)

    def column(self, alias: str, name: str) -> str:
        """A column of one of two relations."""
        return f"{alias}.{self.dialect.name(name)}"

    def all_columns(self, alias: str, names: Iterable[str]) -> str:
        """Columns of one of two relations, separated by commas."""
        return ", ".join(self.column(alias, name) for name in names)

    def same_key(self, one: str, other: str) -> str:
        """The condition for rows about the same."""
        return " AND ".join(f"{self.column(one, key)} = {self.column(other, key)}" for key in self.keys)

    def same_values(self, one: str, other: str) -> str:
        """The condition for rows of one key that do not differ; nothing is the same as nothing."""
        pairs = [
            f"{self._compared(one, name)} IS NOT DISTINCT FROM {self._compared(other, name)}"
            for name in self.columns
            if name not in self.keys
        ]
        return " AND ".join(pairs) or "TRUE"

    def same(self, one: str, other: str) -> str:
        """The condition for rows of the same key and the same values."""
        return f"{self.same_key(one, other)} AND {self.same_values(one, other)}"

    def since(self, alias: str) -> str:
        """When a version begins."""
        return self.column(alias, VALID_FROM)

    def until(self, alias: str) -> str:
        """When a version ends."""
        return self.column(alias, VALID_TO)

    def insert(self, values: str) -> str:
        """The beginning of an INSERT and its SELECT, up to the FROM."""
        names = (*self.columns, LOAD_ID, LOADED_AT, VALID_FROM, VALID_TO)
        return f"INSERT INTO {self.rows} ({self.dialect.names(names)}) SELECT {values}"

    def _compared(self, alias: str, name: str) -> str:
        column = self.column(alias, name)
        return self.dialect.json_text(column) if self.columns[name].name == "json" else column


@dataclass(frozen=True)
class Step:
    """One statement, with a word of what it is for."""

    comment: str
    sql: str


@dataclass(frozen=True)
class Snapshot:
    """When a snapshot was taken, and the one after it where that was loaded already: its moment and its load.

    Only a `complete` one knows what is gone; one with rejected rows leaves the keys alone that are not in it.
    """

    at: datetime
    complete: bool = True
    next_at: datetime | None = None
    next_load_id: str = ""


def picture(
    dialect: Dialect, staging: Relation | None, landed: Mapping[str, ColumnType], history: Mapping[str, ColumnType]
) -> str:
    """The staged rows as the history has them: all of its columns in its types, NULL in those that did not come."""
    values = staged_values(dialect, landed, history) if staging else {}
    nothing = {name: f"CAST(NULL AS {dialect.type(kind)})" for name, kind in history.items()}
    typed = [f"{values.get(name, null)} AS {dialect.name(name)}" for name, null in nothing.items()]
    if staging is None:
        return f"(SELECT {', '.join(typed)} WHERE FALSE)"
    return f"(SELECT {', '.join(typed)} FROM {staging.sql(dialect)} AS s)"


def snapshot_statements(history: History, snapshot: Snapshot, load_id: str, now: datetime) -> list[Step]:
    """What makes the history tell of a snapshot, in order. They change nothing where it does already."""
    later = snapshot.next_at
    after = [Step("what holds from the next snapshot on stays", _keep_after(history, snapshot, later))] if later else []
    return [
        *after,
        Step("versions that are no more, or are another, end", _end(history, snapshot)),
        Step("what an earlier try of this window said goes", _remove(history, snapshot)),
        Step("versions that are new begin", _begin(history, snapshot, load_id, now)),
        *(_join_at(history, later) if later else []),
        *_join_at(history, snapshot.at),
    ]


def cursor_statements(history: History, cursor: str, load_id: str, now: datetime) -> list[Step]:
    """What adds versions that say themselves since when they hold. They change nothing where these are there."""
    return [
        Step("versions of the same moment and other values make way", _correct(history, cursor)),
        Step("versions that are new begin", _add(history, cursor, load_id, now)),
        Step("each ends where the next one of its key begins", _chain(history)),
    ]


def standing_in_snapshot(history: History, snapshot: Snapshot, load_id: str) -> str:
    """SELECT of how many rows of a snapshot the history has at its moment, and how many of these the load opened."""
    return _standing(history, _holds(history, "t", snapshot.at), load_id)


def standing_by_cursor(history: History, cursor: str, load_id: str) -> str:
    """SELECT of how many rows the history has since the moments they say, and how many of these the load opened."""
    return _standing(history, f"{history.since('t')} = {_moment(history, cursor)}", load_id)


def next_snapshot(dialect: Dialect, source: str, table: str, at: datetime) -> str:
    """SELECT of the moment and the load of the first snapshot after a moment that is part of the history."""
    name = dialect.name
    return (
        f"SELECT {name('window_end')}, {name('load_id')} FROM {audit.relation('loads').sql(dialect)} "
        f"WHERE {audit.of_table(dialect, source, table)} AND {name('replaced_by')} IS NULL "
        f"AND {name('write_disposition')} = 'scd2' AND {name('window_end')} > {dialect.literal(at)} "
        f"ORDER BY {name('window_end')}, {name('loaded_at')} DESC LIMIT 1"
    )


def _holds(history: History, alias: str, at: datetime) -> str:
    moment, until = history.dialect.literal(at), history.until(alias)
    return f"{history.since(alias)} <= {moment} AND ({until} IS NULL OR {until} > {moment})"


def _changed(history: History, snapshot: Snapshot) -> str:
    """The keys whose version at the moment of a snapshot is not what the snapshot has."""
    keys, holds = history.all_columns("t", history.keys), _holds(history, "t", snapshot.at)
    if not snapshot.complete:
        return (
            f"(SELECT {keys} FROM {history.rows} AS t JOIN {history.picture} AS s ON {history.same_key('t', 's')} "
            f"WHERE {holds} AND NOT ({history.same_values('t', 's')}))"
        )
    return (
        f"(SELECT {keys} FROM {history.rows} AS t LEFT JOIN {history.picture} AS s ON {history.same('t', 's')} "
        f"WHERE {holds} AND {history.column('s', history.keys[0])} IS NULL)"
    )


def _keep_after(history: History, snapshot: Snapshot, next_at: datetime) -> str:
    """INSERT of what still holds from the next snapshot on, of versions that do not hold before it."""
    d, until = history.dialect, history.until("t")
    moved = [d.literal(snapshot.next_load_id), history.column("t", LOADED_AT), d.literal(next_at), until]
    return (
        f"{history.insert(', '.join([history.all_columns('t', history.columns), *moved]))} "
        f"FROM {history.rows} AS t JOIN {_changed(history, snapshot)} AS c ON {history.same_key('t', 'c')} "
        f"WHERE {_holds(history, 't', snapshot.at)} AND ({until} IS NULL OR {until} > {d.literal(next_at)})"
    )


def _end(history: History, snapshot: Snapshot) -> str:
    """UPDATE of the versions that a snapshot ends."""
    d = history.dialect
    moment = d.literal(snapshot.at)
    return (
        f"UPDATE {history.rows} AS t SET {d.name(VALID_TO)} = {moment} FROM {_changed(history, snapshot)} AS c "
        f"WHERE {history.same_key('t', 'c')} AND {_holds(history, 't', snapshot.at)} "
        f"AND {history.since('t')} < {moment}"
    )


def _remove(history: History, snapshot: Snapshot) -> str:
    """DELETE of the versions that the same snapshot, loaded before, had begun."""
    moment = history.dialect.literal(snapshot.at)
    return (
        f"DELETE FROM {history.rows} AS t USING {_changed(history, snapshot)} AS c "
        f"WHERE {history.same_key('t', 'c')} AND {history.since('t')} = {moment}"
    )


def _begin(history: History, snapshot: Snapshot, load_id: str, now: datetime) -> str:
    """INSERT of the versions that a snapshot begins."""
    d = history.dialect
    own = [d.literal(value) for value in (load_id, now, snapshot.at, snapshot.next_at)]
    return (
        f"{history.insert(', '.join([history.all_columns('s', history.columns), *own]))} "
        f"FROM {history.picture} AS s WHERE NOT EXISTS (SELECT 1 FROM {history.rows} AS t "
        f"WHERE {history.same_key('t', 's')} AND {_holds(history, 't', snapshot.at)})"
    )


def _join_at(history: History, at: datetime) -> list[Step]:
    """UPDATE and DELETE that make one version of two that meet at a moment and do not differ."""
    d = history.dialect
    moment, since, until = d.literal(at), history.since("n"), history.until("n")
    reach = (
        f"UPDATE {history.rows} AS t SET {d.name(VALID_TO)} = {until} FROM {history.rows} AS n "
        f"WHERE {history.same('t', 'n')} AND {history.until('t')} = {moment} AND {since} = {moment}"
    )
    remove = (
        f"DELETE FROM {history.rows} AS t USING {history.rows} AS n WHERE {history.same_key('t', 'n')} "
        f"AND {history.since('t')} = {moment} AND {since} < {moment} AND ({until} IS NULL OR {until} > {moment})"
    )
    return [Step("two that meet and do not differ become one", reach), Step("and the second goes", remove)]


def _moment(history: History, cursor: str) -> str:
    """Since when a row that comes holds."""
    column = history.column("s", cursor)
    if history.columns[cursor] == _INSTANT:
        return column
    return f"CAST({column} AS {history.dialect.type(_INSTANT)})"


def _correct(history: History, cursor: str) -> str:
    """DELETE of versions that come anew with the same moment and other values."""
    return (
        f"DELETE FROM {history.rows} AS t USING {history.picture} AS s WHERE {history.same_key('t', 's')} "
        f"AND {history.since('t')} = {_moment(history, cursor)} AND NOT ({history.same_values('t', 's')})"
    )


def _add(history: History, cursor: str, load_id: str, now: datetime) -> str:
    """INSERT of versions that are not there yet; where they end is said after it."""
    d, moment = history.dialect, _moment(history, cursor)
    values = [history.all_columns("s", history.columns), d.literal(load_id), d.literal(now), moment, "NULL"]
    return (
        f"{history.insert(', '.join(values))} FROM {history.picture} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {history.rows} AS t WHERE {history.same_key('t', 's')} AND {history.since('t')} = {moment})"
    )


def _chain(history: History) -> str:
    """UPDATE that ends each version of the keys that came where the next one begins."""
    d, keys = history.dialect, history.all_columns("o", history.keys)
    came = f"(SELECT DISTINCT {history.all_columns('s', history.keys)} FROM {history.picture} AS s)"
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


def _standing(history: History, when: str, load_id: str) -> str:
    own = f"{history.column('t', LOAD_ID)} = {history.dialect.literal(load_id)}"
    return (
        f"SELECT count(*), count(CASE WHEN {own} THEN 1 END) FROM {history.picture} AS s "
        f"JOIN {history.rows} AS t ON {history.same('t', 's')} WHERE {when}"
    )
