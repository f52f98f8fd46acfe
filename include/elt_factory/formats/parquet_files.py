"""Parquet files as DuckDB can read them without loss, and the types that they say themselves.

DuckDB makes a double of a decimal of more than 38 digits, cuts INT96, an old form of timestamps, to microseconds, and
does not look at the checksums of pages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.values import MAX_PRECISION, ColumnType
from elt_factory.core.failures import BadDataError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BATCH_ROWS = 64 * 1024
_NANOSECONDS = 1000  # of a microsecond
_LONGEST = 2**63 // _NANOSECONDS - 1  # microseconds since 1970 that have their nanoseconds in 64 bits
_FARTHEST = 2**63 // 1000 - 1  # milliseconds since 1970 that have their microseconds in 64 bits
_YEAR_10000 = 253_402_300_800_000_000
_TEXT = ColumnType("text")
_OF_TEXT = ("STRING", "ENUM")
_SIGNATURE = 28  # bytes behind the footer of a file of which columns are encrypted, as Parquet says: nonce and tag
_ENCRYPTED = b"PARE"  # what a file ends with of which the footer is, too
_TRAILER = struct.Struct("<I4s")  # the length of the footer
_FIELDS_BEFORE_CHECKSUM, _LONGEST_FIELD = 3, 6  # bytes: its type, and 32 bits by seven
_NEXT_I32, _MORE_BYTES = 0x15, 0x80


@dataclass(frozen=True)
class ParquetFiles:
    """Files in the order that they were given in, their rows, and the types that columns have whatever their values."""

    files: tuple[Path, ...]
    rows: int
    types: Mapping[str, ColumnType]


def as_readable(files: Sequence[Path], folder: Path) -> ParquetFiles:
    """Return the files; in place of those that DuckDB would change values of, copies below `folder`.

    A decimal of more than 38 digits is one of 38 in a copy where all values fit, else text. INT96 with nanoseconds is
    another type of timestamp there. A column of text is text, whatever it looks like.

    Raises:
        BadDataError: a file is not Parquet, has such values within a list, map or struct, or a page's checksum is not
            that of its bytes.
    """
    rows, readable = 0, []
    types: dict[str, ColumnType] = {}
    for number, file in enumerate(files):
        with _own_errors(file):
            looked = _look(file)
            rows += looked.rows
            readable.append(file)
            found = dict.fromkeys(looked.text, _TEXT)
            if looked.needs_copy:
                readable[-1] = folder / f"{number:06}" / file.name
                found |= _copy(file, looked, readable[-1])
            # text holds what the other files have, too
            types |= {name: kind for name, kind in found.items() if types.get(name) != _TEXT}
    return ParquetFiles(tuple(readable), rows, types)


@dataclass(frozen=True)
class _Looked:
    """A file's rows, the names of its columns of text, and what DuckDB cannot read of it.

    These are decimals of more than 38 digits, INT96 with nanoseconds, and milliseconds beyond its microseconds.
    """

    rows: int
    text: Sequence[str]
    wide: bool
    nanoseconds: bool
    far: bool

    @property
    def needs_copy(self) -> bool:
        """Whether DuckDB cannot read all of it."""
        return self.wide or self.nanoseconds or self.far


def _look(file: Path) -> _Looked:
    from pyarrow import parquet

    footer = _footer_bytes(file)
    with parquet.ParquetFile(file) as source:
        # to ask for the metadata of an encrypted column would end this process
        if footer == source.metadata.serialized_size + _SIGNATURE:
            raise _encrypted(file)
        schema, rows = source.metadata.schema, source.metadata.num_rows
        checked = _has_checksums(file, source.metadata)
    if checked:
        _verify(file)
    columns = [schema.column(index) for index in range(len(schema))]
    wide = [one for one in columns if one.logical_type.type == "DECIMAL" and one.precision > MAX_PRECISION]
    int96 = [(index, one) for index, one in enumerate(columns) if one.physical_type == "INT96"]
    fine = [one for index, one in int96 if _has_nanoseconds(file, index, one.path)]
    far = [one for index, one in enumerate(columns) if _is_of_milliseconds(one) and _is_far(file, index)]
    _refuse_within(file, wide, fine, far)
    text = [one.name for one in columns if one.logical_type.type in _OF_TEXT and _is_outermost(one)]
    return _Looked(rows, text, bool(wide), bool(fine), bool(far))


def _refuse_within(
    file: Path,
    wide: Sequence[parquet.ColumnSchema],
    fine: Sequence[parquet.ColumnSchema],
    far: Sequence[parquet.ColumnSchema],
) -> None:
    """Refuse what DuckDB cannot read within another value: a copy can change columns only."""
    said = [(column, f"a decimal with {column.precision} digits") for column in wide]
    said += [(column, "a time with nanoseconds") for column in fine]
    said += [(column, "a time some of whose values are 300,000 years away") for column in far]
    for column, what in said:
        if not _is_outermost(column):
            raise BadDataError(
                f"{file.name}: {column.path} is {what} within another value, which cannot be read without loss; hint: "
                "write it as text"
            )


def _is_of_milliseconds(column: parquet.ColumnSchema) -> bool:
    kind = column.logical_type
    return bool(kind.type == "TIMESTAMP") and '"milliseconds"' in kind.to_json()


def _is_far(file: Path, index: int) -> bool:
    """Whether a column of milliseconds, that of an index, has times that microseconds of 64 bits do not reach."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    with parquet.ParquetFile(file) as source:
        metadata = source.metadata
        of_groups = [metadata.row_group(number).column(index).statistics for number in range(metadata.num_row_groups)]
        if all(one is not None and one.has_min_max for one in of_groups):
            return any(max(abs(one.min_raw), abs(one.max_raw)) > _FARTHEST for one in of_groups)
        for batch in _column_batches(source, index):
            ends = pc.min_max(batch.cast(pa.int64())).as_py().values()
            if any(end is not None and abs(end) > _FARTHEST for end in ends):
                return True
    return False


def _footer_bytes(file: Path) -> int | None:
    """Return how long a file says that its footer is, with what follows the metadata in it; None where it is cut off.

    Raises:
        BadDataError: the footer is encrypted.
    """
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(size - _TRAILER.size, 0))
        trailer = opened.read()
    if len(trailer) < _TRAILER.size:
        return None
    length, magic = _TRAILER.unpack(trailer)
    if magic == _ENCRYPTED:
        raise _encrypted(file)
    return int(length)


def _encrypted(file: Path) -> BadDataError:
    return BadDataError(f"{file.name} is encrypted, and no key is known; hint: write it without encryption")


def _has_checksums(file: Path, metadata: parquet.FileMetaData) -> bool:
    """Whether the first page has a checksum: a writer gives one to all pages or to none.

    The header of a page is Thrift's compact protocol: fields 1 to 3, each of the type i32, then 4, the checksum, which
    may be left out. https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
    """
    # a damaged footer may name columns that its row groups do not have
    if not metadata.num_row_groups or not metadata.row_group(0).num_columns:
        return False
    column = metadata.row_group(0).column(0)
    begin = column.dictionary_page_offset or column.data_page_offset
    with file.open("rb") as opened:
        opened.seek(begin)
        header = opened.read(_FIELDS_BEFORE_CHECKSUM * _LONGEST_FIELD + 1)
    at = 0
    for _ in range(_FIELDS_BEFORE_CHECKSUM):
        at += 1
        while at < len(header) and header[at] & _MORE_BYTES:
            at += 1
        at += 1
    return at < len(header) and header[at] == _NEXT_I32


def _verify(file: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(file, page_checksum_verification=True) as source:
        try:
            for _ in source.iter_batches(_BATCH_ROWS):
                pass
        except pa.ArrowNotImplementedError:
            return  # a type that Arrow does not know: DuckDB may
        except OSError as error:
            raise BadDataError(f"{file.name} is damaged, its bytes are not what was written: {error}") from None


def _is_outermost(column: parquet.ColumnSchema) -> bool:
    return bool(column.name == column.path and not column.max_repetition_level)


@contextmanager
def _own_errors(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{file.name} is not a Parquet file: {error}") from None


def _has_nanoseconds(file: Path, index: int, path: str) -> bool:
    """Whether a column of INT96, that of an index among all without columns of their own, says more than microseconds.

    Raises:
        BadDataError: it does and has times, too, that no count of nanoseconds in 64 bits reaches.
    """
    import pyarrow.compute as pc

    fine = far = False
    for micros, nanos in zip(_int96(file, index, "us"), _int96(file, index, "ns"), strict=True):
        # where 64 bits do not suffice for nanoseconds both sides lack the same
        rest = pc.subtract(nanos, pc.multiply(micros, _NANOSECONDS))
        # what is beyond the year 9999 is not a time of any warehouse, and rejected by the contract
        held = pc.less(pc.abs(micros), _YEAR_10000)
        fine = fine or pc.any(pc.and_(held, pc.not_equal(rest, 0))).as_py() is True
        far = far or pc.any(pc.greater(pc.abs(micros), _LONGEST)).as_py() is True
    if fine and far:
        raise BadDataError(
            f"{file.name}: {path} has nanosecond times, and times before 1678 or after 2261; hint: write it "
            "in microseconds or as text"
        )
    return fine


def _int96(file: Path, index: int, unit: str) -> Iterator[pa.Array]:
    """Yield the values of a column of INT96, also of one within others, as integers."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(file, coerce_int96_timestamp_unit=unit) as source:
        for values in _column_batches(source, index):
            yield values.cast(pa.int64())


def _column_batches(source: parquet.ParquetFile, index: int) -> Iterator[pa.Array]:
    """Yield the values of a column, that of an index among all without columns of their own, also of one within others.

    By its name it cannot be asked for: another one may have it, and `a.b` is that of `b` within `a`, too.
    """
    import pyarrow as pa

    groups = range(source.num_row_groups)
    for batch in source.reader.iter_batches(_BATCH_ROWS, row_groups=groups, column_indices=[index]):
        values = batch.column(0)
        while pa.types.is_nested(values.type):
            values = values.field(0) if pa.types.is_struct(values.type) else values.values
        yield values


def _copy(file: Path, looked: _Looked, target: Path) -> dict[str, ColumnType]:
    """Write a copy that DuckDB can read; returns the types of the columns that are text in it.

    Columns are known by their positions: two may have one name, which is an error once they are read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    unit = "ns" if looked.nanoseconds else "us"
    target.parent.mkdir(parents=True, exist_ok=True)
    kinds = _kinds_for(file) if looked.wide else {}
    with parquet.ParquetFile(file, coerce_int96_timestamp_unit=unit) as source:
        fields = list(source.schema_arrow)
        if looked.far:
            kinds |= {index: pa.string() for index, field in enumerate(fields) if _is_moment(field.type)}
        as_held = [field.with_type(kinds.get(index, field.type)) for index, field in enumerate(fields)]
        schema = pa.schema(as_held, metadata=source.schema_arrow.metadata)
        with parquet.ParquetWriter(target, schema) as writer:
            for batch in source.iter_batches(_BATCH_ROWS):
                columns = [
                    _as(column, kinds[index]) if index in kinds else column
                    for index, column in enumerate(batch.columns)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return {fields[index].name: _type_of(fields[index].type) for index, kind in kinds.items() if kind == pa.string()}


def _is_moment(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind)) and kind.unit == "ms"


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values as those of another type; a time of a year that Arrow cannot write is a number that says so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _is_moment(values.type):
        return values.cast(kind)
    count = values.cast(pa.int64())
    year_is_usual = pc.less(pc.abs(count), _YEAR_10000 // 1000)
    # a name of a zone says nothing of a moment, and this machine need not know it
    moments = pc.if_else(year_is_usual, count, 0).cast(pa.timestamp("ms", "UTC" if values.type.tz else None))
    numbers = pc.binary_join_element_wise(count.cast(pa.string()), "ms since 1970", " ")
    return pc.if_else(year_is_usual, moments.cast(pa.string()), numbers)


def _type_of(kind: pa.DataType) -> ColumnType:
    """Return the type of a column that is text in a copy: a time stays one, and what its type does not hold is bad."""
    if not _is_moment(kind):
        return _TEXT
    return ColumnType("timestamp" if kind.tz else "datetime")


def _kinds_for(file: Path) -> dict[int, pa.DataType]:
    """Return the types that hold the values of the decimals of a file that have more than 38 digits, by position."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(file) as source:
        fields = list(source.schema_arrow)
        digits = {index: 0 for index, field in enumerate(fields) if pa.types.is_decimal256(field.type)}
        for batch in source.iter_batches(_BATCH_ROWS):
            for index, most in digits.items():
                digits[index] = max(most, _whole_digits(batch.column(index)))
    return {index: _kind_for(most, fields[index].type.scale) for index, most in digits.items()}


def _whole_digits(values: pa.Array) -> int:
    """Return the most digits before the point."""
    import pyarrow.compute as pc

    ends = [end.as_py() for end in pc.min_max(values).values() if end.is_valid]
    # abs() would round to the digits of Python's decimal context
    return max((len(f"{end.copy_abs():f}".partition(".")[0]) for end in ends), default=0)


def _kind_for(whole: int, scale: int) -> pa.DataType:
    import pyarrow as pa

    fits = 0 <= scale <= MAX_PRECISION - whole
    return pa.decimal128(MAX_PRECISION, scale) if fits else pa.string()
