"""Parameters that ask an API for a window of time: tried, and believed when they filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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


def confirmed(sample: Sample, ask: Ask) -> WindowParams | None:
    """Return the first pair of parameters that really filters; None where none does.

    The bounds are of the page that comes unasked: it has records outside of them, so an API that does not know the
    parameters, and answers with that page, is not believed.
    """
    unasked = ask({}) or ()
    for column in _columns(sample):
        bounds = middle([str(record.get(column) or "") for record in unasked])
        if bounds is None:
            continue
        for start, end in PAIRS:
            params = {start: bounds[0]} | ({end: bounds[1]} if end else {})
            if filters(ask(params), column, (bounds[0], bounds[1] if end else None)):
                return WindowParams(start, end, column)
    return None


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
