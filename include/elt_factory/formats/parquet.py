"""Apache Parquet: read in place, but what DuckDB would change of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.formats.counting import parquet_rows
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool


class ParquetFormat(FileFormat):
    """Apache Parquet."""

    type: Literal["parquet"]


def _spooled(_: ParquetFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.extract.request import Spool
    from elt_factory.formats.parquet_files import as_readable

    found = as_readable([file.path for file in files], workdir / "exact")
    return Spool("parquet", found.files, found.rows, found.types)


KIND = FormatKind(
    name="parquet",
    model=ParquetFormat,
    spooled=_spooled,
    endings=(".parquet",),
    signs={b"PAR1": "a Parquet file"},
    count=parquet_rows,
)
