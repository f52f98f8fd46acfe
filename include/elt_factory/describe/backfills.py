"""What a backfill loads: the windows of a range, which tables have windows, and what history says it takes."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal
from zoneinfo import ZoneInfo

from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Table
from elt_factory.core.window import Window, iso_utc
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.past_loads import PastLoad, PastRun, past_loads, past_runs

MOST_WINDOWS = 10_000
_LATEST = 200  # runs, of which rows and time are estimated

Way = Literal["windows", "once", "never"]


@dataclass(frozen=True)
class Step:
    """One run of a backfill: its window and the tables that it loads; none for a transform across sources."""

    window: Window
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """What a run will bring and take, from the runs before it; None where nothing is known."""

    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class KnownStep:
    """A step, whether it is loaded already, and what it will bring and take."""

    step: Step
    loaded: bool
    estimate: Estimate


@dataclass(frozen=True)
class Preview:
    """The steps of a backfill with what is known of them, from the loads that hold and their runs."""

    steps: Sequence[KnownStep]
    loads: Sequence[PastLoad]
    runs: Mapping[str, PastRun]


@dataclass(frozen=True)
class Tables:
    """How each table of a backfill is loaded: in windows, once for the whole range, or, with the reason, not at all."""

    windows: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    never: Mapping[str, str] = field(default_factory=dict)


def tables_of(config: Config, chosen: Collection[str] = ()) -> Tables:
    """Return how the tables of a config are loaded; the tables that a chosen one is read with are loaded with it."""
    names = [name for name in config.all_tables if not chosen or name in chosen]
    found = {name: _way(config, name) for name in names}
    windows = _with_parents(config, [name for name, (way, _) in found.items() if way == "windows"])
    once = _with_parents(config, [name for name, (way, _) in found.items() if way == "once"])
    never = {name: why for name, (way, why) in found.items() if way == "never" and name not in (*windows, *once)}
    return Tables(windows, tuple(name for name in once if name not in windows), never)


def _with_parents(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    wanted = {each for name in names for each in config.with_parents(name)}
    return tuple(name for name in config.all_tables if name in wanted)


def _way(config: Config, name: str) -> tuple[Way, str]:
    spec = config.all_tables[name]
    roots = [config.all_tables[each] for each in config.with_parents(name) if not config.all_tables[each].parents]
    if any(map(_by_window, roots)):
        if spec.write_disposition == "replace":
            return "never", "replace: an old window would take the place of all rows; load the newest one with elt run"
        return "windows", ""
    if spec.write_disposition == "scd2" and spec.incremental is None:
        return "never", "scd2 by snapshots: what the source had then cannot be read now"
    if spec.write_disposition == "append" and not (spec.takes_what_is_new or spec.incremental or spec.keeps_token):
        return "never", "append of a source that is read whole: its rows would be added again"
    return "once", ""


def _by_window(spec: Table) -> bool:
    """Whether the source is asked for the rows of a window, and not for all or for what is new since the last load."""
    if spec.keeps_token or spec.counts_by_number:
        return False
    cursor = spec.incremental.cursor if spec.incremental else ""
    of_a_number = cursor in spec.types and spec.types[cursor].name in ("integer", "decimal", "float")
    return spec.takes_window or (spec.asks_by_cursor and spec.incremental is not None and not of_a_number)


def steps_of(
    config: Config,
    tables: Tables,
    within: Window,
    chunk: timedelta | None,
    now: datetime,
    most: int | None = None,
) -> list[Step]:
    """Return the runs of a backfill: tables that have no windows once, then window after window, the oldest first.

    Windows that have not ended are left out. `chunk` joins windows that follow each other up to that length, by the
    clock of the config's zone.

    Raises:
        ValueError: the chunk is shorter than a window, no window begins in the range, or there are too many.
    """
    windows = [window for window in _windows(config, within, chunk, most or MOST_WINDOWS) if window.end <= now]
    steps = [Step(_hull(within, windows), tables.once)] if tables.once else []
    if tables.windows or not config.all_tables:
        if not windows:
            ends = f"; its end_date is {config.end_date}" if config.end_date else ""
            raise ValueError(f"no window of {config.name} that has ended begins in {within}{ends}")
        steps += [Step(window, tables.windows) for window in windows]
    return steps


def _hull(within: Window, windows: Sequence[Window]) -> Window:
    """Return the range with all of its windows, so that others who wait for one of them find it loaded."""
    return Window(within.start, max(windows[-1].end, within.end)) if windows else within


def _windows(config: Config, within: Window, chunk: timedelta | None, most: int) -> list[Window]:
    zone = ZoneInfo(config.timezone)
    if config.timetable is None:
        return list(_limited(_cut(within, chunk, zone), most) if chunk else [within])
    from elt_factory.dag.timetables import intervals

    found = list(_limited(intervals(config, within), most))
    return list(_joined(found, chunk, zone)) if chunk else found


def _limited(windows: Iterable[Window], most: int) -> Iterator[Window]:
    for number, window in enumerate(windows):
        if number >= most:
            raise ValueError(f"the range has more than {most:,} windows; use a shorter one or --chunk")
        yield window


def _cut(within: Window, chunk: timedelta, zone: ZoneInfo) -> Iterator[Window]:
    """Yield windows of one length on a zone's clock: days are those of people, also where one has 23 hours."""
    began, start = within.start.astimezone(zone).replace(tzinfo=None), within.start
    number = 0
    while start < within.end:
        number += 1
        end = min((began + number * chunk).replace(tzinfo=zone).astimezone(UTC), within.end)
        if end > start:
            yield Window(start, end)
        start = max(start, end)


def _joined(windows: Sequence[Window], chunk: timedelta, zone: ZoneInfo) -> Iterator[Window]:
    start = end = None
    for window in windows:
        if _length(window, zone) > chunk:
            raise ValueError(f"--chunk is shorter than the window {window}")
        if start is not None and end is not None and _length(Window(start, window.end), zone) > chunk:
            yield Window(start, end)
            start = None
        start, end = start or window.start, window.end
    if start is not None and end is not None:
        yield Window(start, end)


def _length(window: Window, zone: ZoneInfo) -> timedelta:
    start, end = (moment.astimezone(zone).replace(tzinfo=None) for moment in (window.start, window.end))
    return end - start


def known_of(warehouse: Warehouse, config: Config) -> tuple[Sequence[PastLoad], Mapping[str, PastRun]]:
    """Return the loads of a config that hold, and what is known of their runs."""
    loads = past_loads(warehouse, config.name)
    return loads, past_runs(warehouse, config.name, loads)


def preview_of(
    config: Config, steps: Sequence[Step], loads: Sequence[PastLoad], runs: Mapping[str, PastRun]
) -> Preview:
    """Return what is known of the steps of a backfill.

    Raises:
        ValueError: a step would append rows that are there already.
    """
    appended = AppendedWindows(config, loads)
    for step in steps:
        for reason in appended.doubled(step):
            raise ValueError(f"{reason}; use the windows that are loaded, or run it with full refresh")
    history, loaded = History(loads, runs), LoadedWindows(loads, runs)
    return Preview([KnownStep(step, loaded.cover(step), history.of(step, config)) for step in steps], loads, runs)


def conf_of(config: Config, step: Step) -> dict[str, Any]:
    """Return what the trigger form says of a step."""
    window = {"window_start": iso_utc(step.window.start), "window_end": iso_utc(step.window.end)}
    return {**window, "tables": list(step.tables)} if set(step.tables) != set(config.all_tables) else window


class LoadedWindows:
    """What loads that hold have covered of each table, where the checks after them passed.

    Args:
        loads: The loads of the config that hold.
        runs: What is known of their runs.
        since: Only loads that were committed since then count.
    """

    def __init__(self, loads: Iterable[PastLoad], runs: Mapping[str, PastRun], since: datetime | None = None) -> None:
        windows: dict[str, list[Window]] = defaultdict(list)
        for load in loads:
            recent = since is None or load.loaded_at >= since
            if recent and load.run_id in runs and runs[load.run_id].passed(load.table):
                windows[load.table].append(load.window)
        self._covered = {table: _without_overlaps(found) for table, found in windows.items()}

    def cover(self, step: Step) -> bool:
        """Whether there is no gap in a step's window, for all of its tables."""
        return bool(step.tables) and all(self._covers(table, step.window) for table in step.tables)

    def _covers(self, table: str, window: Window) -> bool:
        starts, ends = self._covered.get(table, ((), ()))
        place = bisect_right(starts, window.start) - 1
        return place >= 0 and ends[place] >= window.end


def _without_overlaps(windows: Iterable[Window]) -> tuple[Sequence[datetime], Sequence[datetime]]:
    """Return the beginnings and the ends of what windows cover together, without a gap in each."""
    starts, ends = list[datetime](), list[datetime]()
    for one in sorted(windows, key=lambda one: one.start):
        if ends and one.start <= ends[-1]:
            ends[-1] = max(ends[-1], one.end)
        else:
            starts.append(one.start)
            ends.append(one.end)
    return starts, ends


class AppendedWindows:
    """The windows whose rows another load would append again: nothing tells them apart.

    Args:
        config: The config, some of whose tables are appended to.
        loads: Its loads that hold.
    """

    def __init__(self, config: Config, loads: Iterable[PastLoad]) -> None:
        appended = {name for name, spec in config.all_tables.items() if _appends_again(spec)}
        windows: dict[str, list[Window]] = defaultdict(list)
        for load in loads:
            if load.table in appended and load.rows_loaded and not load.full_refresh:
                windows[load.table].append(load.window)
        self._windows = {table: sorted(found, key=lambda one: one.start) for table, found in windows.items()}
        self._starts = {table: [one.start for one in found] for table, found in self._windows.items()}
        # the latest end of each window and all before it: where that lies before a step, no earlier one overlaps it
        self._ends = {
            table: list(accumulate((one.end for one in found), max)) for table, found in self._windows.items()
        }

    def doubled(self, step: Step) -> Iterator[str]:
        """Yield why a step would append rows that a load of another window has."""
        mine = step.window
        for table in step.tables:
            other = self._other(table, mine) if table in self._windows else None
            if other:
                yield f"{table} has rows of {other} already, and {mine} would append them again"

    def _other(self, table: str, mine: Window) -> Window | None:
        place = bisect_left(self._starts[table], mine.end) - 1
        while place >= 0 and self._ends[table][place] > mine.start:
            found = self._windows[table][place]
            if found != mine and found.end > mine.start:
                return found
            place -= 1
        return None


def _appends_again(spec: Table) -> bool:
    told_apart = spec.takes_what_is_new or (spec.primary_key and spec.incremental)
    return spec.write_disposition == "append" and not told_apart


class History:
    """What the runs of a config brought and took: rows per hour of a window, and seconds by rows."""

    def __init__(self, loads: Sequence[PastLoad], runs: Mapping[str, PastRun]) -> None:
        self._rate: dict[str, float] = {}
        self._last = {load.table: load.rows_read for load in loads}
        for table in {load.table for load in loads}:
            mine = [load for load in loads if load.table == table and not load.full_refresh][-_LATEST:]
            if mine:
                self._rate[table] = statistics.median(load.rows_read / load.seconds_of_window for load in mine)
        self._whole: dict[tuple[str, ...], bool] = {}
        self._fixed, self._each = _line([run for run in runs.values() if run.seconds > 0][-_LATEST:])

    def of(self, step: Step, config: Config) -> Estimate:
        """Return what a step will bring and take. A table that is read whole has as many rows as it had last."""
        seconds = (step.window.end - step.window.start).total_seconds()
        whole = self._whole.get(step.tables)
        if whole is None:  # many steps have the same tables
            whole = self._whole[step.tables] = not any(_way(config, table)[0] == "windows" for table in step.tables)
        known = [
            self._last[table] if whole else self._rate[table] * seconds for table in step.tables if table in self._rate
        ]
        rows = round(sum(known)) if known else None
        return Estimate(rows, self._fixed + self._each * (rows or 0) if self._fixed or self._each else None)


def _line(runs: Sequence[PastRun]) -> tuple[float, float]:
    """Return the seconds that a run takes whatever it loads, and those of one row."""
    seconds, rows = [run.seconds for run in runs], [run.rows_read for run in runs]
    if not runs:
        return 0.0, 0.0
    if len(set(rows)) == 1:
        return statistics.median(seconds), 0.0
    slope, intercept = statistics.linear_regression(rows, seconds)
    if slope < 0 or intercept < 0:
        return statistics.median(seconds), 0.0
    return intercept, slope
