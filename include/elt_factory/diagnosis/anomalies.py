"""What is unusual of a table's newest load against its own history, in words.

The history is that of comparable loads: of the same weekday, or for windows shorter than a day of the same hour, where
there are enough of them, else all. Medians and median deviations are robust: an outlier of last week does not hide one
of today. Where the history is short, nothing is said. What is said must be both far from the middle and far in
proportion, so that a table that never varies does not raise an alarm about a row more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Literal
from zoneinfo import ZoneInfo

from elt_factory.diagnosis.facts import Facts, LoadFact
from elt_factory.diagnosis.habit import FEWEST, Habit, habit
from elt_factory.diagnosis.words import long

Measure = Literal["volume", "duration", "rejects"]
_FAR = 6.0  # usual deviations
_SAME = 6  # comparable loads from which on their likeness counts
_DAY = timedelta(hours=20)
_ALIKE = (0.8, 1.25)  # of a window's width
_ORDINARY = (0.6, 1.7)  # of the usual volume
_TIMES = 3  # from which on "times as many" says more than a percentage
_SLOW, _NOTICED = 2, 300  # times, and seconds more, from which on a duration matters
_SHARE = 0.01  # more rejects than usual that matter, of the rows read
_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True)
class Anomaly:
    """An unusual figure of a load: what, how much, and how much it usually is, in a sentence."""

    measure: Measure
    value: float
    usual: float
    sentence: str


@dataclass(frozen=True)
class _Asked:
    measure: Measure
    of: Callable[[LoadFact], float | None]
    least: Callable[[Habit], float]  # the smallest usual deviation that is believed
    counts: Callable[[Habit, float], bool]  # whether the difference is large enough to matter
    words: Callable[[float, Habit, str], str]


def anomalies(facts: Facts) -> list[Anomaly]:
    """Return what is unusual of the newest window's load."""
    loads = [load for load in facts.loads if not load.full_refresh]
    if len(loads) <= FEWEST:
        return []
    *before, newest = loads
    zone = facts.config.timezone if facts.config else "UTC"
    peers, whose = comparable(before, newest, zone)
    return list(_found(newest, peers, whose))


def comparable(before: Sequence[LoadFact], load: LoadFact, zone: str) -> tuple[list[LoadFact], str]:
    """Return the earlier loads that a load is like, and what they are called.

    Only windows of about the same width compare: a week that was loaded as one is not a day.
    """
    width = load.window.end - load.window.start
    alike = [one for one in before if _ALIKE[0] <= (one.window.end - one.window.start) / width <= _ALIKE[1]]
    clock, part = ZoneInfo(zone), datetime.weekday if width >= _DAY else _hour
    mine = load.window.start.astimezone(clock)
    same = [one for one in alike if part(one.window.start.astimezone(clock)) == part(mine)]
    if len(same) >= _SAME:
        return same, f"on {_WEEKDAYS[mine.weekday()]}" if width >= _DAY else f"at {mine:%H} h"
    return alike, "in a load"


def _hour(moment: datetime) -> int:
    return moment.hour


def _found(newest: LoadFact, peers: Sequence[LoadFact], whose: str) -> Iterator[Anomaly]:
    for asked in _ASKED:
        value = asked.of(newest)
        values = [found for found in map(asked.of, peers) if found is not None]
        usual = habit(values, fewest=_SAME)
        if value is None or usual is None or not asked.counts(usual, value):
            continue
        if abs(usual.distance(value, asked.least(usual))) > _FAR:
            yield Anomaly(asked.measure, value, usual.middle, asked.words(value, usual, whose))


def _volume_matters(usual: Habit, value: float) -> bool:
    return value > 0 and usual.middle > 0 and not _ORDINARY[0] <= value / usual.middle <= _ORDINARY[1]


def _volume_words(value: float, usual: Habit, whose: str) -> str:
    change = value / usual.middle - 1
    more = f"{abs(change):.0%} {'more' if change > 0 else 'less'}"
    if value > _TIMES * usual.middle:
        more = f"{value / usual.middle:.1f} times as many"
    return f"the newest load read {value:,.0f} rows, {more} than the {usual.middle:,.0f} that are usual {whose}"


def _duration_words(value: float, usual: Habit, whose: str) -> str:
    took, usually = long(timedelta(seconds=value)), long(timedelta(seconds=usual.middle))
    return f"the newest load took {took} from its start to its commit; {usually} is usual {whose}"


def _rejects_words(value: float, usual: Habit, whose: str) -> str:
    return f"{value:.1%} of the rows of the newest load were rejected; {usual.middle:.1%} is usual {whose}"


def _seconds(load: LoadFact) -> float | None:
    return (load.loaded_at - load.started_at).total_seconds() if load.started_at else None


def _share(load: LoadFact) -> float | None:
    return load.rows_rejected / load.rows_read if load.rows_read else None


_ASKED = (
    _Asked(
        "volume",
        lambda load: float(load.rows_read),
        lambda usual: max(0.05 * usual.middle, sqrt(max(usual.middle, 1.0))),
        _volume_matters,
        _volume_words,
    ),
    _Asked(
        "duration",
        _seconds,
        lambda usual: max(0.2 * usual.middle, 20.0),
        # what is quick does no harm
        lambda usual, value: value > _SLOW * usual.middle and value - usual.middle > _NOTICED,
        _duration_words,
    ),
    _Asked("rejects", _share, lambda _: 0.002, lambda usual, value: value - usual.middle > _SHARE, _rejects_words),
)
