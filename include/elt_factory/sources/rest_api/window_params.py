"""Parameters that ask an API for a window of time: tried, and believed when they filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from elt_factory.discover import keys
from elt_factory.discover.found import Sample

PAIRS: Sequence[tuple[str, str | None]] = (
    ("since", "until"),
    ("updated_since", "updated_until"),
    ("updated_after", "updated_before"),
    ("modified_since", "modified_before"),
    ("from", "to"),
    ("start", "end"),
    ("start_date", "end_date"),
    ("start_time", "end_time"),
    ("date_from", "date_to"),
    ("created_after", "created_before"),
    ("updated_since", None),
    ("updated_after", None),
    ("modified_since", None),
    ("since", None),
)
_CLEARLY = timedelta(seconds=2)
_TRIES = 3
Ask = Callable[[Mapping[str, str]], Sequence[Mapping[str, Any]] | None]


@dataclass(frozen=True)
class WindowParams:
    """The names that an API has for a window's ends, and the column that it selects by."""

    start: str
    end: str | None
    column: str

    @property
    def templates(self) -> dict[str, str]:
        """The parameters as the YAML has them."""
        ends = {self.start: "{{ window.start }}"}
        return ends | ({self.end: "{{ window.end }}"} if self.end else {})

    @property
    def why(self) -> str:
        """What was seen."""
        return f"tried: they filter by {self.column}"


@dataclass(frozen=True)
class Trial:
    """What trying parameters has shown: those that ask for what is new, else why those that filter may not."""

    window: WindowParams | None = None
    doubt: str = ""


def confirmed(sample: Sample, ask: Ask) -> Trial:
    """Return the first pair of parameters that really filters by a column, for sure.

    The bounds are of the page that comes unasked: it has records outside of them, so an API that does not know the
    parameters, and answers with that page, is not believed. Records that are new by their creation are also new by
    their last change, so an API that filters by the creation is not believed to filter by the change: a record that
    has changed later would never be read.
    """
    unasked, doubt = ask({}) or (), ""
    moving = keys.cursor_candidates(sample)
    rivals = [name for name in keys.temporal(sample) if name not in moving]
    for column in _columns(sample):
        for window in _filtering(column, unasked, ask):
            if column not in moving:
                if not moving:
                    return Trial(window)
                doubt = doubt or f"{window.start} filters by {column}, and would miss later changes"
            elif unlike := [rival for rival in rivals if not _excludes(window, rival, unasked, ask)]:
                doubt = doubt or f"{window.start} filters, by {column} or {unlike[0]}: the sample does not show which"
            else:
                return Trial(window)
    return Trial(doubt=doubt and f"{doubt}, so every run reads everything")


def _filtering(column: str, unasked: Sequence[Mapping[str, Any]], ask: Ask) -> Iterator[WindowParams]:
    bounds = middle([str(record.get(column) or "") for record in unasked])
    for start, end in PAIRS if bounds else ():
        params = {start: bounds[0]} | ({end: bounds[1]} if end else {}) if bounds else {}
        if bounds and filters(ask(params), column, (bounds[0], bounds[1] if end else None)):
            yield WindowParams(start, end, column)


def _excludes(window: WindowParams, rival: str, unasked: Sequence[Mapping[str, Any]], ask: Ask) -> bool:
    """Whether parameters bring a record that is new by their column and old by another one."""
    pairs = [(_moment(record, rival), _moment(record, window.column)) for record in unasked]
    last = max((new for _, new in pairs if new), default=None)
    apart = sorted((new - old, old, new) for old, new in pairs if old and new and new - old > _CLEARLY)
    for _, old, new in reversed(apart[-_TRIES:]):
        since = old + (new - old) / 2
        until = {window.end: _text(last + _CLEARLY)} if window.end and last else {}
        found = ask({window.start: _text(since), **until}) or ()
        if any((then := _moment(record, rival)) is not None and then < since - _CLEARLY for record in found):
            return filters(found, window.column, (_text(since), None))
    return False


def _moment(record: Mapping[str, Any], column: str) -> datetime | None:
    return instant(str(record.get(column) or ""))


def filters(records: Sequence[Mapping[str, Any]] | None, column: str, bounds: tuple[str, str | None]) -> bool:
    """Whether records came, all of them within the bounds."""
    low, high = instant(bounds[0]), instant(bounds[1] or "")
    moments = [instant(str(record.get(column) or "")) for record in records or ()]
    if not moments or low is None:
        return False
    return all(m is not None and m >= low and (high is None or m <= high) for m in moments)


def middle(values: Sequence[str]) -> tuple[str, str] | None:
    """Two instants that cut off both the first and the last of the values; None where there are too few."""
    moments = sorted({moment for value in values if (moment := instant(value)) is not None})
    if len(moments) < 4:  # noqa: PLR2004 - the middle half of fewer would be nothing
        return None
    low, high = moments[len(moments) // 4], moments[3 * len(moments) // 4]
    return _text(low), _text(high)


def instant(text: str) -> datetime | None:
    """Return a time in ISO form; one without an offset is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _columns(sample: Sample) -> list[str]:
    return list(dict.fromkeys([*keys.cursor_candidates(sample), *keys.date_candidates(sample)]))[:3]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
