"""What earlier loads of a table measured, kept in `_elt.metrics`, for later ones to be compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from elt_factory.core.sql_text import Value
from elt_factory.core.window import Window
from elt_factory.warehouse import audit

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse
    from elt_factory.warehouse.dialect import Dialect

Compared = Literal["trailing_7_runs", "trailing_30_runs", "same_weekday"]
RUNS: Mapping[Compared, int] = {"trailing_7_runs": 7, "trailing_30_runs": 30, "same_weekday": 4}
_LONGEST = timedelta(days=70)


@dataclass(frozen=True)
class Figure:
    """Something that a check measured of a load. `column` is "" where it is about the whole load."""

    column: str
    metric: str
    value: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class Measured:
    """A figure of an earlier load."""

    window_start: datetime
    figure: Figure


@dataclass(frozen=True)
class History:
    """The figures of earlier loads, newest first, and what decides which of them count: the window, its time zone."""

    start: datetime
    zone: str
    measured: Sequence[Measured] = ()

    def of(self, figure: Figure, compared: Compared) -> list[Figure]:
        """Return the same figure of the loads to compare with, newest first."""
        same = (figure.column, figure.metric, figure.where)
        found = [m for m in self.measured if (m.figure.column, m.figure.metric, m.figure.where) == same]
        chosen = chosen_by(compared, self.start, self.zone, [m.window_start for m in found])
        return [found[place].figure for place in chosen]


def chosen_by(compared: Compared, start: datetime, zone: str, windows: Sequence[datetime]) -> list[int]:
    """Return which of the windows, newest first, a window is compared with."""
    day = _weekday(start, zone)
    places = range(len(windows))
    if compared == "same_weekday":
        return [place for place in places if _weekday(windows[place], zone) == day][: RUNS[compared]]
    return list(places)[: RUNS[compared]]


def _weekday(moment: datetime, zone: str) -> int:
    return moment.astimezone(ZoneInfo(zone)).weekday()


def no_history() -> History:
    """Return what is known where nothing was measured."""
    return History(datetime(1970, 1, 1, tzinfo=UTC), "UTC")


def history(warehouse: Warehouse, source: str, table: str, window: Window, zone: str) -> History:
    """Return what loads of earlier windows measured; of a full refresh, which loads all there is, nothing."""
    if warehouse.columns(audit.relation("metrics")) is None:
        return History(window.start, zone)
    reach = max(_LONGEST, (window.end - window.start) * (RUNS["trailing_30_runs"] + 1))
    rows = warehouse.query(_earlier(warehouse.dialect, source, table, window.start - reach, window.start)).rows
    return History(window.start, zone, [_measured(row) for row in rows])


def _earlier(d: Dialect, source: str, table: str, since: datetime, before: datetime) -> str:
    """SELECT of the figures of a table's loads whose windows began in a time, newest first."""
    start = d.name("window_start")
    kept = (
        f"SELECT {d.name('load_id')} FROM {audit.relation('loads').sql(d)} WHERE {audit.of_table(d, source, table)} "
        f"AND {d.name('replaced_by')} IS NULL AND NOT {d.name('full_refresh')} AND {audit.brought_good(d)}"
    )
    return (
        f"SELECT {d.names(('window_start', 'column_name', 'metric', 'rows_where', 'value', 'shares'))} "
        f"FROM {audit.relation('metrics').sql(d)} WHERE {audit.of_table(d, source, table)} "
        f"AND {start} >= {d.literal(since)} AND {start} < {d.literal(before)} AND {d.name('load_id')} IN ({kept}) "
        f"ORDER BY {start} DESC"
    )


def _measured(row: Sequence[Any]) -> Measured:
    start, column, metric, where, value, shares = row
    known = {str(name): float(share) for name, share in json.loads(shares or "{}").items()}
    return Measured(start, Figure(column or "", metric, None if value is None else float(value), known, where or ""))


def rows_of(
    figures: Sequence[Figure], source: str, table: str, load_id: str, run_id: str, window: Window, now: datetime
) -> list[dict[str, Value]]:
    """Return the rows of `_elt.metrics` for what was measured, each figure once."""
    return [
        {
            "source": source,
            "table_name": table,
            "load_id": load_id,
            "run_id": run_id,
            "window_start": window.start,
            "column_name": figure.column,
            "metric": figure.metric,
            "rows_where": figure.where,
            "value": figure.value,
            "shares": json.dumps(figure.shares) if figure.shares else None,
            "measured_at": now,
        }
        for figure in {(f.column, f.metric, f.where): f for f in figures}.values()
    ]
