"""Quotes that enclose whole fields of CSV, found by the bytes around each: block by block, and without a parser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from elt_factory.config.models.formats import CsvFormat

_LINE_FEED, _RETURN = 10, 13


def quoted_text(quote: bytes) -> bytes:
    """Return the pattern of what is between the quotes around a field."""
    sign = re.escape(quote)
    return rb"[^%b]*+(?:%b%b[^%b]*+)*+" % (sign, sign, sign, sign)


def spaces_around(delimiter: bytes) -> tuple[bytes, bytes]:
    """Return the space that DuckDB passes over before a quoted field, and the pattern of those behind it."""
    return (b"", b"") if delimiter == b" " else (b" ", b" *+")


class WholeQuotes:
    """Looks at one file whose quotes are a single byte each, without its byte order mark.

    `is_open` says that the last block ended within a quoted field.

    Args:
        form: How the file is written.
    """

    def __init__(self, form: CsvFormat) -> None:
        delimiter, quote = (text.encode(form.encoding) for text in (form.delimiter, form.quote))
        self.is_open = False
        self._quote = quote if len(quote) == 1 else b""
        self._before = _LINE_FEED  # the byte before the block
        self._closing = False  # the last byte closed a quoted field: what follows must be the end of it
        self._around: Any = np.zeros((2, 256), dtype=bool)
        for side, sign in enumerate((delimiter[-1], delimiter[0])):
            self._around[side, [sign, _LINE_FEED, _RETURN, *self._quote]] = True

    def take(self, block: bytes, letters: Any) -> Any:
        """Return the places of the quotes in the next block; None where they do not enclose whole fields."""
        if self._closing and not self._around[1, block[0]]:
            return None
        self._closing = False
        is_there = bool(self._quote) and self._quote in block
        quotes = np.flatnonzero(letters == self._quote[0]) if is_there else np.empty(0, dtype=np.intp)
        if is_there and not self._enclose(letters, quotes):
            return None
        self.is_open = (len(quotes) + self.is_open) % 2 == 1
        self._before = block[-1]
        return quotes

    def _enclose(self, letters: Any, quotes: Any) -> bool:
        """Whether each quote that opens a field follows the end of one, and each that closes is followed by it."""
        opening, closing = quotes[int(self.is_open) :: 2], quotes[1 - int(self.is_open) :: 2]
        before = np.where(opening > 0, letters[opening - 1], self._before)
        if len(closing) and closing[-1] == len(letters) - 1:
            self._closing, closing = True, closing[:-1]
        return bool(self._around[0, before].all() and self._around[1, letters[closing + 1]].all())
