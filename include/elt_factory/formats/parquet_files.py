"""Parquet files as DuckDB can read them without loss, and the types that they say themselves.

DuckDB makes a double of a decimal of more than 38 digits, cuts INT96, an old form of timestamps, to microseconds, and
does not look at the checksums of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_YEAR_10000 = 253_402_300_800_000_000
_TEXT = ("STRING", "ENUM")
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

    A decimal of more than 38 digits is text in a copy, and by its type a decimal where all values fit into 38 digits,
    else text. INT96 with nanoseconds is another type of timestamp there. A column of text is text, whatever it looks
    like.

    Raises:
        BadDataError: a file is not Parquet, has such values within a list, map or struct, or a page's checksum is not
            that of its bytes.
    """
    rows, readable = 0, []
    types: dict[str, list[ColumnType]] = {}
    for number, file in enumerate(files):
        with _own_errors(file):
            looked = _look(file)
            rows += looked.rows
            readable.append(file)
            found = dict.fromkeys(looked.text, ColumnType("text"))
            if looked.wide or looked.nanoseconds:
                readable[-1] = folder / f"{number:06}" / file.name
                found |= _copy(file, looked, readable[-1])
            for name, kind in found.items():
                types.setdefault(name, []).append(kind)
    return ParquetFiles(tuple(readable), rows, {name: _widest(kinds) for name, kinds in types.items()})


@dataclass(frozen=True)
class _Looked:
    """A file's rows and, by name, its columns of text, of wider decimals, and of INT96 with nanoseconds."""

    rows: int
    text: Sequence[str]
    wide: Sequence[str]
    nanoseconds: Sequence[str]


def _look(file: Path) -> _Looked:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as source:
        schema, rows = source.metadata.schema, source.metadata.num_rows
        checked = _has_checksums(file, source.metadata)
    if checked:
        _verify(file)
    columns = [schema.column(index) for index in range(len(schema))]
    wide = [one for one in columns if one.logical_type.type == "DECIMAL" and one.precision > MAX_PRECISION]
    int96 = [one for one in columns if one.physical_type == "INT96"]
    fine = [one for one in int96 if _has_nanoseconds(file, one.path)]
    for column in (*wide, *fine):
        if not _is_outermost(column):
            what = f"a decimal with {column.precision} digits" if column in wide else "a time with nanoseconds"
            raise BadDataError(
                f"{file.name}: {column.path} is {what} within another value, which cannot be read without loss; hint: "
                "write it as text"
            )
    text = [one.name for one in columns if one.logical_type.type in _TEXT and _is_outermost(one)]
    return _Looked(rows, text, [one.name for one in wide], [one.name for one in fine])


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


def _has_nanoseconds(file: Path, path: str) -> bool:
    """Whether a column of INT96 says more than microseconds.

    Raises:
        BadDataError: it does and has times, too, that no count of nanoseconds in 64 bits reaches.
    """
    import pyarrow.compute as pc

    fine = far = False
    for micros, nanos in zip(_int96(file, path, "us"), _int96(file, path, "ns"), strict=True):
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


def _int96(file: Path, path: str, unit: str) -> Iterator[pa.Array]:
    """Yield the values of a column of INT96, also of one within others, as integers."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(file, coerce_int96_timestamp_unit=unit) as source:
        for batch in source.iter_batches(_BATCH_ROWS, columns=[path]):
            values = batch.column(0)
            while pa.types.is_nested(values.type):
                values = values.field(0) if pa.types.is_struct(values.type) else values.values
            yield values.cast(pa.int64())


def _copy(file: Path, looked: _Looked, target: Path) -> dict[str, ColumnType]:
    """Write a copy in which wide decimals are text, and return the type that holds the values of each."""
    import pyarrow as pa
    from pyarrow import parquet

    unit = "ns" if looked.nanoseconds else "us"
    digits = dict.fromkeys(looked.wide, 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with parquet.ParquetFile(file, coerce_int96_timestamp_unit=unit) as source:
        schema = source.schema_arrow
        as_text = pa.schema(
            [field.with_type(pa.string()) if field.name in digits else field for field in schema],
            metadata=schema.metadata,
        )
        with parquet.ParquetWriter(target, as_text) as writer:
            for batch in source.iter_batches(_BATCH_ROWS):
                for name in looked.wide:
                    digits[name] = max(digits[name], _whole_digits(batch.column(name)))
                writer.write_batch(batch.cast(as_text))
    return {name: _type_for(digits[name], schema.field(name).type.scale) for name in looked.wide}


def _whole_digits(values: pa.Array) -> int:
    """Return the most digits before the point."""
    import pyarrow.compute as pc

    ends = [end.as_py() for end in pc.min_max(values).values() if end.is_valid]
    # abs() would round to the digits of Python's decimal context
    return max((len(f"{end.copy_abs():f}".partition(".")[0]) for end in ends), default=0)


def _type_for(whole: int, scale: int) -> ColumnType:
    fits = 0 <= scale <= MAX_PRECISION - whole
    return ColumnType("decimal", MAX_PRECISION, scale) if fits else ColumnType("text")


def _widest(kinds: Iterable[ColumnType]) -> ColumnType:
    """One type for a column of several files; of two scales none may hold all values."""
    different = list(dict.fromkeys(kinds))
    return different[0] if len(different) == 1 else ColumnType("text")
