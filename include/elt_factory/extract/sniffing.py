"""How a CSV file is written, found out from its beginning: for `elt new`, and for the reader where it fails."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product, takewhile
from typing import Any

from elt_factory.config.models.formats import CsvFormat
from elt_factory.extract.csv_text import Record, joined_names, records
from elt_factory.extract.dialect import encoding_of, holds_data, is_data, null_words, quote_of

_DELIMITERS = (",", ";", "\t", "|", " ")
_MOST_LINES, _SCORED_LINES = 20_000, 500
_MOST_TITLES = 50
_MOST_HEADERS = 3  # lines below the first that continue its names
_LONGEST_NAME = 120
_LONG_NAME = 25  # characters, and words: what is rather a sentence than a name
_MOST_FOOTERS = 30
_YEAR = re.compile(r"(?:19|20)\d\d")
_WITH_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
_WITH_POINT = re.compile(r"[-+]?\d+\.(?:\d{1,2}|\d{4,})")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_COMMAS = 3  # of a value that is text
_FEW_TEXTS = 3  # columns from which a line with one value is a title
_MOST, _SOME, _RARE = 0.8, 0.5, 0.05


@dataclass(frozen=True)
class Sniffed:
    """A dialect, and its words for no value with the columns that have them."""

    form: CsvFormat
    null_words: dict[str, str]


def sniffed(head: bytes, *, whole: bool) -> Sniffed:
    """Return the dialect of a file that begins so; `whole` says that this is all of it."""
    encoding = encoding_of(head, whole=whole)
    text = head.decode(encoding, errors="replace").lstrip("\ufeff")
    # as a file is read: other signs of Unicode end no line
    lines = [*io.StringIO(text, newline="")]
    whole = whole and len(lines) <= _MOST_LINES
    lines = lines[:_MOST_LINES] if whole or len(lines) > _MOST_LINES else lines[:-1] or lines
    tried = [_Tried.of(given, lines[:_SCORED_LINES]) for given in _candidates(lines[:_SCORED_LINES])]
    best = _of_first_line(max(tried, key=lambda one: one.score), tried)
    best = _Tried.of(best.given, lines) if len(lines) > _SCORED_LINES else best
    given = {**best.given, "encoding": "utf-8" if encoding == "utf-16" else encoding, **_around(best, whole=whole)}
    form = CsvFormat.model_validate({"type": "csv", **given})
    rows = [[field or "" for field in one.fields] for one in records(lines, form) if not one.why]
    words = null_words(rows)
    signs = _signs([value for row in rows[1:] for value in row], form.delimiter)
    return Sniffed(form.model_copy(update={"null_values": ("", *words), **signs}), words)


def _signs(values: Sequence[str], delimiter: str) -> dict[str, str]:
    """Return the signs of numbers with a comma: only where some have one, and none a point as in 1.5."""
    if delimiter == ",":
        return {}
    commas = sum(bool(_WITH_COMMA.fullmatch(value)) for value in values)
    if not commas or any(_WITH_POINT.fullmatch(value) for value in values):
        return {}
    return {"decimal": ",", **({"thousands": "."} if any(map(_GROUPED.fullmatch, values)) else {})}


def keys_of(form: CsvFormat) -> dict[str, Any]:
    """Return what a dialect says beyond the defaults, and always its delimiter."""
    dumped = form.model_dump(mode="json")
    usual = CsvFormat(type="csv").model_dump(mode="json")
    return {key: value for key, value in dumped.items() if key in ("type", "delimiter") or value != usual[key]}


def in_yaml(form: CsvFormat) -> str:
    """Return a dialect as it is written under `format`."""
    return "{" + ", ".join(f"{key}: {_shown(value)}" for key, value in keys_of(form).items()) + "}"


def _shown(value: Any) -> str:
    plain = isinstance(value, str) and value.replace("-", "").isalnum()
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _candidates(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    text = "".join(lines)
    quotes = dict.fromkeys(['"', quote_of([line.rstrip("\r\n") for line in lines])])
    for delimiter in (sign for sign in _DELIMITERS if sign in text):
        for quote in quotes:
            escapes = [None, *(sign for sign in ("\\", "\0") if f"{sign}{quote}" in text)]
            trims = [False, True] if delimiter == " " or f"{delimiter} {quote}" in text else [False]
            for escape, trim in product(escapes, trims):
                yield {"delimiter": delimiter, "quote": quote, "escape": escape, "trim": trim}
        if '"' in text:
            yield {"delimiter": delimiter, "quote": ""}
    # for one column: a sign that cuts none of its values
    alone = next((sign for sign in _DELIMITERS if sign not in text), ",")
    yield {"delimiter": alone, "quote": next(iter(quotes))}


@dataclass(frozen=True)
class _Tried:
    """A dialect and the records that it makes of some lines."""

    given: dict[str, Any]
    records: Sequence[Record]
    width: int
    score: float

    @classmethod
    def of(cls, given: dict[str, Any], lines: Sequence[str]) -> _Tried:
        found = list(records(lines, CsvFormat.model_validate({"type": "csv", **given})))
        widths = Counter(_width(one) for one in found if not one.why and any(one.fields))
        width, times = max(widths.items(), key=lambda pair: (pair[1] * (1 - 1 / pair[0]), pair[0]), default=(1, 0))
        if width > 1 and _is_one_column(found, width, given["delimiter"]):
            width, times = 1, widths[1]
        total = widths.total() + sum(bool(one.why) for one in found)
        share = times / max(1, total)
        fields = [field for one in found if _width(one) == width for field in one.fields[:width]]
        cells = [field for field in fields if field]
        # what is empty between spaces is padding, not columns
        good = sum(map(_is_clean, cells)) / max(1, len(fields if given["delimiter"] == " " else cells))
        score = share * (1 - 1 / width) * good if width > 1 else 0.001 * share
        # words are apart by spaces too, and a quote that is one is seldom left in the values
        score *= (_SOME if given["delimiter"] == " " else 1) * (_MOST if not given["quote"] else 1)
        return cls(given, found, width, score)


def _of_first_line(best: _Tried, tried: Sequence[_Tried]) -> _Tried:
    """Return the dialect without quotes where one alone keeps the first line from being a record like the others."""
    if not best.records or not best.records[0].why:
        return best
    bare = (one for one in tried if one.given["delimiter"] == best.given["delimiter"] and not one.given["quote"])
    return next((one for one in bare if _width(one.records[0]) == one.width == best.width), best)


def _is_one_column(found: Sequence[Record], width: int, delimiter: str) -> bool:
    """Whether lines are rather the values of one column, in some of which the delimiter is a sign like others."""
    good = [one for one in found if not one.why and any(one.fields)]
    places = [place for place, one in enumerate(good) if _width(one) == width]
    inner = good[places[0] : places[-1] + 1] if len(places) > 1 else good
    alone = sum(_width(one) == 1 for one in inner)
    if delimiter != " ":
        # names that are apart by it are those of columns, however many records end before
        return _width(good[0]) != width and alone > _SOME * len(inner)
    # values of several words are usual, and a word above such lines is the name of their column
    return alone > _RARE * len(inner) or (places[0] > 0 and _is_name_of_all(good[places[0] - 1], inner, width))


def _is_name_of_all(above: Record, inner: Sequence[Record], width: int) -> bool:
    """Whether a line of one word is the name of the lines below it, and not a remark or the title of a table."""
    if _width(above) > 1 or (above.fields[0] or "").startswith("#"):
        return False
    names, *body = inner
    return holds_data([field or "" for field in names.fields]) or not all(
        _is_of_data(body, place) for place in range(width)
    )


def _width(record: Record) -> int:
    """Return the number of fields, without those at the end that only a delimiter makes."""
    return len(record.fields) - (len(record.fields) > 1 and record.fields[-1] is None)


def _is_clean(cell: str) -> bool:
    """Whether a value has no sign that cuts into fields, or encloses them, in another dialect."""
    is_enclosed = cell[0] == cell[-1] and cell[0] in "'\"" and len(cell) > 1
    return not (is_enclosed or cell[0] == '"' or cell.count(",") > _COMMAS or any(sign in cell for sign in ";\t|"))


def _around(tried: _Tried, *, whole: bool) -> dict[str, Any]:
    """Return what is around the table, and how its records end."""
    good = [one for one in tried.records if not one.why]
    block = [one for one in good if _width(one) >= tried.width] or good
    if not block:
        return {}
    first = _first(block, tried.width)
    titles = [one for one in good if one.line < first.line]
    if len(titles) > min(_MOST_TITLES, len(good) * _SOME) or _are_records(titles):
        # these lines are another table, and what is left out would be missed
        first = good[0]
    body = [one for one in good if one.line > first.line]
    has_header = _is_header(first, body, tried.width)
    below = sum(1 for _ in takewhile(_is_below_names, body[:_MOST_HEADERS])) if has_header else 0
    # what would leave no record is records
    below = below if below < len(body) else 0
    names, body = [first, *body[:below]], body[below:]
    found: dict[str, Any] = {
        "header": has_header,
        "header_lines": 1 + below,
        "skip_lines": first.line - 1 if _has_titles(tried, first, has_header=has_header) else 0,
    }
    filled = [one for one in body if any(one.fields)]
    if len(filled) < len(body):
        found["skip_blank"] = True
    footers = _footers(filled, tried.width) if whole else 0
    found["footer_lines"] = len(body) - body.index(filled[-footers]) if footers else 0
    rest = filled[: len(filled) - footers]
    return found | _ends(first, rest, has_header=has_header) | _names(names, rest, has_header=has_header)


def _are_records(titles: Sequence[Record]) -> bool:
    """Whether lines are rather a table than titles, or names with a value each."""
    return sum(_filled(one) >= _FEW_TEXTS for one in titles) > _FEW_TEXTS


def _has_titles(tried: _Tried, first: Record, *, has_header: bool) -> bool:
    # above records without a header a line that cannot be read is one of them: it is rejected, and not left out
    return any(one.line < first.line and (has_header or not one.why) for one in tried.records)


def _first(block: Sequence[Record], width: int) -> Record:
    """Return the header or the first record: the first line that is not a title, which has one value or few."""
    counts = sorted(filter(None, map(_filled, block))) or [1]
    # also where most lines have one value, a title is not the line of names
    usual = max(counts[len(counts) // 2], min(2, counts[-1]))
    needed = min(usual, (width + 1) // 2) if width >= _FEW_TEXTS else 1
    found = [place for place, one in enumerate(block) if _filled(one) >= needed] or [0]
    first, *more = (block[place] for place in found[:2])
    if not more or not _is_sentence(first) or holds_data([field or "" for field in more[0].fields]):
        return first
    # where the columns hold data a sentence above two lines without any is a title
    body = block[found[1] + 1 :]
    columns = [place for place in range(width) if _is_of_data(body, place)]
    return more[0] if len(columns) > width * _SOME else first


def _filled(record: Record) -> int:
    return sum(field is not None for field in record.fields)


def _is_sentence(record: Record) -> bool:
    """Whether a line is a title although it has as many fields as a record."""
    return any(len(field) > _LONG_NAME and len(field.split()) > _FEW_TEXTS for field in record.fields if field)


def _is_header(first: Record, body: Sequence[Record], width: int) -> bool:
    cells = [field or "" for field in first.fields]
    named = [cell for cell in cells if cell.strip()]
    if any(len(cell) > _LONGEST_NAME for cell in named):
        return False
    if not holds_data(named):
        return bool(named)
    if not body:
        return False
    # of columns of data most have a name that is not data, or a year
    columns = [place for place in range(min(width, len(cells))) if _is_of_data(body, place)]
    apart = [place for place in columns if cells[place].strip() and _is_name_above(cells[place], body, place)]
    return len(apart) > len(columns) * _SOME


def _is_name_above(cell: str, body: Sequence[Record], place: int) -> bool:
    if not is_data(cell):
        return True
    values = [one.fields[place] for one in body if place < len(one.fields)]
    return bool(_YEAR.fullmatch(cell)) and not any(_YEAR.fullmatch(value) for value in values if value)


def _is_of_data(body: Sequence[Record], place: int) -> bool:
    values = [one.fields[place] for one in body if place < len(one.fields) and one.fields[place]]
    return bool(values) and sum(is_data(value or "") for value in values) >= _MOST * len(values)


def _footers(filled: Sequence[Record], width: int) -> int:
    """Return how many records at the end are of another form than those before."""
    last = [*takewhile(lambda one: _width(one) < width and len(one.fields) < width, reversed(filled))]
    if not 0 < len(last) <= _MOST_FOOTERS or len(last) >= len(filled) * _SOME:
        return 0
    above = filled[: len(filled) - len(last)]
    return 0 if any(_is_cut_record(one, above) for one in last) else len(last)


def _is_cut_record(one: Record, above: Sequence[Record]) -> bool:
    """Whether a short record has what those above it have: it is one of them that lacks its end, and no footer."""
    cells = [(place, cell) for place, cell in enumerate(one.fields) if cell]
    return len(cells) > 1 and all(is_data(cell) == _is_of_data(above, place) for place, cell in cells)


def _ends(first: Record, body: Sequence[Record], *, has_header: bool) -> dict[str, Any]:
    """Return whether records end with a delimiter, or with fewer fields than the header has."""
    width = len(first.fields)
    if has_header and width > 1 and first.fields[-1] is None and all(map(_is_shorter(width), body)):
        return {"trailing_delimiter": True, **_short(body, width - 1)}
    more = [one for one in body if len(one.fields) == width + 1]
    # one line that has a delimiter too many is shifted somewhere
    if len(more) > _MOST * len(body) and all(one.fields[-1] is None for one in more):
        return {"trailing_delimiter": True, **_short(body, width)}
    return _short(body, width)


def _is_shorter(width: int) -> Callable[[Record], bool]:
    """Return whether a record has fewer fields, or nothing in the last one."""
    return lambda one: len(one.fields) < width or (len(one.fields) == width and one.fields[-1] is None)


def _short(body: Sequence[Record], width: int) -> dict[str, Any]:
    short = [len(one.fields) < width for one in body]
    # what is short from one line to the end is another table
    is_another = any(short) and not all(short) and all(short[short.index(True) :])
    return {"fill_short": True} if sum(short) > _RARE * len(body) and not is_another else {}


def _is_below_names(record: Record) -> bool:
    """Whether a line continues the names above it: its first field is empty, and none is a number or a time."""
    filled = [field for field in record.fields if field]
    return record.fields[0] is None and bool(filled) and not holds_data(filled)


def _names(header: Sequence[Record], body: Sequence[Record], *, has_header: bool) -> dict[str, Any]:
    if not has_header:
        return {}
    names = [name.casefold() for name in joined_names([one.fields for one in header])]
    is_trailing = len(names) > 1 and not names[-1] and all(_width(one) < len(names) for one in body)
    names = names[:-1] if is_trailing else names
    return {"repair_names": True} if "" in names or len({*names}) < len(names) else {}
