"""What the audit tables say of one source: loads, rejects, changes of columns, results of checks, missed deadlines."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from elt_factory.core.window import Window
from elt_factory.ui.models import (
    ChangeRow,
    CheckHistory,
    LoadRow,
    Miss,
    ReasonRow,
    RejectedLoadRow,
    Rejects,
    Result,
    Span,
)
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.rejects import Reason, reasons, rejected_loads

MOST_LOADS = 400  # more than a year of days
_MOST_REASONS = 50
_MOST_RESULTS = 30  # of one check
_MOST_ROWS = 500
_VALUE = re.compile(r': ".*', re.DOTALL)
_COUNTS = ("read", "loaded", "rejected", "duplicate", "unchanged", "filtered", "withheld", "deleted")
_LOAD = ("load_id", "run_id", "window_start", "window_end", "started_at", "loaded_at", "bytes", "full_refresh")
_RESULT = ("kind", "table_name", "check_name", "severity", "status", "failing_rows", "message", "checked_at", "run_id")


def loads_of(warehouse: Warehouse, source: str, table: str, most: int = MOST_LOADS) -> list[LoadRow]:
    """Return the loads of a table, the newest window first."""
    if warehouse.columns(audit.relation("loads")) is None:
        return []
    return [_load(row) for row in warehouse.query(loads_sql(warehouse.dialect, source, table, most)).dicts()]


def loads_sql(d: Dialect, source: str, table: str, most: int) -> str:
    """SELECT of a table's loads, the newest window first."""
    counts = [f"coalesce({d.name(f'rows_{name}')}, 0) AS {name}_rows" for name in _COUNTS]
    own = [f"{d.name(name)} AS {name}_" for name in (*_LOAD, "business_date_max", "replaced_by")]
    return (
        f"SELECT {', '.join([*own, *counts])} FROM {audit.relation('loads').sql(d)} "
        f"WHERE {audit.of_table(d, source, table)} "
        f"ORDER BY {d.name('window_end')} DESC, {d.name('loaded_at')} DESC LIMIT {most}"
    )


def _load(row: Mapping[str, Any]) -> LoadRow:
    found = {name.lower(): value for name, value in row.items()}
    counts = {name: int(found[f"{name}_rows"]) for name in _COUNTS}
    return LoadRow(
        **{name: found[f"{name}_"] for name in _LOAD if name not in ("bytes", "full_refresh")},
        **counts,
        bytes=int(found["bytes_"] or 0),
        full_refresh=bool(found["full_refresh_"]),
        business_date=found["business_date_max_"],
        failed=bool(counts["rejected"]) and not any(counts[name] for name in ("loaded", "duplicate", "unchanged")),
        replaced=found["replaced_by_"] is not None,
    )


def gaps_between(windows: Iterable[Window], whole: Window | None = None) -> list[Span]:
    """Return what no window covers, between the first and the last one, or within a span that is to be covered."""
    ordered = sorted(windows, key=lambda window: window.start)
    if not ordered and whole is None:
        return []
    reached = whole.start if whole else ordered[0].start
    gaps = []
    for window in ordered:
        if window.start > reached:
            gaps.append(Span(start=reached, end=window.start))
        reached = max(reached, window.end)
    if whole and reached < whole.end:
        gaps.append(Span(start=reached, end=whole.end))
    return gaps


def covered(loads: Iterable[LoadRow]) -> list[Window]:
    """Return the windows whose rows a table has."""
    good = [load for load in loads if not load.failed and not load.replaced and load.window_start < load.window_end]
    return [Window(load.window_start, load.window_end) for load in good]


def rejects_of(warehouse: Warehouse, source: str, table: str | None) -> Rejects:
    """Return the rejects of a source, by reason and by load, those that are healed among them."""
    found = rejected_loads(warehouse, source, healed=True)
    return Rejects(
        reasons=_kinds_of_reasons(reasons(warehouse, source, table, _MOST_ROWS))[:_MOST_REASONS],
        loads=[
            RejectedLoadRow(
                table=load.table,
                load_id=load.load_id,
                window_start=load.window_start,
                window_end=load.window_end,
                rows=load.rows,
                reason=load.reason,
                rejected_at=load.rejected_at,
                state=load.state,
                by=load.by,
                why=load.why,
            )
            for load in found
            if table in (None, load.table)
        ][:_MOST_ROWS],
    )


def _kinds_of_reasons(found: Iterable[Reason]) -> list[ReasonRow]:
    """Return the reasons without the values that they name, the commonest first, each with a record."""
    kinds: dict[tuple[str, str], list[Reason]] = defaultdict(list)
    for one in found:
        kinds[one.table, _VALUE.sub("", one.reason)].append(one)
    rows = [
        ReasonRow(
            table=table,
            reason=reason if len(same) > 1 else same[0].reason,
            rows=sum(one.rows for one in same),
            record=next((record for one in same if (record := _plain(one.record))), ""),
        )
        for (table, reason), same in kinds.items()
    ]
    return sorted(rows, key=lambda row: -row.rows)


def _plain(record: str) -> str:
    """Return the record of a reject; of reasons with many rejects not each is in the copy of the audit tables."""
    return "" if record == "None" else record


def changes_of(warehouse: Warehouse, source: str) -> list[ChangeRow]:
    """Return the columns of a source's tables that changed, the newest change first."""
    d = warehouse.dialect
    if warehouse.columns(audit.relation("schema_changes")) is None:
        return []
    names = ("table_name", "column_name", "change", "old_type", "type", "changed_at", "load_id")
    rows = warehouse.query(
        f"SELECT {d.names(names)} FROM {audit.relation('schema_changes').sql(d)} "
        f"WHERE {d.name('source')} = {d.literal(source)} ORDER BY {d.name('changed_at')} DESC LIMIT {_MOST_ROWS}"
    ).rows
    keys = ("table", "column", "change", "old_type", "type", "changed_at", "load_id")
    return [ChangeRow(**dict(zip(keys, row, strict=True))) for row in rows]


def results_of(warehouse: Warehouse, source: str) -> list[CheckHistory]:
    """Return each check and each dbt model and test of a source with its newest results."""
    if warehouse.columns(audit.relation("quality_results")) is None:
        return []
    found: dict[tuple[str, str, str], list[Sequence[Any]]] = defaultdict(list)
    for row in warehouse.query(results_sql(warehouse.dialect, source)).rows:
        found[str(row[0]), str(row[1] or ""), str(row[2])].append(row)
    return [_history(key, rows) for key, rows in sorted(found.items())]


def results_sql(d: Dialect, source: str) -> str:
    """SELECT of the newest results of each check of a source, in the order of time."""
    keys = d.names(("kind", "table_name", "check_name"))
    place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {d.name('checked_at')} DESC)"
    inner = (
        f"SELECT {d.names(_RESULT)}, {place} AS place FROM {audit.relation('quality_results').sql(d)} "
        f"WHERE {d.name('source')} = {d.literal(source)}"
    )
    return (
        f"SELECT {d.names(_RESULT)} FROM ({inner}) AS q WHERE place <= {_MOST_RESULTS} ORDER BY {d.name('checked_at')}"
    )


def _history(key: tuple[str, str, str], rows: Sequence[Sequence[Any]]) -> CheckHistory:
    results = [
        Result(status=status, failing_rows=failing, message=message or "", checked_at=at, run_id=run)
        for _, _, _, _, status, failing, message, at, run in rows
    ]
    kind, table, name = key
    return CheckHistory(kind=kind, table=table, name=name, severity=rows[-1][3] or "", results=results)


def misses_of(warehouse: Warehouse, source: str) -> list[Miss]:
    """Return the deadlines that a source missed, the newest first."""
    d = warehouse.dialect
    if warehouse.columns(audit.relation("deadline_misses")) is None:
        return []
    names = ("run_id", "deadline", "noticed_at")
    rows: Sequence[tuple[str, datetime, datetime]] = warehouse.query(
        f"SELECT {d.names(names)} FROM {audit.relation('deadline_misses').sql(d)} "
        f"WHERE {d.name('source')} = {d.literal(source)} ORDER BY {d.name('deadline')} DESC LIMIT {_MOST_ROWS}"
    ).rows
    return [Miss(run_id=run, deadline=deadline, noticed_at=noticed) for run, deadline, noticed in rows]
