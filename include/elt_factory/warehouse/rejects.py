"""Which rows were rejected, why, and whether a later load has healed them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation

State = Literal["open", "healed"]
_TABLE = ("source", "table_name")
_LOAD = (*_TABLE, "load_id")


@dataclass(frozen=True)
class RejectedLoad:
    """The rejects of a load's newest try that had some; `reason` is one of them. Instants know their zone.

    They are open until they are healed: a load of the same window, a full refresh, or for a table that is replaced any
    later load is committed without them.
    """

    source: str
    table: str
    load_id: str
    window_start: datetime | None
    window_end: datetime | None
    rows: int
    reason: str
    rejected_at: datetime
    state: State


@dataclass(frozen=True)
class Reason:
    """How many open rejects of a table have a reason, and one of their records."""

    table: str
    reason: str
    rows: int
    record: str


def rejected_loads(warehouse: Warehouse, source: str | None = None, *, healed: bool = False) -> list[RejectedLoad]:
    """Return the loads that have open rejects, or also those whose rejects are healed, the newest first."""
    if warehouse.columns(audit.relation("rejects")) is None:
        return []
    found = {load.load_id: load for load in _loads(warehouse, audit.log("rejects"), source, "healed")} if healed else {}
    found |= {load.load_id: load for load in _loads(warehouse, audit.relation("rejects"), source, "open")}
    wanted = [load for load in found.values() if healed or load.state == "open"]
    return sorted(wanted, key=lambda load: (load.rejected_at, load.source, load.table), reverse=True)


def reasons(warehouse: Warehouse, source: str, table: str | None, most: int) -> list[Reason]:
    """Return the commonest reasons of a source's open rejects, as many as are asked for."""
    d = warehouse.dialect
    opened = [load.load_id for load in rejected_loads(warehouse, source) if table in (None, load.table)]
    if not opened:
        return []
    where = f"{d.name('source')} = {d.literal(source)} AND {d.name('load_id')} IN ({', '.join(map(d.literal, opened))})"
    name, reason = d.name("table_name"), d.name("reason")
    rows = warehouse.query(
        f"SELECT {name}, {reason}, count(*), min({d.name('record')}) FROM {audit.relation('rejects').sql(d)} "
        f"WHERE {where} GROUP BY {name}, {reason} ORDER BY count(*) DESC, {name}, {reason} LIMIT {most}"
    ).rows
    return [Reason(str(table), str(why), int(count), str(record)) for table, why, count, record in rows]


def _loads(warehouse: Warehouse, rejects: Relation, source: str | None, state: State) -> Iterator[RejectedLoad]:
    d = warehouse.dialect
    load, at = d.names(_LOAD), d.name("rejected_at")
    where = f"WHERE {d.name('source')} = {d.literal(source)}" if source else ""
    # all rejects of one try are of one moment
    newest = f"SELECT r.*, max({at}) OVER (PARTITION BY {load}) AS newest FROM {rejects.sql(d)} AS r {where}"
    counted = (
        f"SELECT {load}, count(*) AS n, min({d.name('reason')}) AS why, max({at}) AS moment "
        f"FROM ({newest}) AS r WHERE {at} = newest GROUP BY {load}"
    )
    log, turn = audit.log("loads").sql(d), d.name("turn")
    windows = (
        f"SELECT {load}, max({d.name('window_start')}) AS first, max({d.name('window_end')}) AS last, "
        f"max({turn}) AS turn FROM {log} GROUP BY {load}"
    )
    replaced = (
        f"SELECT {d.names(_TABLE)}, max({turn}) AS turn FROM {log} AS l WHERE {audit.holds(d, 'l')} "
        f"AND {audit.brought_good(d)} AND {d.name('write_disposition')} = 'replace' GROUP BY {d.names(_TABLE)}"
    )
    keys = ", ".join(f"c.{d.name(key)}" for key in _LOAD)
    rows = warehouse.query(
        f"SELECT {keys}, w.first, w.last, c.n, c.why, c.moment, coalesce(w.turn < p.turn, FALSE) FROM ({counted}) AS c "
        f"LEFT JOIN ({windows}) AS w ON {_same(d, 'w', _LOAD)} LEFT JOIN ({replaced}) AS p ON {_same(d, 'p', _TABLE)}"
    ).rows
    for name, table, load_id, first, last, count, why, moment, gone in rows:
        found: State = "healed" if gone else state
        yield RejectedLoad(name, table, load_id, first, last, int(count), str(why), moment, found)


def _same(d: Dialect, alias: str, keys: tuple[str, ...]) -> str:
    return " AND ".join(f"c.{d.name(key)} = {alias}.{d.name(key)}" for key in keys)
