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
    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
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
        earlier = moment
        # a time that clocks skip is the one an hour later, and Airflow looks for what is before the one that is skipped
        while (found := self._get_prev(earlier)) >= moment:
            earlier = earlier.subtract(minutes=1)
        return found


class _Ending(CronDataIntervalTimetable):
    """Intervals of which none begins at an end or after it; without an end they never stop.

    Airflow's own `end_date` of a DAG would not do: a run that is triggered after it has tasks that never start.
    """

    _end: datetime | None = None

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run that the scheduler makes, or None where there are no more."""
        if self._latest is not None:
            restriction = restriction._replace(latest=min(self._latest, restriction.latest or self._latest))
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the interval of a run by hand: the last complete one, and no later than the last of all."""
        if self._latest is not None:
            run_after = min(run_after, self._get_next(self._latest))
        return super().infer_manual_data_interval(run_after=run_after)

    def _skip_to_latest(self, earliest: DateTime | None) -> DateTime:
        """Return where the first run begins without catchup: that of the last interval, when the end is over."""
        begin = super()._skip_to_latest(earliest)
        return begin if self._latest is None else min(begin, self._align_to_prev(self._latest))

    @property
    def _latest(self) -> DateTime | None:
        from pendulum import instance

        return None if self._end is None else instance(self._end - _MICROSECOND)


class CalendarTimetable(_Ending):
    """Intervals that end at each time of several crons, on business days alone where that is asked.

    Args:
        crons: The cron expressions.
        zone: Whose clocks they mean.
        business_days: Whether Saturdays, Sundays and holidays are left out.
        holidays: Days in ISO 8601.
        end: None of them begins then or later; in ISO 8601 when it was stored.
    """

    def __init__(
        self,
        crons: Sequence[str],
        zone: str,
        business_days: bool,
        holidays: Sequence[str] = (),
        end: datetime | str | None = None,
    ) -> None:
        super().__init__(crons[0], zone)
        self._end = _moment(end)
        self._crons = tuple(_Times(cron, zone) for cron in crons)
        self._holidays, self._business_days = frozenset(holidays), business_days
        self._stored: dict[str, Any] = {"crons": list(crons), "zone": zone}
        self._stored |= {"business_days": business_days, "holidays": list(holidays)}
        self._stored |= _stored_end(self._end)
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


class EveryTimetable(_Ending):
    """Intervals of one length, counted from an anchor: they begin where they always have, whenever they are asked.

    Args:
        every: The length.
        anchor: Where one of them begins.
        end: None of them begins then or later.
    """

    def __init__(self, every: timedelta, anchor: datetime, end: datetime | None = None) -> None:
        super().__init__("0 0 * * *", "UTC")
        self._end = _moment(end)
        self._every, self._anchor = every, anchor.astimezone(UTC)
        self.description = f"Every {format_duration(every)}"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable from what Airflow stored."""
        return cls(timedelta(seconds=data["seconds"]), datetime.fromisoformat(data["anchor"]), _moment(data.get("end")))

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        about = {"seconds": self._every.total_seconds(), "anchor": self._anchor.isoformat()}
        return about | _stored_end(self._end)

    @property
    def summary(self) -> str:
        """What Airflow shows."""
        return f"every {format_duration(self._every)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EveryTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self._every, self._anchor, self._end))

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


def _moment(end: datetime | str | None) -> datetime | None:
    moment = datetime.fromisoformat(end) if isinstance(end, str) else end
    return moment.astimezone(UTC) if moment else None


def _stored_end(end: datetime | None) -> dict[str, str]:
    """Return what is stored of an end: nothing where there is none, so that what was stored before stays the same."""
    return {"end": end.isoformat()} if end else {}
