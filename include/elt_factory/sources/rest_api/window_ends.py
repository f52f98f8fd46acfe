"""Which ends of the window a table's requests name: with one of them an API sends one day, or all beyond the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.templates import CURSOR, WINDOW_NAMES, Use, parts_of

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.model import RestTable

Side = Literal["after", "before"]
_HOURS = re.compile("%[HIMSfp]")
_MOMENT = re.compile("%[MSfp]")
_DAYS = re.compile("%[dj]")
_TOKEN = re.compile("[A-Z]?[a-z]+|[A-Z]+|[<>]")
# words of what begins or ends with a moment, and does not mean a day
_AFTER = ("since", "after", "from", "start", "begin", "modif", "update", "chang", "newer", "later")
_BEFORE = ("until", "till", "before", "older")
_GREATER, _LESS = frozenset(("gt", "gte", "ge", "min", ">")), frozenset(("to", "end", "lt", "lte", "le", "max", "<"))
_NEAR = 40
_LONGER = ("week", "month", "quarter", "year", "period", "cycle")


@dataclass(frozen=True)
class _Place:
    """A template of the window, and the words in front of it: the key, or the text."""

    use: Use
    words: tuple[str, ...]

    @property
    def limits(self) -> Iterator[Side]:
        """On which sides of the moment the words ask for all there is."""
        if any(word in _GREATER or word.startswith(_AFTER) for word in self.words):
            yield "after"
        if any(word in _LESS or word.startswith(_BEFORE) for word in self.words):
            yield "before"

    @property
    def has_days(self) -> bool:
        return self.use.filter == "date" or bool(_DAYS.search(self.use.filter))

    @property
    def is_of_longer(self) -> bool:
        return self.has_days and any(word.startswith(_LONGER) for word in self.words)


def is_of_a_day(text: str) -> bool:
    """Whether a filter gives the same text for all of a day."""
    return text == "date" or (text.startswith("format") and not _HOURS.search(text))


def has_hours(table: RestTable) -> bool:
    """Whether the requests of a table name hours."""
    return any(_HOURS.search(place.use.filter) for place in _places(table))


def open_side(table: RestTable) -> Side | None:
    """Where a table's requests have no end: asked for all since a moment, an API sends what is after the window.

    None where they name both ends, or a day or the like, whose end is known.
    """
    periods = [place for place in _places(table) if _is_period(place.use)]
    has_end = table.slices or not _are_limits(periods)
    return None if periods and has_end else _side_without_name(table)


def names_one_period(table: RestTable) -> bool:
    """Whether a request is for one day, or month, or hour, by its name alone."""
    places = list(_places(table))
    named = all(_is_period(place.use) and not place.is_of_longer for place in places) and not _are_limits(places)
    return bool(places) and named and _side_without_name(table) is not None


def names_one_day_of_slices(table: RestTable) -> bool:
    """Whether each piece of the window has several days, and its request names the first of them."""
    is_longer = table.slices is not None and table.slices > timedelta(days=1)
    return is_longer and names_one_period(table) and any(place.has_days for place in _places(table))


def _are_limits(places: Sequence[_Place]) -> bool:
    """Whether days are the first or the last of what is asked for; one that is both is asked for alone."""
    return len({side for place in places for side in place.limits}) == 1


def _side_without_name(table: RestTable) -> Side | None:
    names = {use.name for found in table.templates.values() for use in found}
    # what a run is given may be an end, too
    if names.isdisjoint(WINDOW_NAMES) or any(name.startswith("params.") for name in names) or table.keeps_token:
        return None
    has_start, has_end = not names.isdisjoint(("window.start", CURSOR)), "window.end" in names
    return None if has_start and has_end else "after" if has_start else "before"


def _is_period(use: Use) -> bool:
    return use.filter == "date" or (use.filter.startswith("format") and not _MOMENT.search(use.filter))


def _places(table: RestTable) -> Iterator[_Place]:
    for at, text in table.texts.items():
        key = " ".join(str(name) for name in at[1:])
        for before, use in parts_of(text):
            if use.name in WINDOW_NAMES:
                near = " ".join(before.rsplit("/", 2)[-2:]) if at == ("path",) else before[-_NEAR:]
                yield _Place(use, tuple(word.lower() for word in _TOKEN.findall(f"{key} {near}")))
