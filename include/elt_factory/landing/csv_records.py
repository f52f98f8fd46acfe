"""The records of CSV files by their bytes: how long the longest is, and how many there are.

Both come from a pass of its own over the bytes. How long the longest is decides how much DuckDB must hold in memory; it
passes over a longer one without a word, so the number of records is compared with what it read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.failures import BadDataError
from elt_factory.extract.request import Spool
from elt_factory.extract.whole_quotes import WholeQuotes
from elt_factory.landing.csv_files import by_header, comes_from_others, headers_of

_CHUNK = 1024 * 1024
_LONGEST_OPEN = 64 * 1024
_LINE_FEED, _RETURN = 10, 13
_MARK = b"\xef\xbb\xbf"


def measured(spool: Spool) -> Spool:
    """Return a csv spool with headers, its longest record and, of files from elsewhere, the number of its records.

    Neither number is known where a quote is within a field: there only DuckDB says where a record ends. A blank line is
    a record where there is one column, and not where there are more, so there is no count of a single column.
    """
    if spool.format != "csv" or spool.csv.encoding == "utf-16":
        return spool
    if spool.longest is not None and not comes_from_others(spool):
        # its reader saw each record
        return replace(spool, headers=headers_of(spool))
    found = _measure(spool.files, spool.csv)
    spool = replace(spool, headers=headers_of(spool))
    if found is None:
        return spool
    longest, count, tidy = found
    spool = replace(spool, tidy=tidy)
    alone = any(len(header) == 1 for header in by_header(spool))
    if count is None or alone or not comes_from_others(spool):
        return replace(spool, longest=longest)
    return replace(spool, longest=longest, counted=count - len(spool.files) * spool.csv.header)


class _Measure(NamedTuple):
    longest: int
    records: int | None
    tidy: bool


def _measure(files: Sequence[Path], form: CsvFormat) -> _Measure | None:
    """Return the longest record in bytes, and how many lines hold one, headers too; None for what is not known."""
    longest, count = 0, 0
    mixed, tidy = False, True
    for file in files:
        pass_ = _Pass(form)
        with file.open("rb") as source:
            mark = source.read(len(_MARK))
            rest = b"" if mark == _MARK else mark
            while block := rest + source.read(_CHUNK):
                rest = b""
                if not pass_.take(block):
                    return None
        if not pass_.end():
            refuse_open_quote(file, pass_.begun)
            return None
        longest, count, mixed = max(longest, pass_.longest), count + pass_.count, mixed or pass_.mixed
        tidy = tidy and pass_.tidy
    return _Measure(longest, None if mixed else count, tidy)


def refuse_open_quote(file: Path, size: int) -> None:
    """Refuse a file whose end is within a quoted field, where that is more than a field can be meant to be.

    DuckDB takes all of it for one line that it cannot read.
    """
    if size > _LONGEST_OPEN:
        raise BadDataError(
            f"{file.name}: a quoted field does not end, and the last {size:,} bytes are within it; close the quote, or "
            'set format.quote: "" if quotes are text'
        )


@dataclass
class _Pass:
    """One file, block by block."""

    form: CsvFormat
    longest: int = 0
    count: int = 0
    _returns: int = 0
    _line_feeds: int = 0
    begun: int = 0  # bytes of the record that the last block did not end
    _before: int = _LINE_FEED  # the byte before the block
    _untidy: Any = field(init=False)
    _quotes: WholeQuotes = field(init=False)
    tidy: bool = (
        True  # no line is blank, none ends with a field without a value; not known of lines that end in returns
    )

    def __post_init__(self) -> None:
        self._quotes = WholeQuotes(self.form)
        delimiter = self.form.delimiter.encode(self.form.encoding)
        # the last byte of a field without a value and its delimiter, and what may be the end of a line before
        words = [delimiter + word.encode(self.form.encoding, "replace") for word in self.form.null_values]
        self._untidy = np.zeros(256, dtype=bool)
        self._untidy[[_LINE_FEED, _RETURN, *(word[-1] for word in words)]] = True

    def take(self, block: bytes) -> bool:
        """Continue with a block; False where its quotes do not enclose whole fields."""
        letters = np.frombuffer(block, np.uint8)
        was_open = self._quotes.is_open
        quotes = self._quotes.take(block, letters)
        if quotes is None:
            return False
        is_end = letters == _LINE_FEED
        if b"\r" in block:
            is_end |= letters == _RETURN
        ends = np.flatnonzero(is_end)
        if len(quotes):
            ends = ends[(np.searchsorted(quotes, ends) + was_open) % 2 == 0]
        elif was_open:
            ends = ends[:0]
        self._count(letters, ends)
        self._before = block[-1]
        return True

    @property
    def mixed(self) -> bool:
        """Whether some lines end in one way and some in another: DuckDB may take that for a mistake."""
        return self._returns > 0 and self._line_feeds > 0 and self._returns != self._line_feeds

    def end(self) -> bool:
        """Close the file; False where a quoted field is still open."""
        self._note(self.begun)
        self.tidy = self.tidy and not self._returns and (self._before == _LINE_FEED or not self._untidy[self._before])
        return not self._quotes.is_open

    def _count(self, letters: Any, ends: Any) -> None:
        size = len(letters)
        if not len(ends):
            self.begun += size
            return
        returns = int(np.count_nonzero(letters[ends] == _RETURN))
        self._returns, self._line_feeds = self._returns + returns, self._line_feeds + len(ends) - returns
        self._note(self.begun + int(ends[0]))
        if self.tidy:
            before = letters[ends - 1]
            before[0] = letters[ends[0] - 1] if ends[0] else self._before
            self.tidy = not self._untidy[before].any()
        lengths = np.diff(ends) - 1
        if len(lengths):
            self.count += int(np.count_nonzero(lengths))
            self.longest = max(self.longest, int(lengths.max()))
        self.begun = size - int(ends[-1]) - 1

    def _note(self, length: int) -> None:
        self.count += length > 0
        self.longest = max(self.longest, length)
