"""What the audit tables say: the state of a table, which windows are committed, how fresh it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from elt_factory.config.models.checks import CHECKS
from elt_factory.config.models.table import Table
from elt_factory.core.window import Window
from elt_factory.extract.request import CursorRange
from elt_factory.landing.manifest import Drift
from elt_factory.warehouse import audit, audit_views
from elt_factory.warehouse.base import Rows, Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.replay_ids import is_replay

_SIZE = ("rows_loaded", "rows_unchanged")
_OF_DBT = ("dbt_model", "dbt_test")
_STATUS = (
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


@dataclass(frozen=True)
class TableStatus:
    """The state of one table; instants know their zone, None where there was nothing to say."""

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
    failed: bool  # the last load had too many rejects, and loaded nothing


def beginning(warehouse: Warehouse, source: str, table: str, spec: Table, load_id: str, window: Window) -> CursorRange:
    """Return what a load begins with: where the cursor of those before it ended, or the token that they were given."""
    if spec.keeps_token:
        return CursorRange(token=_token(warehouse, source, table, load_id))
    return cursor_range(warehouse, source, table, load_id, window) if spec.incremental else CursorRange()


def _token(warehouse: Warehouse, source: str, table: str, load_id: str) -> str | None:
    """Return the token that an API gave last; for a window that was committed, the one that this had begun with."""
    if "delta_token" not in (_audit_columns(warehouse) or ()):
        return None
    d = warehouse.dialect
    own = f"{_standing(d, source, table)} AND {d.name('load_id')} = {d.literal(load_id)}"
    mine = _loads(warehouse, ("delta_token_after",), own).rows
    if mine:
        return _text(mine)
    last = f"{audit.of_table(d, source, table)} AND {audit.holds(d, 'l')} AND {d.name('delta_token')} IS NOT NULL"
    rows = warehouse.query(
        f"SELECT {d.name('delta_token')} FROM {audit.log('loads').sql(d)} AS l WHERE {last} "
        f"ORDER BY {d.name('turn')} DESC LIMIT 1"
    ).rows
    return _text(rows)


def _text(rows: Sequence[Sequence[Any]]) -> str | None:
    """Return the one value of an answer; None where there is none, or NULL."""
    return None if not rows or rows[0][0] is None else str(rows[0][0])


def cursor_range(
    warehouse: Warehouse,
    source: str,
    table: str,
    load_id: str,
    window: Window,  # noqa: ARG001 - a cursor that is not a time knows no windows; the loads' ids tell them apart
) -> CursorRange:
    """Return what a load reads of a source whose cursor is not a time.

    A window that was committed with rows reads the very same range again, so that a re-run takes nothing that belongs
    to another load. Any other begins after all that was ever loaded, by earlier windows or, where it was left out and
    is run late, by later ones. Where a range began is kept with its load: a lag, or a last value that is read again,
    brings rows from before it, so that the least value of a load does not say it.
    """
    known = _audit_columns(warehouse)
    if known is None:
        return CursorRange()
    d = warehouse.dialect
    mine = f"{_standing(d, source, table)} AND {d.name('cursor_value')} IS NOT NULL"
    this = f"{d.name('load_id')} = {d.literal(load_id)}"
    # only a load adds the columns that an older version did not have
    kept = tuple(name for name in ("cursor_min", "cursor_value", "cursor_after") if name in known)
    own = _loads(warehouse, kept, f"{mine} AND {this}").rows
    if not own:
        return CursorRange(_last_cursor(warehouse, mine), None)
    first, last, *began = own[0]
    # the first load of all, and one of an older version, do not say where their range began
    after = next(iter(began), None) or _last_cursor(warehouse, f"{mine} AND NOT {this}", below=first)
    return CursorRange(after, last)


def _last_cursor(warehouse: Warehouse, where: str, below: str | None = None) -> str | None:
    """Return the last cursor of loads, below a value where one is given: as numbers where all are, else as text.

    Texts, and bytes in hex digits, are text, also where all of it has digits alone.

    ISO instants sort as they count. The warehouse looks through the loads; what is exact about numbers, which a DOUBLE
    of the warehouse is not, is decided here among the few that are equal there.
    """
    d = warehouse.dialect
    value, number = d.name("cursor_value"), f"TRY_CAST({d.name('cursor_value')} AS DOUBLE)"
    if "cursor_type" in (_audit_columns(warehouse) or ()):
        number = f"CASE WHEN {d.name('cursor_type')} IN ('text', 'binary') THEN NULL ELSE {number} END"
    text = "" if below is None else f" AND {value} < {d.literal(below)}"
    loads = audit.relation("loads").sql(d)
    ((last, count, numbers),) = warehouse.query(
        f"SELECT max(CASE WHEN TRUE{text} THEN {value} END), count(*), count({number}) FROM {loads} WHERE {where}"
    ).rows
    limit = _number(below) if below is not None else None
    if count != numbers or (below is not None and limit is None):
        return str(last) if last is not None else None
    upto = "" if limit is None else f" AND {number} <= {d.literal(float(limit))}"
    top = f"SELECT max({number}) FROM {loads} WHERE {where}{upto}"
    found = [value for (value,) in _loads(warehouse, ("cursor_value",), f"{where} AND {number} >= ({top})").rows]
    exact = [value for value in found if limit is None or Decimal(value) < limit]
    if exact or limit is None or not found:
        return max(exact, key=Decimal, default=None)
    # all that are equal to the limit as a DOUBLE are no less than it
    return _last_cursor(warehouse, f"{where} AND {number} < {d.literal(float(limit))}")


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


@dataclass(frozen=True)
class Committed:
    """One committed load: the window it covers, the run that wrote it, and when its landing was begun."""

    start: datetime
    end: datetime
    run_id: str
    started_at: datetime


def committed_loads(warehouse: Warehouse, source: str, table: str, wanted: Window) -> list[Committed]:
    """Return a table's committed loads of some part of a window, in order of their windows."""
    if not audited(warehouse):
        return []
    d = warehouse.dialect
    overlap = (
        f"{d.name('window_end')} > {d.literal(wanted.start)} AND {d.name('window_start')} < {d.literal(wanted.end)}"
    )
    where = f"{_standing(d, source, table)} AND {overlap}"
    rows = _loads(warehouse, ("window_start", "window_end", "run_id", "started_at", "loaded_at"), where).rows
    found = (Committed(start, end, run_id, began or at) for start, end, run_id, began, at in rows)
    return sorted(found, key=lambda load: load.start)


def loaded_up_to(warehouse: Warehouse, source: str, table: str) -> datetime | None:
    """Return the end of the last window that a table has loaded; None where it has none."""
    return _of_loads(warehouse, source, table, f"max({warehouse.dialect.name('window_end')})")


def loaded_from(warehouse: Warehouse, source: str, table: str) -> datetime | None:
    """Return the start of the first window that a table has loaded; None where it has none."""
    return _of_loads(warehouse, source, table, f"min({warehouse.dialect.name('window_start')})")


def _of_loads(warehouse: Warehouse, source: str, table: str, moment: str) -> datetime | None:
    if not audited(warehouse):
        return None
    d = warehouse.dialect
    loads = audit.relation("loads").sql(d)
    found: datetime | None = warehouse.query(f"SELECT {moment} FROM {loads} WHERE {_standing(d, source, table)}").rows[
        0
    ][0]
    return found


def loaded_by(warehouse: Warehouse, source: str, table: str, run_id: str, moment: datetime) -> bool:
    """Whether a run had committed a load of a table by a moment, also one that another run has loaded again since."""
    if not audited(warehouse):
        return False
    d = warehouse.dialect
    mine = f"{d.name('run_id')} = {d.literal(run_id)} AND {d.name('loaded_at')} <= {d.literal(moment)}"
    good = f"{audit.of_table(d, source, table)} AND {audit.brought_good(d)} AND NOT {is_replay(d)}"
    return bool(warehouse.query(f"SELECT 1 FROM {audit.log('loads').sql(d)} WHERE {good} AND {mine} LIMIT 1").rows)


def covering(loads: Sequence[Committed], wanted: Window) -> list[Committed]:
    """Return the loads that together leave no gap in the wanted window; none of them where there is a gap."""
    reached, chosen = wanted.start, []
    for load in sorted(loads, key=lambda load: load.start):
        if load.start > reached or reached >= wanted.end:
            break
        if load.end > reached:
            reached = load.end
            chosen.append(load)
    return chosen if reached >= wanted.end else []


def run_verdict(warehouse: Warehouse, source: str, table: str, load: Committed) -> tuple[bool, list[str]]:
    """Whether the run of a load has finished the checks of a table for its rows, and which of them failed.

    A run that was cleared has results of before it read again, about rows that this load took the place of. A load that
    was cleared alone has brought the same rows again. Of what dbt did twice in a run, in one process for all models and
    then in a model's own task, the last time counts.
    """
    d = warehouse.dialect
    columns = d.names(("task_id", "kind", "table_name", "check_name", "status"))
    rows = warehouse.query(
        f"SELECT {columns} FROM {audit.relation('quality_results').sql(d)} "
        f"WHERE {d.name('source')} = {d.literal(source)} AND {d.name('run_id')} = {d.literal(load.run_id)} "
        f"AND {d.name('checked_at')} >= {d.literal(load.started_at)} ORDER BY {d.name('checked_at')}"
    ).rows
    # what was checked before the transform says nothing of what comes after it
    checked = any(
        kind == "check" and name == table and not task.startswith(f"{CHECKS}.") for task, kind, name, _, _ in rows
    )
    last = {(kind, name, check, kind in _OF_DBT or task): status for task, kind, name, check, status in rows}
    return checked, [f"{name}: {check}" for (_, name, check, _), status in last.items() if status == "failed"]


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


def load_sizes(
    warehouse: Warehouse, source: str, table: str, before: datetime, count: int
) -> list[tuple[datetime, int]]:
    """Where the windows of the last `count` loads before a moment began, and the rows they brought, newest first.

    A full refresh is left out: it loads all that there is, which says nothing of one window.
    """
    d = warehouse.dialect
    rows = _loads(
        warehouse,
        ("window_start", *_SIZE),
        f"{_standing(d, source, table)} AND {d.name('window_start')} < {d.literal(before)} "
        f"AND NOT {d.name('full_refresh')} ORDER BY {d.name('window_start')} DESC LIMIT {count}",
    ).rows
    return [(row[0], _size(row[1:])) for row in rows]


def window_size(warehouse: Warehouse, source: str, table: str, window: Window) -> int:
    """Rows that the loads of a window brought, those that a part of it or more than it was loaded for among them."""
    d = warehouse.dialect
    overlap = (
        f"{d.name('window_end')} > {d.literal(window.start)} AND {d.name('window_start')} < {d.literal(window.end)}"
    )
    return sum(map(_size, _loads(warehouse, _SIZE, f"{_standing(d, source, table)} AND {overlap}").rows))


def load_size(warehouse: Warehouse, load_id: str) -> int:
    """Rows that one load brought, those of a history that it had already among them; 0 where it is not committed."""
    d = warehouse.dialect
    rows = _loads(warehouse, _SIZE, f"{d.name('load_id')} = {d.literal(load_id)}").rows
    return _size(rows[0]) if rows else 0


def rejected_of(warehouse: Warehouse, load_id: str) -> tuple[int, int]:
    """Rows that one load rejected, and that it read; none of none where it is not committed."""
    d = warehouse.dialect
    rows = _loads(warehouse, ("rows_rejected", "rows_read"), f"{d.name('load_id')} = {d.literal(load_id)}").rows
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)


def schema_changes(warehouse: Warehouse, source: str, table: str, load_id: str) -> list[str]:
    """Return how the columns of a load differ from those of the load of the window before, and what it left out."""
    d = warehouse.dialect
    own = _loads(
        warehouse, ("window_start", "columns", "started_at"), f"{d.name('load_id')} = {d.literal(load_id)}"
    ).rows
    if not own:
        return []
    start, columns, began = own[0]
    where = f"{_standing(d, source, table)} AND {d.name('window_start')} < {d.literal(start)}"
    last = _loads(warehouse, ("columns",), f"{where} ORDER BY {d.name('window_start')} DESC LIMIT 1").rows
    return [*_left_out(warehouse, load_id, began), *(_differences(_types(last[0][0]), _types(columns)) if last else ())]


def _left_out(warehouse: Warehouse, load_id: str, began: datetime) -> list[str]:
    """Return the new columns that the contract kept out of the table; those that it let in are the load's own."""
    d = warehouse.dialect
    names = d.names(("column_name", "old_type", "type", "change"))
    since = f"{d.name('load_id')} = {d.literal(load_id)} AND {d.name('changed_at')} >= {d.literal(began)}"
    rows = warehouse.query(f"SELECT {names} FROM {audit.relation('schema_changes').sql(d)} WHERE {since}").rows
    kept_out = [row for row in rows if row[3] not in ("added", "widened", "retyped")]
    return sorted(str(Drift(column, kind, change, old)) for column, old, kind, change in kept_out)


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    # a load without rows has no columns of its own
    for name in sorted({*before, *now}) if now else ():
        if name not in before:
            yield f"column {name} ({now[name]}) is new"
        elif name not in now:
            yield f"column {name} is missing"
        elif before[name] != now[name]:
            yield f"column {name} is {now[name]}, before {before[name]}"


def _types(columns: str | None) -> dict[str, str]:
    return {str(column["name"]): str(column["type"]) for column in json.loads(columns or "[]")}


def _size(row: Sequence[Any]) -> int:
    # a load of an older version says nothing of unchanged rows
    return sum(int(count or 0) for count in row)


def status(
    warehouse: Warehouse, places: Mapping[tuple[str, str], Relation] = MappingProxyType({})
) -> list[TableStatus]:
    """Every table that was ever loaded, by source and table.

    Args:
        warehouse: The warehouse.
        places: Where tables are that other systems load.
    """
    known = _audit_columns(warehouse)
    if known is None:
        return []
    d = warehouse.dialect
    keys = ("source", "table_name")
    group, turn = d.names(keys), f"coalesce({d.name('turn')}, 0)"
    # what is counted of all loads is counted in the warehouse; the newest commit of a table always stays
    newest = (
        f"SELECT {group}, max({turn}) AS newest_turn FROM {audit.log('loads').sql(d)} AS c "
        f"WHERE {audit.holds(d, 'c')} AND NOT {is_replay(d)} GROUP BY {group}"
    )
    totals = (
        f"SELECT {group}, max({d.name('business_date_max')}) AS last_business_date, "
        f"sum({d.name('rows_rejected')}) AS all_rejected FROM {audit.relation('loads').sql(d)} "
        f"WHERE {d.name('replaced_by')} IS NULL AND NOT {is_replay(d)} GROUP BY {group}"
    )
    rank = f"row_number() OVER (PARTITION BY {_of('l', d, keys)} ORDER BY {_of('l', d, ('loaded_at',))} DESC, "
    rank += f"{_of('l', d, ('window_end',))} DESC)"
    # the token itself may be a secret
    token = f"l.{d.name('delta_token')} IS NOT NULL" if "delta_token" in known else d.literal(False)
    rows = warehouse.query(
        f"SELECT {_of('l', d, _STATUS)}, {token}, t.last_business_date, t.all_rejected, {rank} "
        f"FROM {audit.log('loads').sql(d)} AS l "
        f"JOIN ({newest}) AS n ON {_same(d, 'l', 'n', keys)} AND coalesce(l.{d.name('turn')}, 0) = n.newest_turn "
        f"JOIN ({totals}) AS t ON {_same(d, 'l', 't', keys)} ORDER BY {_of('l', d, keys)}"
    ).rows
    return [_status(warehouse, row, places) for row in rows if row[-1] == 1]


def _of(alias: str, dialect: Dialect, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{dialect.name(name)}" for name in names)


def _same(dialect: Dialect, one: str, other: str, names: Sequence[str]) -> str:
    return " AND ".join(f"{one}.{dialect.name(name)} = {other}.{dialect.name(name)}" for name in names)


def _status(warehouse: Warehouse, row: tuple[Any, ...], places: Mapping[tuple[str, str], Relation]) -> TableStatus:
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
        has_token,
        business,
        all_rejected,
        _,
    ) = row
    target = places.get((source, table)) or Relation(source, table)
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
        cursor="delta token" if has_token else cursor,
        last_business_date=business,
        failed=bool(rejected) and not (loaded or duplicate or unchanged),
    )


def audited(warehouse: Warehouse) -> bool:
    """Whether the warehouse has audit tables: whether anything was ever loaded."""
    return _audit_columns(warehouse) is not None


def _audit_columns(warehouse: Warehouse) -> Collection[str] | None:
    """Return the columns of `_elt.loads`; None where nothing was ever loaded."""
    found = warehouse.columns(audit.relation("loads"))
    if found is None and audit_views.half_taken_over(warehouse):
        # a load that was killed in between has left the rows without their name
        warehouse.prepare()
        found = warehouse.columns(audit.relation("loads"))
    return found


def _standing(dialect: Dialect, source: str, table: str) -> str:
    """Return the condition for a table's loads of windows whose rows no full refresh has replaced, and that held."""
    mine = f"{audit.of_table(dialect, source, table)} AND {dialect.name('replaced_by')} IS NULL"
    return f"{mine} AND {audit.brought_good(dialect)} AND NOT {is_replay(dialect)}"


def _loads(warehouse: Warehouse, columns: tuple[str, ...], where: str) -> Rows:
    d = warehouse.dialect
    return warehouse.query(f"SELECT {d.names(columns)} FROM {audit.relation('loads').sql(d)} WHERE {where}")
