"""What the audit tables say: where a table stands, which windows are committed, how fresh it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elt_factory.config.window import Window
from elt_factory.extract.request import CursorRange
from elt_factory.warehouse import audit, audit_views
from elt_factory.warehouse.base import Rows, Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation

_SIZE = ("rows_loaded", "rows_unchanged")


@dataclass(frozen=True)
class TableStatus:
    """Where one table stands; instants know their zone, None where there was nothing to say."""

    source: str
    table: str
    last_load_id: str
    last_loaded_at: datetime
    last_window_end: datetime
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    rows_duplicate: int
    rows_unchanged: int
    rejected_rows: int
    total_rows: int
    cursor: str | None
    last_business_date: str | None


def cursor_range(
    warehouse: Warehouse,
    source: str,
    table: str,
    load_id: str,
    window: Window,  # noqa: ARG001 - a cursor that is no time knows no windows; the loads' ids tell them apart
) -> CursorRange:
    """What a load reads of a source whose cursor is no time.

    A window that was committed with rows reads the very same range again, so that a re-run takes nothing that belongs
    to another load. Any other begins after all that was ever loaded, by earlier windows or, where it was left out and
    is run late, by later ones.
    """
    if not audited(warehouse):
        return CursorRange()
    d = warehouse.dialect
    mine = f"{_standing(d, source, table)} AND {d.name('cursor_value')} IS NOT NULL"
    rows = _loads(warehouse, ("load_id", "cursor_min", "cursor_value"), mine).rows
    order = _order([value for _, *values in rows for value in values])
    others = [last for found, _, last in rows if found != load_id]
    own = next(((first, last) for found, first, last in rows if found == load_id), None)
    if own is None:
        return CursorRange(max(others, key=order, default=None), None)
    before = [last for last in others if order(last) < order(own[0])]
    return CursorRange(max(before, key=order, default=None), own[1])


@dataclass(frozen=True)
class Committed:
    """One committed load: the window it covers and the run that wrote it."""

    start: datetime
    end: datetime
    run_id: str


def committed_loads(warehouse: Warehouse, source: str, table: str) -> list[Committed]:
    """A table's committed loads in order of their windows."""
    if not audited(warehouse):
        return []
    d = warehouse.dialect
    rows = _loads(warehouse, ("window_start", "window_end", "run_id"), _standing(d, source, table)).rows
    return sorted((Committed(*row) for row in rows), key=lambda load: load.start)


def covering(loads: Sequence[Committed], wanted: Window) -> list[Committed]:
    """The loads that together leave no gap in the wanted window; none of them where there is a gap."""
    reached, chosen = wanted.start, []
    for load in sorted(loads, key=lambda load: load.start):
        if load.start > reached or reached >= wanted.end:
            break
        if load.end > reached:
            reached = load.end
            chosen.append(load)
    return chosen if reached >= wanted.end else []


def run_verdict(warehouse: Warehouse, source: str, table: str, run_id: str) -> tuple[bool, list[str]]:
    """Whether a run has come to its last word on a table, its checks, and the checks of that run that failed."""
    d = warehouse.dialect
    columns = d.names(("kind", "table_name", "check_name", "status"))
    rows = warehouse.query(
        f"SELECT {columns} FROM {audit.relation('quality_results').sql(d)} "
        f"WHERE {d.name('source')} = {d.literal(source)} AND {d.name('run_id')} = {d.literal(run_id)}"
    ).rows
    checked = any(kind == "check" and name == table for kind, name, _, _ in rows)
    return checked, [f"{name}: {check}" for _, name, check, status in rows if status == "failed"]


def newest(warehouse: Warehouse, source: str, table: str) -> tuple[datetime | None, str | None]:
    """When a table was last loaded, and its newest business date as text; None where there is none.

    A window of a `merge` table that is read again and brings no rows changes none: what an earlier load of the same
    window brought is still in the table, and counts.
    """
    if not audited(warehouse):
        return None, None
    d = warehouse.dialect
    loads = audit.relation("loads").sql(d)
    row = warehouse.query(
        f"SELECT max({d.name('loaded_at')}), greatest(coalesce(max({d.name('business_date_max')}), kept), "
        f"coalesce(kept, max({d.name('business_date_max')}))) FROM {loads}, ({_kept_by_merge(d, source, table)}) AS k "
        f"WHERE {_standing(d, source, table)} GROUP BY kept"
    ).rows
    return (row[0][0], row[0][1]) if row else (None, None)


def _kept_by_merge(d: Dialect, source: str, table: str) -> str:
    """SELECT of the newest business date that earlier loads brought of windows whose newest load had no rows."""
    loads, log = audit.relation("loads").sql(d), audit.log("loads").sql(d)
    load_id, turn, newest_date = d.name("load_id"), d.name("turn"), d.name("business_date_max")
    empty = (
        f"SELECT {load_id} FROM {loads} WHERE {_standing(d, source, table)} "
        f"AND {d.name('write_disposition')} = 'merge' AND {newest_date} IS NULL"
    )
    refreshed = f"SELECT max({turn}) FROM {log} WHERE {audit.of_table(d, source, table)} AND {d.name('full_refresh')}"
    last = (
        f"SELECT max_by({newest_date}, {turn}) AS newest_date FROM {log} WHERE {audit.of_table(d, source, table)} "
        f"AND {newest_date} IS NOT NULL AND {load_id} IN ({empty}) "
        f"AND {turn} >= coalesce(({refreshed}), 0) GROUP BY {load_id}"
    )
    return f"SELECT max(newest_date) AS kept FROM ({last}) AS l"


def load_sizes(warehouse: Warehouse, source: str, table: str, before: datetime, count: int) -> list[int]:
    """Rows that the last `count` loads whose window began before a moment brought, newest first.

    A full refresh is left out: it loads all that there is, which says nothing of one window.
    """
    d = warehouse.dialect
    rows = _loads(
        warehouse,
        _SIZE,
        f"{_standing(d, source, table)} AND {d.name('window_start')} < {d.literal(before)} "
        f"AND NOT {d.name('full_refresh')} ORDER BY {d.name('window_start')} DESC LIMIT {count}",
    ).rows
    return [_size(row) for row in rows]


def load_size(warehouse: Warehouse, load_id: str) -> int:
    """Rows that one load brought, those of a history that it had already among them; 0 where it is not committed."""
    d = warehouse.dialect
    rows = _loads(warehouse, _SIZE, f"{d.name('load_id')} = {d.literal(load_id)}").rows
    return _size(rows[0]) if rows else 0


def _size(row: Sequence[Any]) -> int:
    # a load of an older version says nothing of unchanged rows
    return sum(int(count or 0) for count in row)


def status(warehouse: Warehouse) -> list[TableStatus]:
    """Every table that was ever loaded, by source and table."""
    if not audited(warehouse):
        return []
    d = warehouse.dialect
    loads = audit.relation("loads").sql(d)
    names = (
        "load_id",
        "source",
        "table_name",
        "loaded_at",
        "window_end",
        "rows_read",
        "rows_loaded",
        "rows_rejected",
        "rows_duplicate",
        "rows_unchanged",
        "cursor_value",
    )
    key = f"{d.name('source')}, {d.name('table_name')}"
    rows = warehouse.query(
        f"SELECT {d.names(names)}, max({d.name('business_date_max')}) OVER (PARTITION BY {key}), "
        f"sum({d.name('rows_rejected')}) OVER (PARTITION BY {key}), "
        f"row_number() OVER (PARTITION BY {key} ORDER BY {d.name('loaded_at')} DESC, {d.name('window_end')} DESC) "
        f"FROM {loads} WHERE {d.name('replaced_by')} IS NULL ORDER BY {key}"
    ).rows
    return [_status(warehouse, row) for row in rows if row[-1] == 1]


def _status(warehouse: Warehouse, row: tuple[Any, ...]) -> TableStatus:
    (
        load_id,
        source,
        table,
        loaded_at,
        window_end,
        read,
        loaded,
        rejected,
        duplicate,
        unchanged,
        cursor,
        business,
        all_rejected,
        _,
    ) = row
    target = Relation(source, table)
    total = 0
    if warehouse.columns(target) is not None:
        total = int(warehouse.query(f"SELECT count(*) FROM {target.sql(warehouse.dialect)}").rows[0][0])
    return TableStatus(
        source=source,
        table=table,
        last_load_id=load_id,
        last_loaded_at=loaded_at,
        last_window_end=window_end,
        rows_read=int(read),
        rows_loaded=int(loaded),
        rows_rejected=int(rejected),
        rows_duplicate=int(duplicate),
        rows_unchanged=int(unchanged or 0),
        rejected_rows=int(all_rejected),
        total_rows=total,
        cursor=cursor,
        last_business_date=business,
    )


def audited(warehouse: Warehouse) -> bool:
    """Whether the warehouse has audit tables: whether anything was ever loaded."""
    if warehouse.columns(audit.relation("loads")) is not None:
        return True
    if not audit_views.half_taken_over(warehouse):
        return False
    # a load that was killed in between has left the rows without their name
    warehouse.prepare()
    return True


def _standing(dialect: Dialect, source: str, table: str) -> str:
    """The condition for a table's loads whose rows no full refresh has replaced."""
    return f"{audit.of_table(dialect, source, table)} AND {dialect.name('replaced_by')} IS NULL"


def _loads(warehouse: Warehouse, columns: tuple[str, ...], where: str) -> Rows:
    d = warehouse.dialect
    return warehouse.query(f"SELECT {d.names(columns)} FROM {audit.relation('loads').sql(d)} WHERE {where}")


def _order(values: Sequence[str]) -> Callable[[str], Any]:
    """How cursors are compared: as numbers where all are, else as text (ISO instants sort as they count)."""
    from decimal import Decimal, InvalidOperation

    try:
        for value in values:
            Decimal(value)
    except InvalidOperation:
        return str
    return Decimal
