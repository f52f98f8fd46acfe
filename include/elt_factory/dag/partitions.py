"""How the loads of a source with windows of its own complete the windows of a schedule by assets.

The scheduler asks it of what is stored, so the plugin registers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, ClassVar, cast

from airflow.partition_mappers.base import PartitionMapper
from airflow.partition_mappers.wait_policy import PartitionSatisfaction, WaitPolicy
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import instance

from elt_factory.core.window import Window
from elt_factory.dag.asset_events import key_of_window, window_of_key
from elt_factory.dag.core_timetables import CalendarTimetable, EveryTimetable

Clock = CronDataIntervalTimetable
_CLOCKS: Mapping[str, type[Clock]] = {
    "cron": CronDataIntervalTimetable,
    "calendar": CalendarTimetable,
    "every": EveryTimetable,
}
_MOST = 1_000  # Airflow's own limit of runs that one event may be for


class CoveredWindow(WaitPolicy):
    """A run starts once loads cover its window without a gap, whatever windows they had."""

    def is_satisfied_by_keys(self, *, matched: AbstractSet[str], expected: AbstractSet[str]) -> PartitionSatisfaction:
        """Tell whether the windows that were loaded cover those that are expected."""
        wanted = [window for key in expected if (window := window_of_key(key))]
        loaded = sorted((window for key in matched if (window := window_of_key(key))), key=lambda one: one.start)
        covered = bool(wanted) and _cover(loaded, min(one.start for one in wanted), max(one.end for one in wanted))
        return PartitionSatisfaction(satisfied=covered, unreachable=False, unreachable_reason=None)

    def is_unreachable(self, expected: int) -> bool:  # noqa: ARG002
        """Return False: what is missing may always come."""
        return False


def _cover(loaded: list[Window], start: datetime, end: datetime) -> bool:
    reached = start
    for window in loaded:
        if window.start > reached:
            break
        reached = max(reached, window.end)
    return reached >= end


class WindowsMapper(PartitionMapper):
    """From the windows of a source to those of a schedule by assets, which are another source's.

    Args:
        wanted: When the windows of the schedule end, as Airflow's timetable.
        own: When those of the source end.
    """

    is_rollup: ClassVar[bool] = True
    wait_policy = CoveredWindow()

    def __init__(self, wanted: Clock, own: Clock) -> None:
        super().__init__()
        self.wanted, self.own = wanted, own

    def to_downstream(self, key: str) -> list[str]:
        """Return the windows of the schedule that a loaded one is a part of."""
        return list(_around(self.wanted, key))

    def to_upstream(self, key: str) -> frozenset[str]:
        """Return the windows of the source that a window of the schedule needs."""
        return frozenset(_around(self.own, key))

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow stores."""
        return {"wanted": _stored(self.wanted), "own": _stored(self.own)}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PartitionMapper:
        """Return the mapper from what Airflow stored."""
        return cls(_clock(data["wanted"]), _clock(data["own"]))


def _stored(clock: Clock) -> dict[str, Any]:
    kind = next(name for name, known in _CLOCKS.items() if type(clock) is known)
    return {"kind": kind, "clock": clock.serialize()}


def _clock(stored: Mapping[str, Any]) -> Clock:
    return cast("Clock", _CLOCKS[stored["kind"]].deserialize(stored["clock"]))


def _around(clock: Clock, key: str) -> Iterator[str]:
    """Yield the windows of a clock that overlap one, as keys."""
    window = window_of_key(key)
    if window is None:
        raise ValueError(f"{key} is not a window")
    begins = clock._align_to_prev(instance(window.start))  # noqa: SLF001 - as Airflow counts its own intervals
    for _ in range(_MOST):
        ends = clock._get_next(begins)  # noqa: SLF001
        if ends > window.start:
            yield key_of_window(Window(begins, ends))
        begins = ends
        if begins >= window.end:
            return
