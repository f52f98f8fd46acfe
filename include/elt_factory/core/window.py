"""The half-open window [start, end) of a run, and the load id that follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# outside of these years a lag, an offset or a warehouse's own limits would be met in the middle of a run
FIRST_YEAR, LAST_YEAR = 1000, 2999


@dataclass(frozen=True)
class Window:
    """The time a run covers: `start` included, `end` not. Both are given with a zone and kept in UTC.

    Within one zone Python compares and adds what clocks show. An hour in spring is shown by none of them and an hour in
    autumn twice, so only UTC says which of two moments comes first.

    Raises:
        ValueError: an end without a zone, a window of no width, or a year before 1000 or after 2999.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window's start and end need a time zone")
        for name in ("start", "end"):
            object.__setattr__(self, name, _in_utc(getattr(self, name)))
        if self.start >= self.end:
            raise ValueError(f"the window {self} is empty: its end must come after its start")

    def __str__(self) -> str:
        return f"[{iso_utc(self.start)}, {iso_utc(self.end)})"

    def reach_back(self, lag: timedelta) -> Window:
        """Return the window that also reads what arrived late, up to `lag` before its start."""
        return Window(self.start - lag, self.end)


def iso_utc(value: datetime) -> str:
    """2013-01-31T05:00:00Z; fractions of a second only where there are some."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment_in(text: str, zone: str) -> datetime:
    """Return a date or a time in ISO 8601; without an offset it is what clocks in `zone` show.

    A time that clocks show twice, as when they go back in autumn, is the first of the two.

    Raises:
        ValueError: the text is not a date or a time, or clocks in `zone` skip that time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f'invalid date or time "{text}": {error}; write it like 2013-01-31 or 2013-01-31T06:00'
        ) from None
    if moment.tzinfo:
        return _in_utc(moment)
    found = _in_utc(moment.replace(tzinfo=ZoneInfo(zone)))
    if found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != moment:
        raise ValueError(
            f'the time "{text}" does not exist in {zone}: clocks skip it; write another time, or an offset'
        )
    return found


def _in_utc(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the year {moment.year} is out of range: {FIRST_YEAR} to {LAST_YEAR}")
    if moment.tzinfo is UTC and type(moment) is datetime:
        return moment
    found = moment.astimezone(UTC)
    if type(found) is datetime:
        return found
    # Airflow's moments are of a class of their own, which loses a zone that is not of its kind when time is added
    return datetime.combine(found.date(), found.time(), UTC)


def load_id(source: str, table: str, window: Window) -> str:
    """Return the id of the load of one window: the same for every try, sorted by time, unique over sources and tables.

    Shape: `20130101T050000Z-20130108T050000Z-1f3a9c20`.
    """
    start, end = (iso_utc(moment).replace("-", "").replace(":", "") for moment in (window.start, window.end))
    digest = hashlib.sha256(f"{source}\x00{table}\x00{start}\x00{end}".encode()).hexdigest()[:8]
    return f"{start}-{end}-{digest}"
