"""Lines of NDJSON files for DuckDB: a stream of batches of about a megabyte, whatever the files and the records are.

DuckDB's own reader of JSON takes 32 MB for each thread, and as much for each file whose columns it looks for, however
small the files are; and it looks for columns in the first 32 files alone. Through this stream a thread holds one batch.
"""

from __future__ import annotations

import codecs
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from os import SEEK_CUR
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from elt_factory.core.failures import BadDataError
from elt_factory.extract.line_looks import LONG, LineLook, decodes, look_at
from elt_factory.landing import limits
from elt_factory.landing.file_names import PATH, ROW

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

    from elt_factory.extract.growing import Growing
    from elt_factory.extract.request import Spool

_Bytes = bytes | memoryview
# pieces of files, each of whole lines and of at most as many bytes as are asked for, or of one line
_Pieces = Callable[[int], Iterable[tuple[Path, _Bytes]]]

BATCH_BYTES = 1024 * 1024
LINES, BROKEN_LINES = "lines", "broken_lines"  # what DuckDB calls such streams
BOM = b"\xef\xbb\xbf"
_SPACES = tuple(b" \t\r\n")
_STEP = 64 * 1024
_NOT_SEEN: Mapping[Path, LineLook] = MappingProxyType({})
_MANY = 1000  # files whose lines are one batch, so that small files cost no batch each


class BrokenLinesError(BadDataError):
    """Some lines are not records."""

    def __init__(self) -> None:
        super().__init__("some lines are not JSON objects, or repeat a key")


@dataclass(frozen=True)
class Sizes:
    """The bytes of the longest line, and whether lines are so long that a batch has few of them."""

    longest: int = 0
    are_long: bool = False


def offer(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    name: str = LINES,
    seen: Mapping[Path, LineLook] = _NOT_SEEN,
) -> Sizes:
    """Let a connection read files as the relation `name`: `json`, the file and the number of each line.

    A line has its line break at the end; blank lines are left out. Files that were `seen` already are not looked at
    again. Each statement reads the files again.

    Raises:
        BrokenLinesError: a line is longer than any record may be, or not all is text in UTF-8.
    """
    looks = [seen.get(file) or look_at(file) for file in files]
    longest = max((look.longest for look in looks), default=0)
    if longest > limits.RECORD_BYTES or not all(look.is_text for look in looks):
        raise BrokenLinesError
    connection.register(name, _stream(partial(_pieces_of, tuple(files))))
    return Sizes(longest, any(look.are_long for look in looks))


def offer_again(connection: duckdb.DuckDBPyConnection, spool: Spool) -> None:
    """`offer` of files in which nothing is new: what is said of them holds."""
    connection.register(LINES, _stream(_of_spool(spool)))


@contextmanager
def only_first(connection: duckdb.DuckDBPyConnection, spool: Spool, part: int = 1) -> Iterator[None]:
    """Let a connection read no more of an offered spool than the first batch, or a part of it, in the block."""
    connection.register(LINES, _stream(_of_spool(spool), most=1, part=part))
    try:
        yield
    finally:
        offer_again(connection, spool)


def _of_spool(spool: Spool) -> _Pieces:
    if spool.format != "ndjson":
        return partial(_pieces_of, ())
    if spool.growing is not None:
        return partial(_checked, spool.growing, spool.longest or 0)
    return partial(_pieces_of, spool.files)


def _pieces_of(files: Sequence[Path], most_bytes: int) -> Iterator[tuple[Path, _Bytes]]:
    return ((file, piece) for file in files for piece in _pieces(file, most_bytes))


def _checked(growing: Growing, longest: int, most_bytes: int) -> Iterator[tuple[Path, bytes]]:
    """Yield the pieces of files that grow; each is asked what `offer` and who calls it ask of whole files."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for file, piece in growing.pieces(most_bytes):
        if not decodes(decoder, piece) or _has_longer(piece, longest) or _has_long_lines(piece):
            raise BrokenLinesError
        yield file, piece


def _has_longer(piece: bytes, longest: int) -> bool:
    """Whether a line of a piece has more bytes; found by few looks where lines are short."""
    begin = 0
    while len(piece) - begin > longest:
        end = piece.rfind(b"\n", begin, begin + longest)
        if end < 0:
            return True
        begin = end + 1
    return False


def _has_long_lines(chunk: bytes) -> bool:
    """Whether the lines are long on average; a few line breaks are enough to know that they are not."""
    end = 0
    for _ in range(-(-len(chunk) // LONG) - 1):
        end = chunk.find(b"\n", end) + 1
        if not end:
            return True
    return False


@dataclass(frozen=True)
class Stream:
    """The protocol by which Arrow's streams are handed over, each time from the beginning."""

    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self.schema, self.batches()).__arrow_c_stream__(requested_schema)


def _stream(pieces: _Pieces, most: int | None = None, part: int = 1) -> Stream:
    """Return lines as a stream of at most that many batches, each a part of one of the usual size."""
    return Stream(_schema(), lambda: islice(_batches(pieces, BATCH_BYTES // part), most))


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("json", pa.string()), (PATH, pa.dictionary(pa.int32(), pa.string())), (ROW, pa.int64())])


def _batches(pieces: _Pieces, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    number, size = 0, 0
    waiting: list[tuple[Path, _Bytes]] = []
    for file, piece in pieces(batch_bytes):
        # two that are large would have to be copied into one
        if waiting and (size + len(piece) > batch_bytes or len(waiting) == _MANY):
            number, batch = _batch(waiting, number)
            size, waiting = 0, []
            yield batch
        waiting.append((file, piece))
        size += len(piece)
    if waiting:
        yield _batch(waiting, number)[1]


def _pieces(file: Path, most_bytes: int) -> Iterator[_Bytes]:
    """Yield a file in pieces of whole lines, each with a line break at its end, which are not copied once more."""
    with file.open("rb") as source:
        source.seek(len(BOM) if source.read(len(BOM)) == BOM else 0)
        while chunk := source.read(most_bytes):
            end = chunk.rfind(b"\n") + 1
            if end:
                source.seek(end - len(chunk), SEEK_CUR)
                yield memoryview(chunk)[:end]
            else:
                line = chunk + source.readline()
                yield line if line.endswith(b"\n") else line + b"\n"


def _batch(pieces: Sequence[tuple[Path, _Bytes]], number: int) -> tuple[int, pa.RecordBatch]:
    """Return the number of the line behind these lines, and those that are not blank."""
    import numpy as np
    import pyarrow as pa

    data = b"".join(piece for _, piece in pieces) if len(pieces) > 1 else pieces[0][1]
    letters = np.frombuffer(data, np.uint8)
    # in steps that stay in the processor's cache
    steps = range(0, len(letters), _STEP)
    ends = [(letters[step : step + _STEP] == ord("\n")).nonzero()[0] + (step + 1) for step in steps]
    places = np.concatenate([[0], *ends]).astype(np.int32)
    count = len(places) - 1
    lines = pa.StringArray.from_buffers(count, pa.py_buffer(places), pa.py_buffer(data))
    files = {file: place for place, file in enumerate(dict.fromkeys(file for file, _ in pieces))}
    counts = np.diff(np.searchsorted(places, [0, *accumulate(len(piece) for _, piece in pieces)]))
    came = np.repeat([files[file] for file, _ in pieces], counts).astype(np.int32)
    paths = pa.DictionaryArray.from_arrays(_numbers(pa.int32(), came), _texts([str(file).encode() for file in files]))
    rows = _numbers(pa.int64(), np.arange(number, number + count, dtype=np.int64))
    batch = pa.RecordBatch.from_arrays([lines, paths, rows], schema=_schema())
    begins = letters[places[:-1]]
    may_be_blank = np.isin(begins[begins <= max(_SPACES)], _SPACES).any()
    return number + count, _without_blanks(batch) if may_be_blank else batch


def _without_blanks(batch: pa.RecordBatch) -> pa.RecordBatch:
    # a condition of DuckDB's would do, but it gathers the lines that are left until there are a thousand
    import pyarrow.compute as pc

    return batch.filter(pc.not_equal(pc.ascii_trim_whitespace(batch.column("json")), ""))


def _texts(values: Sequence[bytes]) -> pa.StringArray:
    # pa.array would import pandas, which takes longer than most landings
    import pyarrow as pa

    ends = array("i", accumulate(map(len, values), initial=0))
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(b"".join(values)))


def _numbers(kind: pa.DataType, values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
