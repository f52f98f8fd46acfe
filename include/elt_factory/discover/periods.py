"""File names with a period in them: weather_2013-01.csv is weather_%Y-%m.csv."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_YEAR, _MONTH, _DAY, _HOUR = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])", r"(?:[01]\d|2[0-3])"
# the finest first
_FORMS = tuple(
    (re.compile(rf"(?<!\d){pattern}(?!\d)"), text)
    for pattern, text in (
        (rf"{_YEAR}-{_MONTH}-{_DAY}[T_-]{_HOUR}", None),
        (rf"{_YEAR}{_MONTH}{_DAY}{_HOUR}", "%Y%m%d%H"),
        (rf"{_YEAR}-{_MONTH}-{_DAY}", "%Y-%m-%d"),
        (rf"{_YEAR}_{_MONTH}_{_DAY}", "%Y_%m_%d"),
        (rf"{_YEAR}{_MONTH}{_DAY}", "%Y%m%d"),
        (rf"{_YEAR}-{_MONTH}", "%Y-%m"),
        (rf"{_YEAR}_{_MONTH}", "%Y_%m"),
        (rf"{_YEAR}{_MONTH}", "%Y%m"),
        (_YEAR, "%Y"),
    )
)
_WIDTH_OF_DAY = 10
_DIGITS = {"Y": "[0-9]" * 4, "m": "[0-9]" * 2, "d": "[0-9]" * 2, "H": "[0-9]" * 2}


def period_pattern(name: str) -> str:
    """Return the name with its period as %Y %m %d %H; the name itself (a percent sign doubled) where there is none."""
    for form, text in _FORMS:
        match = form.search(name)
        if match:
            before, after = name[: match.start()], name[match.end() :]
            return before.replace("%", "%%") + (text or _hourly(match[0])) + after.replace("%", "%%")
    return name.replace("%", "%%")


def whole_pattern(pattern: str) -> str:
    """Return a pattern that means the files of all periods: digits in the places of %Y %m %d %H."""
    return re.sub(r"%([YmdH%])", lambda found: _DIGITS.get(found[1], found[0]), glob.escape(pattern))


def grouped(names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """File names by their patterns."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[period_pattern(name)].append(name)
    return groups


def table_name(pattern: str) -> str:
    """Return a name for the table of a pattern: its words without the period."""
    stem = re.sub(r"%.", "_", pattern).rsplit("/", 1)[-1].split(".")[0]
    return sane_name(stem) or "records"


def sane_name(text: str) -> str:
    """Small letters, digits and _; a letter first; empty where none is left."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).lstrip("_0123456789").rstrip("_")[:63]


def _hourly(text: str) -> str:
    return f"%Y-%m-%d{text[_WIDTH_OF_DAY]}%H"
