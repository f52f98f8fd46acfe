"""File name patterns with %Y %m %d %H, expanded for every period that a window touches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from elt_factory.core.window import Window

_DIRECTIVE = re.compile(r"%(.?)")
_FORMATS = {"Y": "{0.year:04d}", "m": "{0.month:02d}", "d": "{0.day:02d}", "H": "{0.hour:02d}"}
_DIGITS = {"Y": "[0-9]" * 4, "m": "[0-9]" * 2, "d": "[0-9]" * 2, "H": "[0-9]" * 2}
_FORMS_OF_DIGITS = {"Y": r"\d{4}", "m": r"\d{2}", "d": r"\d{2}", "H": r"\d{2}"}
_GLOB = re.compile(r"\*+/?|\?|\[!?\]?[^\]]*\]")
_PIECES = re.compile(rf"(%[YmdH%]|{_GLOB.pattern})")
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

    The finest of %Y %m %d %H sets the period; %% is a percent sign; the window's end is excluded. A pattern without
    periods comes back alone.

    Raises:
        ValueError: any other directive.
    """
    found = {letter for letter in _DIRECTIVE.findall(pattern) if letter != "%"}
    if found - set(_FORMATS):
        unknown = ", ".join(f"%{letter}" for letter in sorted(found - set(_FORMATS)))
        raise ValueError(
            f'"{pattern}" has the unsupported date directive {unknown}; hint: use %Y %m %d %H, or %% for a percent sign'
        )
    finest = next((letter for letter in _NEXT if letter in found), None)
    moments = _moments(window, ZoneInfo(zone), _NEXT[finest]) if finest else iter([window.start])
    return tuple(dict.fromkeys(_fill(pattern, moment) for moment in moments))


def has_periods(pattern: str) -> bool:
    """Whether a pattern names a period."""
    return any(letter != "%" for letter in _DIRECTIVE.findall(pattern))


def every_period(pattern: str) -> str:
    """Return the pattern as a glob for the files of all periods: digits in the places of %Y %m %d %H."""
    return _DIRECTIVE.sub(lambda match: _DIGITS.get(match[1], "%"), pattern)


class PeriodsLoaded:
    """The periods of windows that were loaded, asked for by the names of files.

    A name without the year, as of %m-%d, is of a period of each window that has such a day.

    Args:
        pattern: The name pattern, with periods.
        zone: The zone whose clock the periods are on.
        windows: The windows.
    """

    def __init__(self, pattern: str, zone: str, windows: Sequence[Window]) -> None:
        self._zone, self._windows = zone, windows
        self._letters = [letter for letter in "YmdH" if f"%{letter}" in pattern.replace("%%", "")]
        self._form = _name_form(pattern)

    def have(self, name: str) -> bool:
        """Whether a file's name says a period that one of the windows touches."""
        found = self._form.fullmatch(name)
        if found is None:
            return False
        if self._letters != list("YmdH"[: len(self._letters)]):
            return tuple(found[letter] for letter in self._letters) in self._repeated
        period = self._period({letter: int(found[letter]) for letter in self._letters})
        return period is not None and any(_touch(period, window) for window in self._windows)

    def _period(self, said: Mapping[str, int]) -> Window | None:
        zone = ZoneInfo(self._zone)
        try:
            start = datetime(said["Y"], said.get("m", 1), said.get("d", 1), said.get("H", 0))  # noqa: DTZ001
            end = _NEXT[self._letters[-1]](start)
            return Window(start.replace(tzinfo=zone), end.replace(tzinfo=zone))
        except (ValueError, OverflowError):
            return None

    @cached_property
    def _repeated(self) -> frozenset[tuple[str, ...]]:
        """What the names of all periods of the windows say, where they do not say the whole date."""
        said = " ".join(f"%{letter}" for letter in self._letters)
        return frozenset(
            tuple(one.split()) for window in self._windows for one in expand_pattern(said, window, self._zone)
        )


def _name_form(pattern: str) -> re.Pattern[str]:
    """Return the names of a pattern, with a group for each directive; globs match anything here."""
    seen, parts = set(), []
    for piece in _PIECES.split(pattern):
        letter = piece[1:] if _DIRECTIVE.fullmatch(piece) else ""
        if letter in _FORMS_OF_DIGITS:
            parts.append(f"(?P={letter})" if letter in seen else f"(?P<{letter}>{_FORMS_OF_DIGITS[letter]})")
            seen.add(letter)
        elif letter == "%":
            parts.append("%")
        else:
            parts.append(".*?" if _GLOB.fullmatch(piece) else re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)


def _fill(pattern: str, moment: datetime) -> str:
    return _DIRECTIVE.sub(lambda match: _FORMATS.get(match[1], "%").format(moment), pattern)


def _moments(window: Window, zone: ZoneInfo, following: Callable[[datetime], datetime]) -> Iterator[datetime]:
    """Moments in the window, at least one in every period that it touches, on the zone's clock."""
    now = window.start.astimezone(zone)
    while now.astimezone(UTC) < window.end:
        yield now
        now = _step(now, zone, following)


def _step(now: datetime, zone: ZoneInfo, following: Callable[[datetime], datetime]) -> datetime:
    """Return the start of the next period, or a moment on the way there when the clock is changed in between.

    A changed clock may skip a period or repeat one; zones change on quarter hours, so creeping by those misses nothing.
    """
    boundary = following(now.replace(tzinfo=None)).replace(tzinfo=zone)
    at, then = now.astimezone(UTC), boundary.astimezone(UTC).astimezone(zone)
    if then.astimezone(UTC) > at and then.utcoffset() == now.utcoffset():
        return then
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    return (quarter + _CREEP).astimezone(zone)


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
