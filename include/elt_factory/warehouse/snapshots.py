"""The statements of `scd2` by snapshots: each says all there is at its window's end. All of them are DML.

A snapshot says what holds from its moment to the next one, in whatever order the two were loaded, and touches nothing
outside of that time. One with rejected rows says nothing of the keys that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from elt_factory.config.models.values import ColumnType
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.history import INSTANT, History, standing
from elt_factory.warehouse.statement import Statement
from elt_factory.warehouse.statements import LOADED_AT, VALID_TO, key_as_text, without_zeros


@dataclass(frozen=True)
class Later:
    """A committed snapshot after another one: when it was taken, and which commit of which load says so."""

    at: datetime
    load_id: str
    loaded_at: datetime
    complete: bool


@dataclass(frozen=True)
class Snapshot:
    """When a snapshot was taken, and those after it that are loaded already, in order, up to a complete one.

    Only a `complete` one knows what is gone. One with rejected rows says nothing of the keys that are not in it: for
    these what the snapshot before it said continues, also where that is loaded later. Which keys these are is kept in
    `_elt.unseen_keys`: afterwards the history alone does not tell a key that was confirmed from one that was not seen.
    """

    source: str
    table: str
    load_id: str
    at: datetime
    loaded_at: datetime
    complete: bool = True
    later: tuple[Later, ...] = ()

    @property
    def incomplete(self) -> tuple[Later, ...]:
        """The later ones that say nothing of the keys that they do not have."""
        return tuple(one for one in self.later if not one.complete)

    @property
    def next_complete(self) -> Later | None:
        """The later one that every key ends or begins with."""
        return next((one for one in self.later if one.complete), None)


def snapshot_statements(history: History, snapshot: Snapshot) -> list[Statement]:
    """Return what makes the history tell of a snapshot, in order. They change nothing where it does already."""
    keys = SnapshotSql(history, snapshot)
    steps: list[Statement] = []
    if snapshot.incomplete:
        steps.append(Statement(keys.note_unseen_later(), "record what later snapshots have not seen"))
    if not snapshot.complete:
        steps += _undo(keys)
    if snapshot.later:
        steps.append(Statement(keys.keep_after(keys.changed()), "keep what holds from the next snapshot on"))
    steps += [
        Statement(keys.end(), "end versions that are gone or have changed"),
        Statement(keys.remove(), "delete what an earlier attempt of this window wrote"),
        Statement(keys.begin(), "insert new versions"),
    ]
    if snapshot.later:
        steps += _join_at(history, [one.at for one in snapshot.later])
    steps += _join_at(history, [snapshot.at])
    if not snapshot.complete:
        steps.append(Statement(keys.note_unseen(), "record the keys that it has not seen"))
    return steps


def _undo(keys: SnapshotSql) -> list[Statement]:
    """Undo what an earlier attempt of an incomplete snapshot wrote for keys that it no longer has."""
    after = [Statement(keys.keep_after(keys.forgotten()), "keep what holds from the next snapshot on")]
    return [
        *(after if keys.snapshot.later else []),
        Statement(keys.go_on(), "continue the version before it"),
        Statement(keys.forget(), "delete the one that the earlier attempt started"),
    ]


def standing_in_snapshot(history: History, snapshot: Snapshot, load_id: str) -> str:
    """SELECT of how many rows of a snapshot the history has at its moment, and how many of these the load opened."""
    return standing(history, _holds(history, "t", history.dialect.literal(snapshot.at)), load_id)


def later_snapshots(dialect: Dialect, source: str, table: str, at: datetime) -> Statement:
    """SELECT of the snapshots after a moment that are part of the history, up to the first complete one, in order.

    One of only rejects is none: it says nothing of any key.
    """
    d, name = dialect, dialect.name
    mine = (
        f"{audit.of_table(d, source, table)} AND {name('replaced_by')} IS NULL AND {audit.brought_good(d, 'c')} "
        f"AND {name('write_disposition')} = 'scd2' AND {name('window_end')} > {d.literal(at)}"
    )
    loads = audit.relation("loads").sql(d)
    complete = f"SELECT min({name('window_end')}) FROM {loads} AS c WHERE {mine} AND {name('rows_rejected')} = 0"
    return Statement(
        f"SELECT {d.names(('window_end', 'load_id', 'loaded_at'))}, {name('rows_rejected')} = 0 FROM {loads} AS c "
        f"WHERE {mine} AND {name('window_end')} <= coalesce(({complete}), {name('window_end')}) "
        f"ORDER BY {name('window_end')}, {name('loaded_at')} DESC",
        "find the snapshots after this one that are loaded already",
    )


@dataclass(frozen=True)
class SnapshotSql:
    """The statements of one snapshot. A key's version reaches to the next snapshot that says something of that key."""

    history: History
    snapshot: Snapshot

    @property
    def _d(self) -> Dialect:
        return self.history.dialect

    @property
    def _at(self) -> str:
        return self._d.literal(self.snapshot.at)

    @property
    def _unseen(self) -> str:
        return audit.relation("unseen_keys").sql(self._d)

    def _keys(self, alias: str) -> str:
        return self.history.all_columns(alias, self.history.keys)

    def changed(self) -> str:
        """Return the keys whose version at the moment of the snapshot is not what the snapshot has."""
        history = self.history
        holds = _holds(history, "t", self._at)
        if not self.snapshot.complete:
            return (
                f"SELECT {self._keys('t')} FROM {history.rows} AS t JOIN {history.staged_rows} AS s "
                f"ON {history.same_key('t', 's')} WHERE {holds} AND NOT ({history.same_values('t', 's')})"
            )
        return (
            f"SELECT {self._keys('t')} FROM {history.rows} AS t LEFT JOIN {history.staged_rows} AS s "
            f"ON {history.same('t', 's')} WHERE {holds} AND {history.column('s', history.keys[0])} IS NULL"
        )

    def forgotten(self) -> str:
        """Return the keys that an earlier try of the snapshot began a version of, and that it does not have now."""
        return self._not_seen(self.history.since("t"))

    def _not_seen(self, moment: str) -> str:
        """Return the keys that are not in the snapshot and have a version that begins or ends with it."""
        history = self.history
        return (
            f"SELECT {self._keys('t')} FROM {history.rows} AS t LEFT JOIN {history.staged_rows} AS s "
            f"ON {history.same_key('t', 's')} "
            f"WHERE {moment} = {self._at} AND {history.column('s', history.keys[0])} IS NULL"
        )

    def _reaching(self, keys: str) -> str:
        """Keys with `next_at`: the next snapshot that says something of each; NULL where there is none."""
        d, complete = self._d, self.snapshot.next_complete
        last = d.literal(complete.at) if complete else f"CAST(NULL AS {d.type(INSTANT)})"
        if not self.snapshot.incomplete:
            return f"(SELECT {self._keys('k')}, {last} AS next_at FROM ({keys}) AS k)"
        return (
            f"(SELECT {self._keys('k')}, coalesce(n.next_at, {last}) AS next_at FROM ({keys}) AS k "
            f"LEFT JOIN {self._next_seen()} AS n ON {self.history.same_key('k', 'n')})"
        )

    def _next_seen(self) -> str:
        """Return the keys that a later incomplete snapshot has, each with the first one that has it."""
        history = self.history
        return (
            f"(SELECT {self._keys('t')}, min(l.taken_at) AS next_at FROM {history.rows} AS t "
            f"JOIN {self._later_incomplete()} AS l ON {_holds(history, 't', 'l.taken_at')} "
            f"{self._where_not_unseen('t')} GROUP BY {self._keys('t')})"
        )

    def _later_incomplete(self) -> str:
        literal = self._d.literal
        rows = [
            f"SELECT {literal(one.at)} AS taken_at, {literal(one.load_id)} AS load_id, "
            f"{literal(one.loaded_at)} AS loaded_at"
            for one in self.snapshot.incomplete
        ]
        return f"({' UNION ALL '.join(rows)})"

    def _where_not_unseen(self, alias: str) -> str:
        """Return the joins and the condition for a key that the later snapshot `l` has not noted as unseen."""
        name, joins, missing = self._d.name, [], []
        # a join for each text: with OR none of them could be by a hash
        for number, text in enumerate(self._key_texts(alias)):
            u = f"u{number}"
            joins.append(
                f"LEFT JOIN {self._unseen} AS {u} ON {u}.{name('load_id')} = l.load_id "
                f"AND {u}.{name('loaded_at')} = l.loaded_at AND {u}.{name('key')} = {text}"
            )
            missing.append(f"{u}.{name('load_id')} IS NULL")
        return f"{' '.join(joins)} WHERE {' AND '.join(missing)}"

    def _key_texts(self, alias: str) -> list[str]:
        """Return a key as one text, which no other key has, and as those that it may have been noted as before."""
        return texts_of_key(self._d, alias, {key: self.history.columns[key] for key in self.history.keys})

    def _insert_unseen(self, load_id: str, loaded_at: str, alias: str) -> str:
        d, given = self._d, self.snapshot
        values = [load_id, d.literal(given.source), d.literal(given.table), loaded_at, self._key_texts(alias)[0]]
        return f"INSERT INTO {self._unseen} ({d.names(tuple(audit.TABLES['unseen_keys']))}) SELECT {', '.join(values)}"

    def note_unseen_later(self) -> str:
        """INSERT of the keys that come or continue, for each later snapshot that they reach over, not seen by it."""
        coming = f"SELECT {self._keys('s')} FROM {self.history.staged_rows} AS s"
        if not self.snapshot.complete:
            coming += f" UNION {self._not_seen(self.history.until('t'))}"
        return (
            f"{self._insert_unseen('l.load_id', 'l.loaded_at', 'c')} FROM {self._reaching(coming)} AS c "
            f"JOIN {self._later_incomplete()} AS l ON (c.next_at IS NULL OR l.taken_at < c.next_at) "
            f"{self._where_not_unseen('c')}"
        )

    def note_unseen(self) -> str:
        """INSERT of the keys that hold at the moment of the snapshot and are not in it."""
        history, d = self.history, self._d
        mine = d.literal(self.snapshot.load_id), d.literal(self.snapshot.loaded_at)
        return (
            f"{self._insert_unseen(*mine, 't')} FROM {history.rows} AS t WHERE {_holds(history, 't', self._at)} "
            f"AND NOT EXISTS (SELECT 1 FROM {history.staged_rows} AS s WHERE {history.same_key('t', 's')})"
        )

    def keep_after(self, keys: str) -> str:
        """INSERT of what still holds from the next snapshot on, of versions of keys that do not hold before it."""
        history, until = self.history, self.history.until("t")
        named = " ".join(
            f"WHEN {self._d.literal(one.at)} THEN {self._d.literal(one.load_id)}" for one in self.snapshot.later
        )
        moved = [f"CASE c.next_at {named} END", history.column("t", LOADED_AT), "c.next_at", until]
        return (
            f"{history.insert(', '.join([history.all_columns('t', history.columns), *moved]))} "
            f"FROM {history.rows} AS t JOIN {self._reaching(keys)} AS c ON {history.same_key('t', 'c')} "
            f"WHERE {_holds(history, 't', self._at)} AND c.next_at IS NOT NULL "
            f"AND ({until} IS NULL OR {until} > c.next_at)"
        )

    def end(self) -> str:
        """UPDATE of the versions that the snapshot ends."""
        history = self.history
        return (
            f"UPDATE {history.rows} AS t SET {self._d.name(VALID_TO)} = {self._at} FROM ({self.changed()}) AS c "
            f"WHERE {history.same_key('t', 'c')} AND {_holds(history, 't', self._at)} "
            f"AND {history.since('t')} < {self._at}"
        )

    def remove(self) -> str:
        """DELETE of the versions that the same snapshot, loaded before, had begun."""
        history = self.history
        return (
            f"DELETE FROM {history.rows} AS t USING ({self.changed()}) AS c "
            f"WHERE {history.same_key('t', 'c')} AND {history.since('t')} = {self._at}"
        )

    def begin(self) -> str:
        """INSERT of the versions that the snapshot begins."""
        history, d, given = self.history, self._d, self.snapshot
        own = [d.literal(given.load_id), d.literal(given.loaded_at), self._at, "c.next_at"]
        coming = f"SELECT {self._keys('s')} FROM {history.staged_rows} AS s"
        return (
            f"{history.insert(', '.join([history.all_columns('s', history.columns), *own]))} "
            f"FROM {history.staged_rows} AS s JOIN {self._reaching(coming)} AS c ON {history.same_key('s', 'c')} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {history.rows} AS t "
            f"WHERE {history.same_key('t', 's')} AND {_holds(history, 't', self._at)})"
        )

    def go_on(self) -> str:
        """UPDATE of the versions that an earlier try ended, of keys that the snapshot has not seen."""
        history = self.history
        return (
            f"UPDATE {history.rows} AS t SET {self._d.name(VALID_TO)} = c.next_at "
            f"FROM {self._reaching(self._not_seen(history.until('t')))} AS c "
            f"WHERE {history.same_key('t', 'c')} AND {history.until('t')} = {self._at}"
        )

    def forget(self) -> str:
        """DELETE of the versions that an earlier try began and that are no more."""
        history = self.history
        return (
            f"DELETE FROM {history.rows} AS t USING ({self.forgotten()}) AS c "
            f"WHERE {history.same_key('t', 'c')} AND {history.since('t')} = {self._at}"
        )


def _holds(history: History, alias: str, at: str) -> str:
    until = history.until(alias)
    return f"{history.since(alias)} <= {at} AND ({until} IS NULL OR {until} > {at})"


def _join_at(history: History, moments: Sequence[datetime]) -> list[Statement]:
    """UPDATE and DELETE that make one version of two that meet at one of the moments and do not differ."""
    d = history.dialect
    listed, since, until = ", ".join(map(d.literal, moments)), history.since("n"), history.until("n")
    reach = (
        f"UPDATE {history.rows} AS t SET {d.name(VALID_TO)} = {until} FROM {history.rows} AS n "
        f"WHERE {history.same('t', 'n')} AND {history.until('t')} = {since} AND {since} IN ({listed})"
    )
    remove = (
        f"DELETE FROM {history.rows} AS t USING {history.rows} AS n WHERE {history.same_key('t', 'n')} "
        f"AND {history.since('t')} IN ({listed}) AND {since} < {history.since('t')} "
        f"AND ({until} IS NULL OR {until} > {history.since('t')})"
    )
    return [Statement(reach, "join adjacent versions that do not differ"), Statement(remove, "delete the second")]


def texts_of_key(dialect: Dialect, alias: str, keys: Mapping[str, ColumnType]) -> list[str]:
    """Return a row's key as one text, which no other key has, then the texts that it may have been noted as before.

    These are of an earlier version, or of a column that was narrower then: 1 of integers is 1.00 of decimals.
    """

    def text(of: Callable[[str, ColumnType], str]) -> str:
        texts = [of(f"{alias}.{dialect.name(key)}", kind) for key, kind in keys.items()]
        return " || ".join(f"CAST(length({text}) AS VARCHAR) || ':' || {text}" for text in texts)

    ways = (key_as_text, lambda column, _: f"CAST({column} AS VARCHAR)", without_zeros, dialect.earlier_text)
    return list(dict.fromkeys(map(text, ways)))
