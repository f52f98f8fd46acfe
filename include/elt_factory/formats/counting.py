"""How many records a file has, found in another way than by reading them: what a load is compared with."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from elt_factory.config.models.formats import CsvFormat
from elt_factory.formats.utf16 import codec_of

_HEAD = 4096
_PIECE = 1024 * 1024
_LONGEST_FIELD = 2**31 - 1


def csv_records(form: CsvFormat, file: Path) -> int | None:
    """Return how many records Python's reader of CSV finds; None for a dialect that it does not read."""
    if len(form.delimiter) > 1 or form.comment or form.trim:
        return None
    csv.field_size_limit(_LONGEST_FIELD)
    doubled = form.escape in (None, form.quote)
    with _text(form, file) as lines:
        found = csv.reader(
            islice(lines, form.skip_lines, None),
            delimiter=form.delimiter,
            quotechar=form.quote or None,
            quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
            # an escape that is the quote itself is a quote that is doubled
            escapechar=None if doubled else form.escape,
            doublequote=doubled,
        )
        try:
            records = (one for one in _records(form, found) if not (form.skip_blank and not any(one)))
            return _without_last(islice(records, form.header_lines if form.header else 0, None), form.footer_lines)
        except csv.Error:
            return None


def _records(form: CsvFormat, found: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield what the reader of such a file takes for records: a blank line is one where there is a single column."""
    first = next((record for record in found if record), None)
    if first is None:
        return
    yield first
    alone = len(first) == 1 and form.is_plain
    yield from (record for record in found if record or alone)


def filled_lines(_: object, file: Path) -> int:
    """Return how many lines are not blank."""
    with file.open("rb") as content:
        encoding = codec_of(content.read(_HEAD), "utf-8")
        content.seek(0)
        lines = io.TextIOWrapper(content, encoding, errors="replace", newline="\n")
        count, filled = 0, False
        # the line may be as long as the file
        for piece in iter(partial(lines.readline, _PIECE), ""):
            filled = filled or bool(piece.strip("\ufeff \t\r\n\v\f"))
            if piece.endswith("\n"):
                count, filled = count + filled, False
        return count + filled


def parquet_rows(_: object, file: Path) -> int:
    """Return what the file's own footer says."""
    from pyarrow import parquet

    return int(parquet.read_metadata(file).num_rows)


def orc_rows(_: object, file: Path) -> int:
    """Return what the file's own footer says."""
    from pyarrow import orc

    return int(orc.ORCFile(str(file)).nrows)


def avro_rows(_: object, file: Path) -> int:
    """Return what the file's own blocks say."""
    import fastavro

    with file.open("rb") as content:
        return sum(block.num_records for block in fastavro.block_reader(content))


def _text(form: CsvFormat, file: Path) -> io.TextIOWrapper:
    return file.open(encoding=codec_of(_head(file), form.encoding), errors="replace", newline="")


def _head(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(_HEAD)


def _without_last(records: Iterator[list[str]], last: int) -> int:
    kept = deque[list[str]](maxlen=last)
    count = 0
    for record in records:
        count += 1
        kept.append(record)
    return max(count - len(kept), 0)
