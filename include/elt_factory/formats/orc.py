"""Apache ORC: copied stripe by stripe as Parquet, which the landing reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from elt_factory.config.models.formats import FileFormat
from elt_factory.core.failures import BadDataError
from elt_factory.formats.counting import orc_rows
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import orc

    from elt_factory.extract.request import Spool

_OUT_OF_RANGE = re.compile(r"timestamp \((-?[0-9]+)s .*out of range")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - ORC has times without a zone


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
                    stripe = _stripe(file, source, number)
                    rows += stripe.num_rows
                    writer.write_batch(stripe)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadDataError(f"{file.name} is not an ORC file, or damaged: {error}") from None
    if rows != source.nrows:
        raise BadDataError(f"{file.name} is damaged: it says that it has {source.nrows} rows, and {rows} were read")
    return target


def _stripe(file: Delivered, source: orc.ORCFile, number: int) -> pa.RecordBatch:
    """Return a stripe.

    Raises:
        BadDataError: it has a time that Arrow, which has ORC's times in nanoseconds of 64 bits, cannot hold.
    """
    import pyarrow as pa

    try:
        return source.read_stripe(number)
    except pa.ArrowInvalid as error:
        if not _beyond(error):
            raise
    for name in source.schema.names:
        try:
            source.read_stripe(number, columns=[name])
        except pa.ArrowInvalid as error:
            if seconds := _beyond(error):
                raise BadDataError(
                    f"{file.name}: column {name} has the time {_shown(int(seconds[1]))}, and times of ORC can be read "
                    "from 1677-09-22 to 2262-04-11; hint: write the column as text, or no value in place of such a time"
                ) from None
    raise BadDataError(f"{file.name} has a time that cannot be read; times of ORC can be from 1677-09-22 to 2262-04-11")


def _beyond(error: Exception) -> re.Match[str] | None:
    return _OUT_OF_RANGE.search(str(error))


def _shown(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat(" ")
    except OverflowError:
        return f"{seconds} s since 1970"


KIND = FormatKind(
    name="orc",
    model=OrcFormat,
    spooled=_spooled,
    endings=(".orc",),
    signs={b"ORC": "an ORC file"},
    count=orc_rows,
)
