"""What came on earlier pages, remembered in bounded memory: is there anything new on this one?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from msgspec import Raw

# eight bytes each, and what Python needs to hold them: about ten megabytes
_MOST_RECORDS = 100_000
_WORD = 2**64


class Repeats:
    """The records of all pages as hashes: the first hundred thousand one by one, and each page as a set."""

    def __init__(self, most_records: int = _MOST_RECORDS) -> None:
        self._most = most_records
        self._records: set[int] = set()
        self._pages: set[int] = set()

    def has_new(self, records: Sequence[Raw]) -> bool:
        """Whether a page has a record that came on none before; their order does not matter."""
        if page_print(records) in self._pages:
            return False
        return any(_print(record) not in self._records for record in records)

    def remember(self, records: Sequence[Raw]) -> None:
        """Take a page into account."""
        self._pages.add(page_print(records))
        self._records.update(map(_print, islice(records, max(0, self._most - len(self._records)))))


def page_print(records: Sequence[Raw]) -> int:
    """Return a hash of a page's records in any order."""
    return hash((len(records), sum(map(_print, records)) % _WORD))


def _print(record: Raw) -> int:
    return hash(bytes(record))
