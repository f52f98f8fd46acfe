"""Which window a run has, and when it must be done: for a moment that is asked about, not for a run that is there."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from elt_factory.config.models.source import Config
from elt_factory.core.window import Window, moment_in


def last_window(config: Config, moment: datetime) -> Window:
    """Return the window of the last run that has begun by a moment.

    All there is until then for a config without a schedule.

    Raises:
        ValueError: no run has begun by then.
    """
    from elt_factory.dag.timetables import end_of, last_interval

    if config.timetable is None:
        return Window(first_moment(config), min(moment, end_of(config) or moment))
    return Window(*last_interval(config, moment))


def moment_of(text: str, config: Config) -> datetime:
    """Return the moment that `--date` names: for a day its end, so that it means the last run that begins on that day.

    Raises:
        ValueError: the text is neither a date nor a time.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return in_zone(text, config)
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(config.timezone)) - timedelta(microseconds=1)


def in_zone(text: str, config: Config) -> datetime:
    """Return a date or time; without an offset in the config's zone."""
    return moment_in(text, config.timezone)


def first_moment(config: Config) -> datetime:
    """Return the beginning of the config's first day."""
    return datetime.combine(config.start_date, time(), ZoneInfo(config.timezone))


def chosen_window(config: Config, start: str | None, end: str | None, moment: datetime) -> Window:
    """Return the window that is asked for; without both ends the last one.

    Raises:
        ValueError: only one end is given, one is not a time, or the window is empty.
    """
    if start and end:
        return Window(in_zone(start, config), in_zone(end, config))
    if start or end:
        raise ValueError("use both --start and --end, or neither")
    return last_window(config, moment)


def deadline_of(config: Config, window: Window) -> datetime | None:
    """Return the instant by which the run of a window must be done; None without a deadline by the clock."""
    from elt_factory.dag.deadline_references import next_time_of_day

    deadline = config.deadline
    if deadline is None or deadline.by is None:
        return None
    return next_time_of_day(window.end, deadline.by, deadline.timezone or config.timezone).astimezone(UTC)


def moment_text(moment: datetime, zone: str) -> str:
    """Return an instant on a zone's clock, for people."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
