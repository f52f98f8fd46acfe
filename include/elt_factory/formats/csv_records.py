"""CSV in a dialect that the landing does not read itself: each record as JSON, or as what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.failures import BadDataError
from elt_factory.extract.bounded_lines import bounded_lines
from elt_factory.extract.csv_text import Record, joined_names, records, splitter
from elt_factory.extract.second_table import SecondTable
from elt_factory.formats.records import Bad
from elt_factory.landing import limits
from elt_factory.landing.csv_files import holds_values, other_delimiter, say_delimiter

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable


_LONGEST_LINE = 1024 * 1024  # of which its end is looked at
_LONGEST_NAME = 200  # of a column, with room for a number


def json_records(file: Path, name: str, form: CsvFormat, left_out: Counter[str]) -> Iterator[bytes | Bad]:
    """Yield the records of a file, which is in UTF-8 or as the YAML says in latin-1.

    Args:
        file: The file.
        name: What people call it.
        form: The dialect.
        left_out: Counts the lines that are left out, by what they are.

    Raises:
        BadDataError: its header is not one, or another table follows.
    """
    encoding = "latin-1" if form.encoding == "latin-1" else "utf-8-sig"
    # what is not of the encoding stays a sign that no text has, and its record is rejected
    with file.open(encoding=encoding, errors="surrogateescape", newline=_line_end(file)) as lines:
        bounded = bounded_lines(lines, limits.RECORD_BYTES)
        found = records(bounded, form, left_out, as_landed=form.is_plain)
        first = [*islice(found, form.header_lines if form.header else 1)]
        if not first:
            if form.header:
                raise BadDataError(
                    f"{name}: no header line; check skip_lines, footer_lines and comment, or set header: false"
                )
            return
        _refuse_other_delimiter(file, first[0], f"{name} line {first[0].line}", form)
        names = _names(first, name, form)
        again = first[0].fields if form.header else None
        seen = SecondTable(name, names)
        if not form.header:
            yield from _checked(first, names, form, again, seen)
        yield from _checked(found, names, form, again, seen)


def _line_end(file: Path) -> str:
    """Return how the lines of a file end: where the first one ends in a line feed, a return alone is text."""
    with file.open("rb") as content:
        first = content.readline(_LONGEST_LINE)
    return "\n" if first.endswith(b"\n") and b"\r" not in first[:-2] else ""


def _checked(
    found: Iterable[Record],
    names: Sequence[str],
    form: CsvFormat,
    header: Sequence[str | None] | None,
    seen: SecondTable,
) -> Iterator[bytes | Bad]:
    width = len(names)
    for record in found:
        if not record.why:
            seen.see([field or "" for field in record.fields], record.line, below_gap=record.below_gap)
        fields = _fitted(record.fields, width, form)
        if form.skip_blank and not record.why and not any(fields):
            continue
        why = record.why or _why_bad(record, fields, width, header)
        if why:
            yield Bad(f"line {record.line}: {why}", record.text.encode(errors="replace").decode())
        else:
            yield msgspec.json.encode(dict(zip(names, fields, strict=True)))


def _fitted(fields: tuple[str | None, ...], width: int, form: CsvFormat) -> tuple[str | None, ...]:
    if form.trailing_delimiter and len(fields) == width + 1 and not fields[-1]:
        return fields[:-1]
    if form.fill_short and len(fields) < width:
        return (*fields, *(None for _ in range(width - len(fields))))
    return fields


def _why_bad(record: Record, fields: Sequence[str | None], width: int, header: Sequence[str | None] | None) -> str:
    if len(fields) != width:
        return f"expected number of columns: {width} found: {len(fields)}"
    if header is not None and record.fields == header:
        return "the header line again"
    try:
        record.text.encode()
    except UnicodeEncodeError:
        return "the text is not of the encoding"
    return ""


def _refuse_other_delimiter(file: Path, first: Record, where: str, form: CsvFormat) -> None:
    """Refuse a file whose first line is one field by the dialect and several by another delimiter."""
    if len(first.fields) != 1 or len(form.names) == 1 or len(form.delimiter) > 1 or not form.quote:
        return
    if found := other_delimiter(file, form):
        raise BadDataError(f"{where}: the whole line is a single field, but {say_delimiter(found, form)}")


def _names(first: Sequence[Record], name: str, form: CsvFormat) -> list[str]:
    where = f"{name} line {first[0].line}"
    for record in first:
        if record.why:
            raise BadDataError(f"{name} line {record.line}: {record.why}")
    if not form.header:
        width = len(first[0].fields)
        if form.names and len(form.names) != width:
            raise BadDataError(f"{where}: {width} fields but {len(form.names)} names in format.names")
        return [*form.names] or [f"column_{number}" for number in range(1, width + 1)]
    # a name may be a word that stands for no value
    split = splitter(form.model_copy(update={"null_values": ()}), as_landed=form.is_plain)
    names = joined_names([split(record.text) for record in first])
    if form.trailing_delimiter and not names[-1] and len(names) > 1:
        names.pop()
    if holds_values(names):
        raise BadDataError(
            f"{where}: the header holds only numbers, times or addresses, like a record; add a line with names, or set "
            "format.header: false"
        )
    return repaired(names) if form.repair_names else _right(names, where)


def _right(names: list[str], where: str) -> list[str]:
    if "" in names:
        raise BadDataError(f"{where}: column without a name; hint: add repair_names: true")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadDataError(f"{where}: column {twice} is repeated; hint: add repair_names: true")
    return names


def repaired(names: Sequence[str]) -> list[str]:
    """Return names of which none is empty or repeated, also where letters are compared whatever their case."""
    found: list[str] = []
    taken = {name.casefold() for name in names if name}
    for number, name in enumerate(names, 1):
        base = name[:_LONGEST_NAME] or f"column_{number}"
        made, count = base, 1
        while made.casefold() in {one.casefold() for one in found} or (made != name and made.casefold() in taken):
            count += 1
            made = f"{base}_{count}"
        found.append(made)
    return found
