"""What came on earlier pages, remembered in bounded memory: is there anything new on this one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
from msgspec import Raw

# eight bytes each, and what Python needs to hold them: about ten megabytes
_MOST_RECORDS = 100_000
_BYTES_OF = msgspec.json.Encoder().encode  # a third of the time of `bytes`


@dataclass(frozen=True)
class Prints:
    """The hashes of a page's records, each taken once, and that of the page, whatever their order."""

    records: frozenset[int]
    page: int

    @classmethod
    def of(cls, records: Sequence[Raw]) -> Prints:
        """Return the hashes of the records of a page."""
        prints = list(map(hash, map(_BYTES_OF, records)))
        # records that differ in nothing may come in other numbers on another page
        return cls(frozenset(prints), hash((len(prints), sum(prints))))


class Repeats:
    """The records of all pages as hashes: the first hundred thousand one by one, and each page as a set."""

    def __init__(self, most_records: int = _MOST_RECORDS) -> None:
        self._most = most_records
        self._records: set[int] = set()
        self._pages: set[int] = set()

    def has_new(self, prints: Prints) -> bool:
        """Whether a page has a record that came on none before; their order does not matter."""
        return prints.page not in self._pages and not self._records.issuperset(prints.records)

    def remember(self, prints: Prints) -> None:
        """Take a page into account."""
        self._pages.add(prints.page)
        room = self._most - len(self._records)
        # a set that is taken as it is brings the places of its hashes with it
        self._records.update(prints.records if len(prints.records) <= room else islice(prints.records, max(0, room)))
