"""Which window a table should have by now, and since when it is late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.describe.windows import deadline_of, first_moment, last_window
from elt_factory.diagnosis.facts import LoadFact
from elt_factory.diagnosis.habit import habit

_LEAST, _MOST = timedelta(minutes=30), timedelta(hours=6)
_BEFORE = 100  # windows before the last one that may not be due either


def expected_window(config: Config, now: datetime) -> Window | None:
    """Return the last window that a run has been due for; None without a schedule, or before its first day."""
    if config.timetable is None:
        return None
    try:
        window = last_window(config, now)
    except ValueError:
        return None
    return window if window.end > first_moment(config) else None


def expected_of(
    config: Config, loads: Sequence[LoadFact], now: datetime
) -> tuple[Window, datetime] | tuple[None, None]:
    """Return the window that a table should have by now, and when it is due.

    That is the last one. While that is not due yet, it is one before it that is due and is not loaded: else a table
    that is days behind would look current after each tick of its schedule.
    """
    last = expected_window(config, now)
    if last is None:
        return None, None
    loaded = max((load.window.end for load in loads), default=None)
    window: Window | None = last
    for _ in range(_BEFORE):
        if window is None or (loaded is not None and loaded >= window.end):
            break
        if (when := due(config, window, loads)) <= now:
            return window, when
        window = expected_window(config, window.end - timedelta(microseconds=1))
    return last, due(config, last, loads)


def due(config: Config, window: Window, loads: Sequence[LoadFact]) -> datetime:
    """Return when a window should have been loaded: by the deadline, else as the table has usually had it.

    A table that is too young for a habit has half of its interval, half an hour at least and six hours at most.
    """
    deadline = config.deadline
    if deadline is not None and deadline.within_usual is None:
        by = deadline_of(config, window)
        return by if by is not None else window.end + (deadline.within or timedelta())
    width = window.end - window.start
    # what was loaded much later was loaded by hand, or after an incident
    lags = [
        load.loaded_at - load.window.end for load in loads if timedelta() <= load.loaded_at - load.window.end < width
    ]
    usual = habit([lag.total_seconds() for lag in lags])
    grace = min(max(width / 2, _LEAST), _MOST)
    if usual is None:
        return window.end + grace
    return window.end + timedelta(seconds=usual.middle + 4 * usual.spread) + max(_LEAST, min(grace, width / 4))
