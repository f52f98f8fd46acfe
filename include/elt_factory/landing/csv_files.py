"""CSV files as the landing reads them: the columns of each, and what shows that one is written in another way."""

from __future__ import annotations

import csv as csv_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec

from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.table import loaded_name
from elt_factory.core.failures import BadDataError
from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.extract.dialect import delimiter_of, holds_data, quote_of
from elt_factory.extract.request import Spool
from elt_factory.extract.second_table import SecondTable
from elt_factory.extract.sniffing import in_yaml, sniffed
from elt_factory.landing.schema import KnownTable

_FEW, _SHOWN = 2, 5
_SNIFFED_BYTES = 1024 * 1024
_LOOKED_AT = 50  # lines that show how a file is cut into fields
_MOST = 0.9


def by_header(spool: Spool) -> dict[tuple[str, ...], list[str]]:
    """CSV files grouped by their header lines, so that columns are matched by name and never by place."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for header, file in zip(headers_of(spool), spool.files, strict=True):
        groups.setdefault(header, []).append(str(file))
    return groups


def headers_of(spool: Spool) -> tuple[tuple[str, ...], ...]:
    """Return the names of the columns of each file."""
    if spool.headers is not None:
        return spool.headers
    if comes_from_others(spool):
        return tuple(_header(file, spool.csv) for file in spool.files)
    return tuple(map(_own_header, spool.files))


def by_first_record(spool: Spool) -> dict[tuple[str, ...], list[str]]:
    """NDJSON files of texts grouped by the names in their first records; those without any are left out."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for file in spool.files:
        with file.open("rb") as lines:
            if first := lines.readline():
                groups.setdefault(tuple(msgspec.json.decode(first)), []).append(str(file))
    return groups


def _own_header(file: Path) -> tuple[str, ...]:
    """Return the names that a reader of a database wrote, to the letter: `a;b` is one column."""
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(next(csv_module.reader(lines), ()))


def comes_from_others(spool: Spool) -> bool:
    """Whether CSV may be written in any way: not by a reader of a database, which counts its rows."""
    return spool.format == "csv" and spool.rows_read is None


def is_header_again(header: Sequence[str], spool: Spool) -> str:
    """Return the condition that a record is the header line again, as where files were put together."""
    if not (spool.csv.header and comes_from_others(spool)):
        return "FALSE"
    signs = "' ' || chr(9) || chr(13) || chr(65279)"

    def says(name: str, test: str) -> str:
        # a name that is also a word for no value is read as none
        return f"coalesce({test}, {str(name in spool.csv.null_values).upper()})"

    every = (says(name, f"trim({identifier(name)}, {signs}) = {text_literal(name)}") for name in header)
    # trimming costs more than all casts: only a row that has the longest name is looked at
    rare = max(header, key=len)
    may_be = says(rare, f"contains({identifier(rare)}, {text_literal(rare)})")
    return f"CASE WHEN {may_be} THEN {' AND '.join(every)} ELSE FALSE END"


def check_is_known(known: KnownTable, header: Sequence[str], files: Sequence[str]) -> None:
    """Refuse files without any of the columns that YAML and table name, if these are two or more.

    A single one may be a column that only some files have.
    """
    table, existing = known.table, known.existing or {}
    named = dict.fromkeys([*table.columns, *table.primary_key, *existing])
    if len(named) < _FEW or any(name in named or name in existing for name in map(loaded_name, header)):
        return
    raise BadDataError(
        f"{known.label}: {Path(files[0]).name} line 1: no column of the table: the file has {_some(header)}, and "
        f"the table has {_some(list(named))}; check the file, format.header and format.delimiter"
    )


def other_delimiter(file: Path, form: CsvFormat) -> str | None:
    """Return the delimiter that cuts the first lines of a file into fields where the config's does not.

    None for none.
    """
    with _text(file, form) as stream:
        lines = [line for line in islice(stream, _LOOKED_AT) if line.strip()]
    found = delimiter_of(lines, form.quote)
    try:
        widths = [len(row) for row in csv_module.reader(lines, delimiter=found, quotechar=form.quote) if row]
    except csv_module.Error:
        return None
    fits = bool(widths) and widths[0] > 1 and widths.count(widths[0]) >= _MOST * len(widths)
    return found if fits and found != form.delimiter else None


def otherwise(file: Path, form: CsvFormat) -> str:
    """Return what to write for a file that is written in another way than the config says.

    Empty text where none is found.
    """
    if found := other_delimiter(file, form):
        return say_delimiter(found, form)
    with _text(file, form) as stream:
        quote = quote_of([line.rstrip("\r\n") for line in islice(stream, _LOOKED_AT)])
    # a file without any has the usual one
    if quote in (form.quote, '"'):
        return _as_sniffed(file, form)
    return f'fields are enclosed in {quote}, but the config says {form.quote}: write quote: "{quote}"'


def _as_sniffed(file: Path, form: CsvFormat) -> str:
    """Return the format that `elt new` would write for a file, where that is another one."""
    with file.open("rb") as content:
        head = content.read(_SNIFFED_BYTES)
    found = sniffed(head, whole=len(head) == file.stat().st_size).form
    # the file may be a copy in another encoding, and words for no value are the author's
    same = {"encoding": form.encoding, "null_values": form.null_values, "names": form.names}
    found = found.model_copy(update=same)
    return "" if found == form else f"it looks like format: {in_yaml(found)}"


def say_delimiter(found: str, form: CsvFormat) -> str:
    """Return what to write where a file has another delimiter than the config."""
    shown = {"\t": '"\\t"'}.get(found, f'"{found}"')
    return f'fields are separated by {shown}, but the config says "{form.delimiter}": write delimiter: {shown}'


def refuse_second_table(file: Path, names: Sequence[str], form: CsvFormat) -> None:
    """Refuse a file in which another table follows."""
    seen, gap = SecondTable(file.name, names), False
    with _text(file, form) as stream, _lenient():
        reader = csv_module.reader(stream, delimiter=form.delimiter, quotechar=form.quote)
        if form.header:
            next(reader, None)
        for row in reader:
            if row:
                seen.see(row, reader.line_num, below_gap=gap)
            gap = not row


def _header(file: Path, form: CsvFormat) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Its first line, else those that the config gives the fields of its first line.
    """
    first = _first_record(file, form)
    # who names the one column knows that it is one
    if len(first) == 1 and len(form.names) != 1 and (found := other_delimiter(file, form)):
        raise BadDataError(f"{file.name} line 1: the whole line is a single field, but {say_delimiter(found, form)}")
    if not form.header:
        return _given_names(file, first, form)
    header = tuple(name.strip() for name in first)
    if any("\ufffd" in name for name in header):
        raise BadDataError(f"{file.name} line 1: the text is not valid {form.encoding}; set format.encoding")
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if not header:
        raise BadDataError(
            f"{file.name} line 1: missing header line; add one as the first line, or set format.header: false"
        )
    if holds_values(header):
        raise BadDataError(
            f"{file.name} line 1: the header holds only numbers, times or addresses, like a record; add "
            "a line with names, or set format.header: false"
        )
    if "" in header:
        raise BadDataError(f"{file.name} line 1: column without a name; hint: add format.repair_names: true")
    if twice:
        raise BadDataError(f"{file.name} line 1: column {twice[0]} is repeated; hint: add format.repair_names: true")
    return header


def holds_values(header: Sequence[str]) -> bool:
    """Whether a header line is a record for certain: it has no name, and no numbering of the columns either."""
    numbered = [[str(start + place) for place in range(len(header))] for start in (0, 1)]
    return len(header) > 1 and all(holds_data([name]) for name in header) and list(header) not in numbered


def _first_record(file: Path, form: CsvFormat) -> tuple[str, ...]:
    try:
        with _text(file, form) as lines:
            # DuckDB, too, passes over a space before a quote
            reader = csv_module.reader(
                lines, delimiter=form.delimiter, quotechar=form.quote, skipinitialspace=form.delimiter != " "
            )
            return tuple(next(reader, ()))
    except (UnicodeError, csv_module.Error) as error:
        raise BadDataError(f"{file.name} line 1: cannot be read as {form.encoding}: {error}") from None


def _given_names(file: Path, first: Sequence[str], form: CsvFormat) -> tuple[str, ...]:
    names = form.names
    if names and len(names) != len(first):
        raise BadDataError(
            f"{file.name} line 1: {len(first)} fields but {len(names)} names in format.names; write one name "
            "per field, in order"
        )
    return names or tuple(f"column_{number}" for number in range(1, len(first) + 1))


@contextmanager
def _text(file: Path, form: CsvFormat) -> Iterator[Iterator[str]]:
    # a byte order mark is not part of the first name, which may be in quotes behind it
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    # a byte of another encoding further down is that line's own trouble
    with file.open(encoding=encoding, errors="replace", newline="") as lines:
        yield lines


@contextmanager
def _lenient() -> Iterator[None]:
    """Provide what the csv module refuses is for DuckDB to judge."""
    try:
        yield
    except csv_module.Error:
        return


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
