"""Timetables that Airflow does not have: several crons, business days, and intervals from an anchor.

The scheduler makes them again of what is stored, so the plugin registers them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from airflow.timetables.interval import CronDataIntervalTimetable

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.schedule import BUSINESS_DAYS

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable
    from pendulum import DateTime

_LONGEST_SEARCH = 10_000
_MICROSECOND = timedelta(microseconds=1)


class _Times(CronDataIntervalTimetable):
    """The times of one cron."""

    def next_after(self, moment: DateTime) -> DateTime:
        """Return the first time after a moment."""
        return self._get_next(moment)

    def last_before(self, moment: DateTime) -> DateTime:
        """Return the last time before a moment."""
        return self._get_prev(moment)


class CalendarTimetable(CronDataIntervalTimetable):
    """Intervals that end at each time of several crons, on business days alone where that is asked.

    Args:
        crons: The cron expressions.
        zone: Whose clocks they mean.
        business_days: Whether Saturdays, Sundays and holidays are left out.
        holidays: Days in ISO 8601.
    """

    def __init__(self, crons: Sequence[str], zone: str, business_days: bool, holidays: Sequence[str] = ()) -> None:
        super().__init__(crons[0], zone)
        self._crons = tuple(_Times(cron, zone) for cron in crons)
        self._holidays, self._business_days = frozenset(holidays), business_days
        self._stored: dict[str, Any] = {"crons": list(crons), "zone": zone}
        self._stored |= {"business_days": business_days, "holidays": list(holidays)}
        days = " on business days" if business_days else ""
        self.description = "; ".join(cron.description for cron in self._crons) + days

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable from what Airflow stored."""
        return cls(**data)

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        return self._stored

    @property
    def summary(self) -> str:
        """What Airflow shows."""
        return ", ".join(self._stored["crons"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalendarTimetable) and self._stored == other._stored

    def __hash__(self) -> int:
        return hash(str(self._stored))

    def _get_next(self, current: DateTime) -> DateTime:
        for _ in range(_LONGEST_SEARCH):
            current = min(cron.next_after(current) for cron in self._crons)
            if self._counts(current):
                return current
        raise ValueError(f"no time of {self.summary} is on a business day")

    def _get_prev(self, current: DateTime) -> DateTime:
        for _ in range(_LONGEST_SEARCH):
            current = max(cron.last_before(current) for cron in self._crons)
            if self._counts(current):
                return current
        raise ValueError(f"no time of {self.summary} is on a business day")

    def _counts(self, moment: DateTime) -> bool:
        day = moment.in_timezone(self._timezone).date()
        return not self._business_days or (day.weekday() in BUSINESS_DAYS and day.isoformat() not in self._holidays)


class EveryTimetable(CronDataIntervalTimetable):
    """Intervals of one length, counted from an anchor: they begin where they always have, whenever they are asked.

    Args:
        every: The length.
        anchor: Where one of them begins.
    """

    def __init__(self, every: timedelta, anchor: datetime) -> None:
        super().__init__("0 0 * * *", "UTC")
        self._every, self._anchor = every, anchor.astimezone(UTC)
        self.description = f"Every {format_duration(every)}"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable from what Airflow stored."""
        return cls(timedelta(seconds=data["seconds"]), datetime.fromisoformat(data["anchor"]))

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        return {"seconds": self._every.total_seconds(), "anchor": self._anchor.isoformat()}

    @property
    def summary(self) -> str:
        """What Airflow shows."""
        return f"every {format_duration(self._every)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EveryTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self._every, self._anchor))

    def _get_next(self, current: DateTime) -> DateTime:
        return self._boundary(math.floor(self._intervals_until(current)) + 1)

    def _get_prev(self, current: DateTime) -> DateTime:
        return self._boundary(math.ceil(self._intervals_until(current)) - 1)

    def _intervals_until(self, moment: DateTime) -> Fraction:
        since = datetime.fromtimestamp(moment.timestamp(), UTC) - self._anchor
        return Fraction(since // _MICROSECOND, self._every // _MICROSECOND)

    def _boundary(self, number: int) -> DateTime:
        from pendulum import instance

        return instance(self._anchor + number * self._every)
