"""CSV lines that DuckDB takes for records and that are none: found before the records are read, and put aside.

DuckDB passes over fields beyond the last column where they have no value. But a line of more fields than columns is
shifted somewhere, and no one knows where, so `1,a,,` is not a record of three columns.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, TYPE_CHECKING

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.sql_text import text_literal
from elt_factory.extract.request import Spool
from elt_factory.extract.whole_quotes import quoted_text, spaces_around
from elt_factory.landing import csv_sql
from elt_factory.landing.csv_files import by_header, comes_from_others, refuse_second_table

if TYPE_CHECKING:
    import duckdb

_CHUNK = 1024 * 1024
_GAPS = (b"\n\n", b"\n\r\n", b"\r\r")
_GAPS_OF_LINE_FEEDS = _GAPS[:1]
_LINES = 1000


@dataclass(frozen=True)
class _Looks:
    """What the bytes of a file can be: lines with a surplus of empty fields, a blank line in the middle."""

    surplus: bool
    gap: bool


def sift_csv(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path) -> Spool:
    """Return the files with something in place of the lines that have too many fields.

    These are in the table `surplus`.

    Raises:
        BadDataError: a file in which a second table follows the first.
    """
    connection.execute(csv_sql.NO_SURPLUS)
    if not comes_from_others(spool) or spool.tidy:
        return spool
    doubtful = {
        header: found for header, files in by_header(spool).items() if (found := _doubtful(files, header, spool))
    }
    if not doubtful:
        return spool
    if spool.csv.encoding != "utf-8":
        form = spool.csv.model_copy(update={"encoding": "utf-8"})
        return sift_csv(connection, replace(spool, files=_in_utf8(spool.files, workdir / "utf8"), csv=form), workdir)
    for header, files in doubtful.items():
        _note_surplus(connection, files, header, spool)
    return replace(spool, files=tuple(_clean(connection, spool, workdir / "sifted")))


def forget_broken_lines(connection: duckdb.DuckDBPyConnection) -> None:
    """DROP what DuckDB noted of broken lines where they do not count: they do once, when the rows are read."""
    for table in ("reject_errors", "reject_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def has_broken_lines(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether DuckDB noted some, where it read CSV at all."""
    import duckdb

    with suppress(duckdb.CatalogException):
        return bool(connection.execute("SELECT 1 FROM reject_errors LIMIT 1").fetchall())
    return False


def _doubtful(files: Sequence[str], header: Sequence[str], spool: Spool) -> list[Path]:
    found = []
    for file in map(Path, files):
        looks = _look(file, len(header), spool.csv)
        if looks.gap and len(header) > 1:
            refuse_second_table(file, header, spool.csv)
        if looks.surplus:
            found.append(file)
    return found


def _clean(connection: duckdb.DuckDBPyConnection, spool: Spool, folder: Path) -> Iterator[Path]:
    record = _record(spool.csv)
    for number, file in enumerate(spool.files):
        copy = folder / f"{number:06}" / file.name
        yield copy if _without_surplus(connection, file, copy, record) else file


def _look(file: Path, columns: int, form: CsvFormat) -> _Looks:
    """Return a pass over the bytes: it may find what is not there, never the other way round."""
    delimiter, quote = form.delimiter.encode(form.encoding), form.quote.encode(form.encoding)
    words = [re.escape(word.encode(form.encoding, "replace")) for word in form.null_values]
    ending = re.compile(re.escape(delimiter) + b"(?:" + b"|".join(words) + rb")(?=[\r\n])")
    fields = [delimiter + word.encode(form.encoding, "replace") for word in form.null_values]
    surplus = gap = False
    for block, last in _blocks(file):
        returns = b"\r" in block
        gaps = _GAPS if returns else _GAPS_OF_LINE_FEEDS
        gap = gap or any(sign in (block.rstrip(b"\r\n") if last else block) for sign in gaps)
        ends = (b"\n", b"\r") if returns else (b"\n",)
        if not surplus and any(field + end in block for field in fields for end in ends):
            surplus = any(
                line.count(delimiter) >= columns or line.count(quote) % 2 for line in _ending_so(block, ending)
            )
        if surplus and gap:
            break
    return _Looks(surplus, gap)


def _ending_so(block: bytes, ending: re.Pattern[bytes]) -> Iterator[bytes]:
    """Yield the lines that end with a field without a value; of a record over many lines the last one."""
    line_end = b"\n" if b"\n" in block else b"\r"
    for match in ending.finditer(block):
        begin = block.rfind(line_end, 0, match.start()) + 1
        yield block[max(begin, block.rfind(b"\r", begin, match.start()) + 1) : match.end()]


def _blocks(file: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield a file in pieces of whole lines, the last one ended by a line break; and whether it is the last."""
    with file.open("rb") as source:
        rest = b""
        while chunk := source.read(_CHUNK):
            rest += chunk
            whole = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, -1)) + 1
            if whole:
                # a line break begins the next block too, so that a blank line between both is seen
                yield rest[:whole], False
                rest = rest[whole - 1 :]
        yield rest + b"\n", True


def _in_utf8(files: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Return copies of files in latin-1 for which DuckDB says places in bytes as they are in the file."""
    copies = []
    for number, file in enumerate(files):
        copy = folder / f"{number:06}" / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with (
            file.open(encoding="latin-1", newline="") as source,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            shutil.copyfileobj(source, target, _CHUNK)
        copies.append(copy)
    return tuple(copies)


def _note_surplus(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], header: Sequence[str], spool: Spool
) -> None:
    """INSERT of the lines with too many fields, also of those that have nothing in them."""
    # where nothing means no value, nothing is passed over
    form = spool.csv
    strict = form.model_copy(update={"null_values": ()})
    relation = csv_sql.read([*map(str, files)], header, strict, spool.longest)
    connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
    replaced = text_literal(form.delimiter.join(["x"] * (len(header) + 1)))
    lines = f"SELECT * EXCLUDE (too_many), {replaced} AS replaced FROM ({csv_sql.BROKEN}) WHERE too_many"
    connection.execute(f"INSERT INTO surplus BY NAME {lines}")
    forget_broken_lines(connection)


def _record(form: CsvFormat) -> re.Pattern[bytes]:
    """Return the pattern of one record, as DuckDB reads it."""
    quote, delimiter = (re.escape(sign.encode()) for sign in (form.quote, form.delimiter))
    field = rb"(?:(?!%b)[^\r\n])*+" % delimiter
    if quote:
        before, behind = spaces_around(form.delimiter.encode())
        quoted = quote + quoted_text(form.quote.encode()) + quote + behind
        field = rb"(?:(?:%b)?%b(?=%b|[\r\n]|\Z)|%b)" % (before, quoted, delimiter, field)
    return re.compile(rb"%b(?:%b%b)*+" % (field, delimiter, field))


def _without_surplus(connection: duckdb.DuckDBPyConnection, file: Path, copy: Path, record: re.Pattern[bytes]) -> bool:
    """Copy a file with something in place of its surplus lines that DuckDB rejects; False where it has none."""
    cursor = connection.cursor()
    name = text_literal(str(file))
    cursor.execute(f"SELECT begins, replaced FROM surplus WHERE file = {name} ORDER BY begins")
    lines = cursor.fetchmany(_LINES)
    if not lines:
        return False
    copy.parent.mkdir(parents=True, exist_ok=True)
    with (
        file.open("rb") as opened,
        mmap(opened.fileno(), 0, access=ACCESS_READ) as source,
        copy.open("wb") as target,
    ):
        while lines:
            for begins, replaced in lines:
                _copy_bytes(source, target, begins - source.tell())
                # where it ends is not said: of a long record DuckDB keeps the beginning alone
                if found := record.match(source, begins):
                    source.seek(found.end())
                target.write(replaced.encode())
            lines = cursor.fetchmany(_LINES)
        shutil.copyfileobj(source, target, _CHUNK)
    connection.execute(f"UPDATE surplus SET file = {text_literal(str(copy))} WHERE file = {name}")
    return True


def _copy_bytes(source: mmap, target: IO[bytes], count: int) -> None:
    while count > 0:
        piece = source.read(min(count, _CHUNK))
        target.write(piece)
        count -= len(piece)
