"""File name patterns with %Y %m %d %H, expanded for every period that a window touches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
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


def period_of(name: str, pattern: str, zone: str) -> Window | None:
    """Return the period that a file's name says, on the zone's clock; None where it names no whole date.

    A pattern of %m alone, or of %H without the day, tells no year.
    """
    letters = [letter for letter in "YmdH" if f"%{letter}" in pattern.replace("%%", "")]
    if not letters or letters != list("YmdH"[: len(letters)]):
        return None
    found = _name_form(pattern).fullmatch(name)
    if found is None:
        return None
    try:
        said = {letter: int(found[letter]) for letter in letters}
        start = datetime(said["Y"], said.get("m", 1), said.get("d", 1), said.get("H", 0))  # noqa: DTZ001
        end = _NEXT[letters[-1]](start)
        return Window(start.replace(tzinfo=ZoneInfo(zone)), end.replace(tzinfo=ZoneInfo(zone)))
    except (ValueError, OverflowError):
        return None


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


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
