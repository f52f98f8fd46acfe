"""Which rows were rejected, why, and what became of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from elt_factory.warehouse import audit, reject_states
from elt_factory.warehouse.audit_views import every_reject
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.patience import retrying

State = Literal["open", "healed", "dismissed"]
_TABLE = ("source", "table_name")
_LOAD = (*_TABLE, "load_id")


@dataclass(frozen=True)
class RejectedLoad:
    """The rejects of a load's newest try that had some, by their state; `reason` is one of them.

    Instants know their zone. `by` is what closed some of them: the id of a load, or a person, who said `why`.
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
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Reason:
    """How many open rejects of a table have a reason, and one of their records."""

    table: str
    reason: str
    rows: int
    record: str


def rejected_loads(warehouse: Warehouse, source: str | None = None, *, healed: bool = False) -> list[RejectedLoad]:
    """Return the loads that have open rejects, or also those whose rejects are closed, the newest first."""
    if not _are_there(warehouse):
        return []
    loads = _loads(warehouse, source)
    wanted = [load for load in loads if healed or load.state == "open"]
    return sorted(wanted, key=lambda load: (load.rejected_at, load.source, load.table, load.state), reverse=True)


def reasons(warehouse: Warehouse, source: str, table: str | None, most: int) -> list[Reason]:
    """Return the commonest reasons of a source's open rejects, as many as are asked for."""
    if not _are_there(warehouse):
        return []
    d = warehouse.dialect
    of_table = f" AND {d.name('table_name')} = {d.literal(table)}" if table else ""
    where = f"{d.name('source')} = {d.literal(source)} AND {d.name('state')} = 'open'{of_table}"
    name, reason = d.name("table_name"), d.name("reason")
    rows = warehouse.query(
        f"SELECT {name}, {reason}, count(*), min({d.name('record')}) FROM {audit.relation('rejects').sql(d)} "
        f"WHERE {where} GROUP BY {name}, {reason} ORDER BY count(*) DESC, {name}, {reason} LIMIT {most}"
    ).rows
    return [Reason(str(table), str(why), int(count), str(record)) for table, why, count, record in rows]


def dismiss(warehouse: Warehouse, source: str, table: str, load_id: str | None, *, who: str, why: str) -> int:
    """Close a table's open rejects, of all its loads or of one, as a person says; return how many.

    It takes the turn of the table: no load or replay closes them at the same time.
    """
    warehouse.prepare()
    d = warehouse.dialect
    warehouse.execute(audit.create_turn(d, source, table))

    def close() -> int:
        now = warehouse.now()
        with warehouse.transaction():
            warehouse.execute(audit.take_turn(d, source, table, f"dismiss {now.isoformat()} {uuid.uuid4().hex}"))
            return warehouse.execute(reject_states.dismiss(d, source, table, load_id, who, why, now))

    return retrying(close)


def _are_there(warehouse: Warehouse) -> bool:
    """Whether there may be rejects. Those of an older version get their states first."""
    found = warehouse.columns(audit.relation("rejects"))
    if found is not None and "state" not in {name.lower() for name in found}:
        warehouse.prepare()
    return found is not None


def _loads(warehouse: Warehouse, source: str | None) -> list[RejectedLoad]:
    d, name = warehouse.dialect, warehouse.dialect.name
    load, at, state = d.names(_LOAD), name("rejected_at"), name("state")
    by, why = (f"coalesce({name(column)}, '')" for column in ("closed_by", "closed_why"))
    where = f"WHERE {name('source')} = {d.literal(source)}" if source else ""
    # all rejects of one try are of one moment
    newest = f"SELECT e.*, max({at}) OVER (PARTITION BY {load}) AS newest FROM ({every_reject(d)}) AS e {where}"
    counted = (
        f"SELECT {load}, {state}, count(*) AS n, min({name('reason')}) AS reason, max({at}) AS moment, "
        # of the same person; a NULL would be passed over for the reason of another
        f"max({by}) AS who, max_by({why}, {by}) AS why "
        f"FROM ({newest}) AS r WHERE {at} = newest GROUP BY {load}, {state}"
    )
    windows = (
        f"SELECT {load}, max({name('window_start')}) AS first, max({name('window_end')}) AS last "
        f"FROM {audit.log('loads').sql(d)} GROUP BY {load}"
    )
    keys = ", ".join(f"c.{name(key)}" for key in _LOAD)
    rows = warehouse.query(
        f"SELECT {keys}, w.first, w.last, c.n, c.reason, c.moment, c.{state}, c.who, c.why "
        f"FROM ({counted}) AS c LEFT JOIN ({windows}) AS w ON {_same(d, 'w', _LOAD)}"
    ).rows
    return [
        RejectedLoad(name, table, load_id, first, last, int(count), str(reason), moment, of, who, said)
        for name, table, load_id, first, last, count, reason, moment, of, who, said in rows
    ]


def _same(d: Dialect, alias: str, keys: tuple[str, ...]) -> str:
    return " AND ".join(f"c.{d.name(key)} = {alias}.{d.name(key)}" for key in keys)
