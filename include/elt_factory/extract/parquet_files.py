"""Parquet files as DuckDB can read them: a decimal of more than 38 digits would become a double there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.values import MAX_PRECISION, ColumnType
from elt_factory.failures import BadDataError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BATCH_ROWS = 64 * 1024


@dataclass(frozen=True)
class ParquetFiles:
    """Files in the order that they were given in, with their rows, and the types of columns that are text in them."""

    files: tuple[Path, ...]
    rows: int
    types: Mapping[str, ColumnType]


def as_readable(files: Sequence[Path], folder: Path) -> ParquetFiles:
    """The files; in place of those with wider decimals than DuckDB has, copies below `folder` with these as text.

    Such a column is a decimal where all values fit into one of 38 digits, else text: no digit is lost.

    Raises:
        BadDataError: a file is no Parquet, or has such decimals within a list, map or struct.
    """
    from pyarrow import parquet

    rows, readable = 0, []
    wide: dict[str, list[ColumnType]] = {}
    for number, file in enumerate(files):
        with _own_errors(file), parquet.ParquetFile(file, coerce_int96_timestamp_unit="us") as source:
            rows += source.metadata.num_rows
            names = _wide_decimals(source.metadata.schema, file)
            copy = folder / f"{number:06}" / file.name
            if names:
                copy.parent.mkdir(parents=True, exist_ok=True)
                for name, kind in _copy(source, names, copy).items():
                    wide.setdefault(name, []).append(kind)
        readable.append(copy if names else file)
    return ParquetFiles(tuple(readable), rows, {name: _widest(kinds) for name, kinds in wide.items()})


@contextmanager
def _own_errors(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{file.name} is not a Parquet file: {error}") from None


def _wide_decimals(schema: parquet.ParquetSchema, file: Path) -> list[str]:
    """The columns of decimals that DuckDB does not have."""
    columns = [schema.column(index) for index in range(len(schema))]
    wide = [one for one in columns if one.logical_type.type == "DECIMAL" and one.precision > MAX_PRECISION]
    for column in wide:
        if column.name != column.path:
            raise BadDataError(
                f"{file.name}: {column.path} is a decimal of {column.precision} digits within another value, which "
                f"cannot be read without loss; let it be written as text, or with at most {MAX_PRECISION} digits"
            )
    return [column.name for column in wide]


def _copy(source: parquet.ParquetFile, names: Sequence[str], target: Path) -> dict[str, ColumnType]:
    """Write a copy in which the named columns are text, and return the type that holds the values of each."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = source.schema_arrow
    digits = dict.fromkeys(names, 0)
    as_text = pa.schema(
        [field.with_type(pa.string()) if field.name in digits else field for field in schema], metadata=schema.metadata
    )
    with parquet.ParquetWriter(target, as_text) as writer:
        for batch in source.iter_batches(_BATCH_ROWS):
            for name in names:
                digits[name] = max(digits[name], _whole_digits(batch.column(name)))
            writer.write_batch(batch.cast(as_text))
    return {name: _type_for(digits[name], schema.field(name).type.scale) for name in names}


def _whole_digits(values: pa.Array) -> int:
    """The most digits before the point."""
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
