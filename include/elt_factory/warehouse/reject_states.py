"""What closes a reject, in the transaction that does so: a later load of its key or its file, a replay, a person.

Anyone who changes a state has the turn of the table, so that no reject is closed twice. What a later commit of the same
window closes is not written: it follows from the log of loads (`audit_views`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import TransientError
from elt_factory.core.sql_text import Value
from elt_factory.landing.manifest import Replays
from elt_factory.landing.rejected import key_names
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement
from elt_factory.warehouse.writing import expect

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Staged, Warehouse
    from elt_factory.warehouse.order import LoadOrder

_OF_LOAD = ("load_id", "source", "table_name", "rejected_at")
# of the landed file of rejects that the warehouse copies
STAGED: Mapping[str, ColumnType] = {
    **{name: kind for name, kind in audit.columns("rejects").items() if name not in _OF_LOAD},
    "place": ColumnType("integer"),
}
_GIVEN = ("source", "table_name", "load_id", "turn", "ordinal")


class RejectsChangedError(TransientError):
    """Rejects that are being replayed were closed meanwhile, by a load, a replay or a person. Nothing was committed."""


def open_rejects(dialect: Dialect, source: str, table: str) -> str:
    """Return the FROM and WHERE for a table's open rejects that can have a state of their own."""
    d = dialect
    return (
        f"{audit.relation('rejects').sql(d)} AS r WHERE r.{d.name('source')} = {d.literal(source)} "
        f"AND r.{d.name('table_name')} = {d.literal(table)} AND r.{d.name('state')} = 'open' "
        f"AND r.{d.name('ordinal')} IS NOT NULL"
    )


def replayed(dialect: Dialect, source: str, table: str, replays: Replays) -> str:
    """Return the FROM and WHERE for the open rejects that a replay brings."""
    d, ordinal = dialect, f"r.{dialect.name('ordinal')}"
    return (
        f"{open_rejects(d, source, table)} AND r.{d.name('whole')} AND r.{d.name('load_id')} = "
        f"{d.literal(replays.load_id)} AND r.{d.name('turn')} = {replays.turn} "
        f"AND {ordinal} > {replays.after} AND {ordinal} <= {replays.upto}"
    )


def refuse_closed(warehouse: Warehouse, order: LoadOrder, replays: Replays) -> None:
    """See that all rejects that a replay brings are open. They are only ever closed, so their number says it.

    Raises:
        RejectsChangedError: some are not.
    """
    manifest = order.manifest
    count = f"SELECT count(*) FROM {replayed(warehouse.dialect, manifest.source, manifest.table, replays)}"
    found = int(warehouse.query(count).rows[0][0])
    if found != manifest.rows_read:
        raise RejectsChangedError(
            f"{order.label}: {manifest.rows_read} rejects of the load {replays.load_id} were to be replayed, and "
            f"{found} of them are open now; run the replay again"
        )


def close_rejects(warehouse: Warehouse, order: LoadOrder, staged: Staged, now: datetime) -> None:
    """Close the open rejects that a load heals: those that it replays, or those of other loads.

    Raises:
        AccountingError: not all that a replay brought and that are good now can be closed.
    """
    manifest, dialect = order.manifest, warehouse.dialect
    if manifest.replays:
        healed = warehouse.execute(heal_replayed(dialect, order, manifest.replays, staged.rejects, now))
        expect(order, "healed rejects", manifest.rows_read - manifest.rows_rejected, healed)
    elif not order.too_many_rejects:
        for statement in healed_by(dialect, order, staged, now):
            warehouse.execute(statement)


def heal_replayed(
    dialect: Dialect, order: LoadOrder, replays: Replays, rejects: Relation | None, now: datetime
) -> Statement:
    """INSERT of the states of those rejects that a replay brought and that were not rejected again."""
    d, manifest = dialect, order.manifest
    # as `replay.py` wrote them down for the contract
    place = f"row_number() OVER (ORDER BY coalesce(r.{d.name('file')}, ''), r.{d.name('ordinal')}) - 1 AS place"
    given = ", ".join(f"r.{d.name(name)} AS {d.name(name)}" for name in _GIVEN)
    brought = f"SELECT {given}, {place} FROM {replayed(d, manifest.source, manifest.table, replays)}"
    again = f" WHERE o.place NOT IN (SELECT b.{d.name('place')} FROM {rejects.sql(d)} AS b)" if rejects else ""
    return Statement(
        f"{_insert(d)} SELECT {_values(d, 'o', 'healed', now, by_load=manifest.load_id)} FROM ({brought}) AS o{again}",
        "the rejects that are loaded now are healed",
    )


def healed_by(dialect: Dialect, order: LoadOrder, staged: Staged, now: datetime) -> Iterator[Statement]:
    """Yield what closes open rejects of other loads: by their keys, and by the files that are delivered again."""
    if order.starts_over:
        # of all rows that are exchanged the log of loads says it
        return
    if staged.rows is not None and order.write_disposition in ("merge", "scd2") and order.primary_key:
        yield from _healed_by_key(dialect, order, staged.rows, now)
    if staged.ledger is not None:
        same = f"s.{dialect.name('name')} = r.{dialect.name('file')}"
        yield _healed(dialect, order, f"{staged.ledger.sql(dialect)} AS s ON {same}", now, "whose file came again")


def dismiss(
    dialect: Dialect, source: str, table: str, load_id: str | None, who: str, why: str, now: datetime
) -> Statement:
    """INSERT of the state of a table's open rejects, of all its loads or of one, that a person dismisses."""
    d = dialect
    of_load = f" AND r.{d.name('load_id')} = {d.literal(load_id)}" if load_id else ""
    values = _values(d, "r", "dismissed", now, who=who, why=why)
    return Statement(
        f"{_insert(d)} SELECT {values} FROM {open_rejects(d, source, table)}{of_load}", "a person dismisses rejects"
    )


def _healed_by_key(dialect: Dialect, order: LoadOrder, rows: Relation, now: datetime) -> Iterator[Statement]:
    d, landed, cursor = dialect, order.landed_columns, order.manifest.cursor_column
    by_version = order.write_disposition == "scd2" and cursor is not None
    keys = (*order.primary_key, *([cursor] if by_version and cursor else []))
    if any(key not in landed for key in keys):
        return
    kept = f"r.{d.name('key')}"
    tests = [f"{d.json_element(kept, 0)} = {d.literal(key_names(keys))}"]
    tests += [f"s.{d.name(key)} = {_typed(d, d.json_element(kept, n), landed[key])}" for n, key in enumerate(keys, 1)]
    if cursor in landed and not by_version and cursor:
        # an older version does not bring what the rejected one had
        rejected = f"r.{d.name('cursor')}"
        newer = f"s.{d.name(cursor)} >= {_typed(d, rejected, landed[cursor])}"
        tests.append(f"({rejected} IS NULL OR {newer})")
    yield _healed(d, order, f"{rows.sql(d)} AS s ON {' AND '.join(tests)}", now, "whose key came again, and is good")


def _typed(d: Dialect, text: str, kind: ColumnType) -> str:
    if kind.name == "binary":
        return d.from_hex(text)
    return text if kind.name == "text" else f"TRY_CAST({text} AS {d.type(kind)})"


def _healed(d: Dialect, order: LoadOrder, joined: str, now: datetime, which: str) -> Statement:
    manifest = order.manifest
    opened = open_rejects(d, manifest.source, manifest.table)
    others = f"r.{d.name('load_id')} <> {d.literal(manifest.load_id)}"
    values = _values(d, "o", "healed", now, by_load=manifest.load_id)
    given = ", ".join(f"r.{d.name(name)}" for name in _GIVEN)
    healed = f"SELECT DISTINCT {given} FROM (SELECT r.* FROM {opened} AND {others}) AS r JOIN {joined}"
    return Statement(f"{_insert(d)} SELECT {values} FROM ({healed}) AS o", f"heal the rejects {which}")


def _insert(d: Dialect) -> str:
    return f"INSERT INTO {audit.relation('reject_states').sql(d)} ({d.names(tuple(audit.TABLES['reject_states']))})"


def _values(d: Dialect, alias: str, state: str, now: datetime, **more: str) -> str:
    """Return a row of `reject_states` about a reject of a relation."""
    said: Mapping[str, Value] = {"state": state, "changed_at": now, **more}
    kinds = audit.columns("reject_states")
    nothing = {name: f"CAST(NULL AS {d.type(kinds[name])})" for name in kinds}
    told = {name: d.literal(value) for name, value in said.items()}
    own = {name: f"{alias}.{d.name(name)}" for name in _GIVEN}
    return ", ".join(({**nothing, **own, **told})[name] for name in kinds)
