"""How a CSV file is written."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

_DELIMITERS = (",", ";", "\t", "|")
_WORDS = frozenset({"na", "n/a", "n.a.", "null", "(null)", "nan", "none", "missing", "-", "--", "..", "\\n", "#n/a"})
_PLAIN = re.compile(r"[-+]?\d*[.,]?\d+([eE][-+]?\d+)?|\d{4}-\d\d-\d\d([ T][\d:.]+(Z|[-+]\d\d:?\d\d)?)?")
# days and times as people write them, 17/3/2013 or 17.03.13 09:30, and numbers with marks of thousands or a currency
_OTHER_TIME = re.compile(
    r"\d{1,4}([./-])\d{1,2}\1\d{1,4}([ T,]+\d{1,2}:\d\d(:\d\d)?([.,]\d+)?( ?[AaPp][Mm])?)?|\d{1,2}:\d\d(:\d\d)?"
)
_OTHER_NUMBER = re.compile(r"[-+($€£]*\d{1,3}([ ,.']\d{3})*([.,]\d+)?[%)€]?")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_MOST_LINES = 5000
_MOST = 0.9


@dataclass(frozen=True)
class Dialect:
    """What `format:` says of a CSV file; `null_words` with the columns they were seen in."""

    delimiter: str
    quote: str
    encoding: str
    null_words: Mapping[str, str]


def dialect_of(head: bytes) -> Dialect:
    """Return the dialect of a file that begins so."""
    encoding = encoding_of(head)
    lines = head.decode(encoding, errors="replace").lstrip("\ufeff").splitlines()[:_MOST_LINES]
    quote = quote_of(lines)
    delimiter = delimiter_of(lines, quote)
    return Dialect(delimiter, quote, encoding, null_words(_rows(lines, delimiter, quote)))


def encoding_of(head: bytes, *, whole: bool = False) -> str:
    """utf-16 by its mark, utf-8 where the bytes are, else windows-1252; latin-1 where that says the same, or is not."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    # the head may end inside a character
    lines = head if whole else head[: head.rfind(b"\n") + 1 or None]
    for encoding in ("utf-8", "cp1252"):
        if _decodes(lines, encoding):
            # most of these files have the signs that both have in the same places
            return "latin-1" if encoding == "cp1252" and _decodes(lines, "latin-1") and not _has_c1(lines) else encoding
    return "latin-1"


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _has_c1(text: bytes) -> bool:
    """Whether bytes are there that latin-1 has for control characters alone."""
    return any(0x80 <= byte < 0xA0 for byte in text)  # noqa: PLR2004


def delimiter_of(lines: Sequence[str], quote: str = '"') -> str:
    """Return the sign that cuts most lines into one number of fields, the more the better."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in _rows(lines[:50], delimiter, quote))
        width, times = widths.most_common(1)[0] if widths else (1, 0)
        return (times / max(1, widths.total()) if width > 1 else 0.0, width)

    best = max(_DELIMITERS, key=score)
    return best if score(best)[0] else ","


def quote_of(lines: Sequence[str]) -> str:
    """Return the sign that encloses fields."""
    singles = sum(len(re.findall(r"(?:^|[,;\t|])'[^']*'(?=$|[,;\t|])", line)) for line in lines[:50])
    doubles = sum(line.count('"') for line in lines[:50])
    return "'" if singles and not doubles else '"'


def null_words(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Words that stand for no value in columns of numbers or times, each with a column that has it."""
    found: dict[str, str] = {}
    if not rows:
        return found
    for place, name in enumerate(rows[0]):
        values = [row[place] for row in rows[1:] if place < len(row) and row[place] != ""]
        words = {value for value in values if value.casefold() in _WORDS}
        others = [value for value in values if value.casefold() not in _WORDS]
        if words and others and sum(bool(_PLAIN.fullmatch(v)) for v in others) >= _MOST * len(others):
            found |= {word: found.get(word, name) for word in sorted(words)}
    return found


def has_header(lines: Sequence[str], delimiter: str, quote: str) -> bool:
    """Whether the first line holds names."""
    rows = _rows(lines[:1], delimiter, quote)
    return bool(rows) and holds_names(rows[0])


def holds_names(fields: Sequence[str]) -> bool:
    """Whether the fields of a line may be names: none of them is a number, a time, an address or empty."""
    return all(field.strip() for field in fields) and not holds_data(fields)


def holds_data(fields: Sequence[str]) -> bool:
    """Whether a field of a line is a number, a time or an address."""
    return any(map(is_data, fields))


def is_data(field: str) -> bool:
    """Whether a field is a number, a time or an address."""
    return any(form.fullmatch(field.strip()) for form in (_PLAIN, _OTHER_TIME, _OTHER_NUMBER, _ADDRESS))


def _rows(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    try:
        return [row for row in islice(csv.reader(lines, delimiter=delimiter, quotechar=quote), _MOST_LINES) if row]
    except csv.Error:
        return []
