"""What the bytes of a CSV file show that DuckDB would read as other records, without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.failures import BadDataError
from elt_factory.extract.torn_fields import is_torn
from elt_factory.extract.whole_quotes import WholeQuotes, quoted_text, spaces_around

_CHUNK = 1024 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_LONG_LINE, _MOST_SURPLUS = 2000, 200
_SPACES = b" \t\r\n"
_LINE_FEED, _RETURN = 10, 13
_MARK = b"\xef\xbb\xbf"
_CONTROL = re.compile(rb"[\x80-\x9f]")


def needs_each_record(file: Path, form: CsvFormat) -> bool:
    """Whether the records of a file are to be looked at one by one: for its line ends, its quotes or a wide line."""
    return _has_mixed_ends(file) or _has_odd_quotes(file, form) or _has_wide_line(file, form)


def refuse_controls(file: Path, name: str) -> None:
    """Refuse a file in latin-1 with bytes that are not characters there: DuckDB reads no such file.

    Raises:
        BadDataError: the first of them, with its line.
    """
    line = 1
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            if found := _CONTROL.search(chunk):
                line += chunk.count(b"\n", 0, found.start())
                raise BadDataError(
                    f"{name} line {line}: the byte {found[0][0]:02X} is not a character of latin-1; set "
                    "format.encoding, such as windows-1252"
                )
            line += chunk.count(b"\n")


def _has_mixed_ends(file: Path) -> bool:
    """Whether lines end in more than one way: DuckDB reads no such file, except within quotes."""
    returns = feeds = both = 0
    with file.open("rb") as content:
        before = b""
        while chunk := content.read(_CHUNK):
            # to look for a sign is ten times as fast as to count it; where no return is near, each line feed is alone,
            # and one of them says as much as all
            near = b"\r" in chunk or before == b"\r"
            if near:
                returns += chunk.count(b"\r")
                both += chunk.count(b"\r\n") + (before == b"\r" and chunk[:1] == b"\n")
            feeds += chunk.count(b"\n") if near else b"\n" in chunk
            before = chunk[-1:]
            # a return at the end may have its line feed still
            alone = returns - both - (before == b"\r")
            if (feeds and alone) or (both and feeds - both):
                return True
    return False


def _has_odd_quotes(file: Path, form: CsvFormat) -> bool:
    """Whether quotes are where DuckDB reads other records, or says of a record what is of the one before it."""
    quote, delimiter = form.quote.encode(form.encoding, "replace"), form.delimiter.encode(form.encoding, "replace")
    if len(quote) != 1 or _enclose_whole_fields(file, form):
        return False
    return _has_broken_quotes(file, quote, delimiter) or _has_torn_fields(file, quote, delimiter)


def _enclose_whole_fields(file: Path, form: CsvFormat) -> bool:
    """Whether all quotes do, as in most files: a look that is fast, and enough for these."""
    quotes = WholeQuotes(form)
    with file.open("rb") as content:
        block = content.read(_CHUNK).removeprefix(_MARK)
        while block:
            if quotes.take(block, np.frombuffer(block, np.uint8)) is None:
                return False
            block = content.read(_CHUNK)
    return not quotes.is_open


def _has_wide_line(file: Path, form: CsvFormat) -> bool:
    """Whether a long line has many more fields than the first: DuckDB notes each of them, with the whole line."""
    quote, delimiter = form.quote.encode(form.encoding), form.delimiter.encode(form.encoding)
    most = -1
    for block in _whole_lines(file):
        end = b"\n" if b"\n" in block else b"\r"
        if most < 0:
            most = block.partition(end)[0].count(delimiter) + _MOST_SURPLUS
        for line in _long_lines(block, end):
            # in quotes a delimiter is text, of which a long line may have many
            if line.count(delimiter) > most and sum(part.count(delimiter) for part in line.split(quote)[::2]) > most:
                return True
    return False


def _long_lines(block: bytes, end: bytes) -> Iterator[bytes]:
    """Yield the long lines; where there are none, few line ends are looked for."""
    begin = 0
    while len(block) - begin > _LONG_LINE:
        at = block.rfind(end, begin, begin + _LONG_LINE)
        if at < 0:
            at = block.find(end, begin + _LONG_LINE)
            at = at if at >= 0 else len(block)
            yield block[begin:at]
        begin = at + 1


def _has_broken_quotes(file: Path, quote: bytes, delimiter: bytes) -> bool:
    """Whether a field begins with a quote and is none that quotes enclose: `"5" pipe"`, or one that does not end."""
    sign, end = re.escape(quote), re.escape(delimiter)
    before, behind = spaces_around(delimiter)
    begins = (rb"\A", rb"\A" + _MARK, rb"[\r\n]", end)
    # the quote comes first: a pattern that begins with a letter is looked for many times as fast
    fields = re.compile(
        rb"%b(?:%b)"
        % (sign, b"|".join(rb"(?<=%b%b%b)" % (begin, space, sign) for begin in begins for space in (b"", before)))
        + quoted_text(quote)
        + rb"(?:%b%b(?=[\r\n]|%b|\Z)|())" % (sign, behind, end)
    )
    with file.open("rb") as source, mmap(source.fileno(), 0, access=ACCESS_READ) as content:
        return any(found.lastindex for found in fields.finditer(content))


def _has_torn_fields(file: Path, quote: bytes, delimiter: bytes) -> bool:
    """Whether a line has a quoted field that lacks the delimiter before it."""
    return any(
        is_torn((field.decode("latin-1") for field in line.split(delimiter)), quote.decode("latin-1"))
        for line in _lines_with_quote_in_text(file, quote, delimiter)
    )


def _lines_with_quote_in_text(file: Path, quote: bytes, delimiter: bytes) -> Iterator[bytes]:
    """Yield the lines that have a quote between two signs of a text, and one at the end of a field.

    They are few where quotes enclose whole fields.
    """
    is_text = np.ones((2, 256), dtype=bool)
    for side, sign in enumerate((delimiter[-1:], delimiter[:1])):
        is_text[side, list(sign + quote + _SPACES)] = False
    is_end = np.zeros(256, dtype=bool)
    is_end[list(delimiter[:1] + _SPACES)] = True
    for block in (block for block in _whole_lines(file) if quote in block):
        letters = np.frombuffer(block, np.uint8)
        places = np.flatnonzero(letters[1:-1] == quote[0]) + 1
        found = places[is_text[0, letters[places - 1]] & is_text[1, letters[places + 1]]]
        if len(found):
            last = np.flatnonzero(letters[-1:] == quote[0]) + len(letters) - 1
            yield from _lines_at(block, letters, found, np.append(places[is_end[letters[places + 1]]], last))


def _lines_at(block: bytes, letters: Any, *places: Any) -> Iterator[bytes]:
    """Yield the lines that have each kind of place."""
    ends = np.flatnonzero((letters == _LINE_FEED) | (letters == _RETURN))
    first, second = (np.searchsorted(ends, found) for found in places)
    for line in np.intersect1d(first, second):
        begin = int(ends[line - 1]) + 1 if line else 0
        yield block[begin : int(ends[line]) if line < len(ends) else len(block)]


def _whole_lines(file: Path) -> Iterator[bytes]:
    """Yield the blocks of a file, each with whole lines."""
    with file.open("rb") as content:
        while block := content.read(_CHUNK):
            yield block + content.readline(_LONGEST_LINE)
