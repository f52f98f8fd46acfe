"""The last loads of all tables in one query, and what follows from them: size, usual band, share of rejects."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elt_factory.warehouse import audit, state
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect

SHOWN = 30  # loads of a table
_ENOUGH = 5  # loads that say what is usual
_COLUMNS = (
    "source",
    "table_name",
    "load_id",
    "run_id",
    "window_start",
    "window_end",
    "loaded_at",
    "rows_read",
    "rows_loaded",
    "rows_unchanged",
    "rows_duplicate",
    "rows_rejected",
    "cursor_value",
    "delta_token",
    "business_date_max",
    "full_refresh",
)


@dataclass(frozen=True)
class Load:
    """One load of a table, as the newest commit of its window has it."""

    load_id: str
    run_id: str
    window_start: datetime
    window_end: datetime
    loaded_at: datetime
    rows_read: int
    rows: int
    rows_rejected: int
    cursor: str | None
    business_date: str | None
    full_refresh: bool
    failed: bool


Key = tuple[str, str]


def last_loads(warehouse: Warehouse, sources: Collection[str] | None = None) -> Mapping[Key, Sequence[Load]]:
    """Return the last loads of every table, the newest window last: one query, however many tables there are.

    Args:
        warehouse: Where the audit tables are.
        sources: The sources of which they are read; None for all.
    """
    if not state.audited(warehouse):
        return {}
    found: dict[Key, list[Load]] = defaultdict(list)
    for row in warehouse.query(last_loads_sql(warehouse.dialect, sources)).rows:
        entry = dict(zip(_COLUMNS, row, strict=True))
        found[entry["source"], entry["table_name"]].append(_load(entry))
    return found


def last_loads_sql(d: Dialect, sources: Collection[str] | None = None) -> str:
    """SELECT of the loads of the newest windows of every table, in the order of their windows."""
    keys = d.names(("source", "table_name"))
    order = f"{d.name('window_end')} DESC, {d.name('loaded_at')} DESC"
    inner = (
        f"SELECT {d.names(_COLUMNS)}, row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS place "
        f"FROM {audit.relation('loads').sql(d)} WHERE {d.name('replaced_by')} IS NULL{of_sources(d, sources)}"
    )
    return f"SELECT {d.names(_COLUMNS)} FROM ({inner}) AS l WHERE place <= {SHOWN} ORDER BY {keys}, place DESC"


def of_sources(d: Dialect, sources: Collection[str] | None) -> str:
    """Return the condition for rows of some sources; nothing where there is no choice."""
    if sources is None:
        return ""
    return f" AND {d.name('source')} IN ({', '.join(map(d.literal, sorted(sources) or ['']))})"


def _load(entry: Mapping[str, Any]) -> Load:
    good = sum(int(entry[f"rows_{name}"] or 0) for name in ("loaded", "unchanged", "duplicate"))
    rejected = int(entry["rows_rejected"] or 0)
    return Load(
        load_id=entry["load_id"],
        run_id=entry["run_id"],
        window_start=entry["window_start"],
        window_end=entry["window_end"],
        loaded_at=entry["loaded_at"],
        rows_read=int(entry["rows_read"] or 0),
        rows=int(entry["rows_loaded"] or 0) + int(entry["rows_unchanged"] or 0),
        rows_rejected=rejected,
        # the token itself may be a secret
        cursor="delta token" if entry["delta_token"] is not None else entry["cursor_value"],
        business_date=entry["business_date_max"],
        full_refresh=bool(entry["full_refresh"]),
        failed=bool(rejected) and not good,
    )


def usual_band(loads: Sequence[tuple[int, bool, bool]]) -> tuple[float, float] | None:
    """Return between which sizes nine of ten loads are; None where there are too few to say.

    The newest load, which is judged by it, has no say in it, nor has a full refresh, which loads all that there is.

    Args:
        loads: Rows of each, the newest last, whether it failed and whether it was a full refresh.
    """
    sizes = sorted(rows for rows, failed, refreshed in loads[:-1] if not failed and not refreshed)
    if len(sizes) < _ENOUGH:
        return None
    return _quantile(sizes, 0.05), _quantile(sizes, 0.95)


def _quantile(ordered: Sequence[int], share: float) -> float:
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))
