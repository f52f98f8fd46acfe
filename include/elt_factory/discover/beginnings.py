"""Where the columns that may be a cursor begin, by all records of a table and not by a sample."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import EltError
from elt_factory.discover.found import Beginning, Sample
from elt_factory.discover.keys import cursor_candidates

_FIRST_YEAR = 1900  # where the language's dates begin

Ends = tuple[str | None, str | None]


def beginnings_of(sample: Sample, ends_of: Callable[[str], Ends]) -> dict[str, Beginning]:
    """Return where each of them begins; without those that no window holds.

    Args:
        sample: Some records.
        ends_of: The least and the greatest value of a column, as text.
    """
    found = dict[str, Beginning]()
    for name in cursor_candidates(sample):
        kind = sample.types[name]
        try:
            least, greatest = ends_of(name)
        except EltError:
            continue
        first, last = (_moment(text) for text in (least, greatest))
        if kind and first and last and first.year >= _FIRST_YEAR and last <= datetime.now(UTC):
            found[name] = _beginning(first, kind)
    return found


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _beginning(first: datetime, kind: ColumnType) -> Beginning:
    """Return an instant is written whole; a time without a zone as its day, which is that of the cursor's own clock."""
    if kind.name == "timestamp":
        return Beginning(f'"{first.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"', "1h")
    return Beginning(f"{first:%Y-%m-%d}", "1d" if kind.name == "date" else "1h")
