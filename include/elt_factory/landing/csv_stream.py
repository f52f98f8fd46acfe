"""CSV that a database's reader is still writing, for DuckDB: a stream of batches of text columns.

DuckDB's own reader of CSV reads files that are all there. What both make of a record is the same: a field without
quotes and without a text has no value, one in quotes is a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.landing import lines

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from elt_factory.extract.growing import Growing

_NAME = "rows_so_far"
_QUOTE, _LINE_END = b'"', b"\n"


def offer(connection: duckdb.DuckDBPyConnection, growing: Growing, header: Sequence[str]) -> str:
    """Let a connection read CSV of one header that grows; returns the relation, whose columns are text.

    Each statement reads all from the beginning. It fails where a record has not these columns, is not text in UTF-8, or
    is longer than a batch.
    """
    schema = _schema(header)
    connection.register(_NAME, lines.Stream(schema, partial(_batches, growing, schema)))
    return _NAME


def end_of_records(chunk: bytes) -> int:
    """Return where the last whole record of a chunk ends: a line break with all quotes before it closed.

    Raises:
        BrokenLinesError: a record is longer than the chunk.
    """
    end = chunk.rfind(_LINE_END) + 1
    quotes = chunk.count(_QUOTE, 0, end)
    while quotes % 2:
        begin = chunk.rfind(_LINE_END, 0, end - 1) + 1
        quotes -= chunk.count(_QUOTE, begin, end)
        end = begin
    if not end:
        raise lines.BrokenLinesError
    return end


def _schema(header: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in header])


def _batches(growing: Growing, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    header = b",".join([b'""'] * len(schema)) + _LINE_END
    begun: set[Path] = set()
    for file, piece in growing.pieces(lines.BATCH_BYTES, end_of_records):
        # a text may begin with what Arrow takes for the byte order mark of a file: no record is the first of its bytes
        yield _read(header + piece if file in begun else piece, schema).slice(1)
        begun.add(file)


def _read(records: bytes, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa
    from pyarrow import csv

    reading = csv.ReadOptions(use_threads=False, block_size=len(records) + 1, column_names=schema.names)
    parsing = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    converting = csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    table = csv.read_csv(pa.BufferReader(records), reading, parsing, converting)
    (batch,) = table.combine_chunks().to_batches()
    return batch
