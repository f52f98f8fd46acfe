"""Apache ORC: copied stripe by stripe as Parquet, which the landing reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.core.failures import BadDataError
from elt_factory.formats.counting import orc_rows
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool


class OrcFormat(FileFormat):
    """Apache ORC."""

    type: Literal["orc"]


def _spooled(_: OrcFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.extract.request import Spool
    from elt_factory.formats.parquet_files import as_readable

    copies = [_as_parquet(file, workdir / "orc" / f"{number:06}") for number, file in enumerate(files)]
    found = as_readable(copies, workdir / "exact")
    return Spool("parquet", found.files, found.rows, found.types)


def _as_parquet(file: Delivered, folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import orc, parquet

    target = folder / file.path.name
    folder.mkdir(parents=True)
    try:
        with file.path.open("rb") as content:
            source, rows = orc.ORCFile(content), 0
            with parquet.ParquetWriter(target, source.schema) as writer:
                for number in range(source.nstripes):
                    stripe = source.read_stripe(number)
                    rows += stripe.num_rows
                    writer.write_batch(stripe)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadDataError(f"{file.name} is not an ORC file, or damaged: {error}") from None
    if rows != source.nrows:
        raise BadDataError(f"{file.name} is damaged: it says that it has {source.nrows} rows, and {rows} were read")
    return target


KIND = FormatKind(
    name="orc",
    model=OrcFormat,
    spooled=_spooled,
    endings=(".orc",),
    signs={b"ORC": "an ORC file"},
    count=orc_rows,
)
