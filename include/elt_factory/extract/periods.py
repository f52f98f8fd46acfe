"""File name patterns with %Y %m %d %H, expanded for every period that a window touches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from elt_factory.config.window import Window

_DIRECTIVE = re.compile(r"%(.?)")
_FORMATS = {"Y": "{0.year:04d}", "m": "{0.month:02d}", "d": "{0.day:02d}", "H": "{0.hour:02d}"}
_CREEP = timedelta(minutes=15)
# from the finest to the coarsest: the next moment at which the directive's text changes, on a clock without zone
_NEXT: Mapping[str, Callable[[datetime], datetime]] = {
    "H": lambda t: t.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1),
    "d": lambda t: _midnight(t) + timedelta(days=1),
    "m": lambda t: (_midnight(t).replace(day=1) + timedelta(days=32)).replace(day=1),
    "Y": lambda t: _midnight(t).replace(year=t.year + 1, month=1, day=1),
}


def expand_pattern(pattern: str, window: Window, zone: str) -> tuple[str, ...]:
    """Return the pattern once for every period that the window touches on the zone's clock, in order, each once.

    The finest of %Y %m %d %H sets the period; %% is a percent sign; the window's end is excluded. A pattern
    without periods comes back alone. ValueError for any other directive.
    """
    found = {letter for letter in _DIRECTIVE.findall(pattern) if letter != "%"}
    if found - set(_FORMATS):
        unknown = ", ".join(f"%{letter}" for letter in sorted(found - set(_FORMATS)))
        raise ValueError(f'"{pattern}" has {unknown}; known are %Y %m %d %H, and %% for a percent sign')
    finest = next((letter for letter in _NEXT if letter in found), None)
    moments = _moments(window, ZoneInfo(zone), _NEXT[finest]) if finest else iter([window.start])
    return tuple(dict.fromkeys(_fill(pattern, moment) for moment in moments))


def _fill(pattern: str, moment: datetime) -> str:
    return _DIRECTIVE.sub(lambda match: _FORMATS.get(match[1], "%").format(moment), pattern)


def _moments(window: Window, zone: ZoneInfo, following: Callable[[datetime], datetime]) -> Iterator[datetime]:
    """Moments in the window, at least one in every period that it touches, on the zone's clock."""
    now = window.start.astimezone(zone)
    while now.astimezone(UTC) < window.end:
        yield now
        now = _step(now, zone, following)


def _step(now: datetime, zone: ZoneInfo, following: Callable[[datetime], datetime]) -> datetime:
    """The start of the next period, or a moment on the way there when the clock is changed in between.

    A changed clock may skip a period or repeat one; zones change on quarter hours, so creeping by those misses nothing.
    """
    boundary = following(now.replace(tzinfo=None)).replace(tzinfo=zone)
    at, then = now.astimezone(UTC), boundary.astimezone(UTC).astimezone(zone)
    if then.astimezone(UTC) > at and then.utcoffset() == now.utcoffset():
        return then
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    return (quarter + _CREEP).astimezone(zone)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
