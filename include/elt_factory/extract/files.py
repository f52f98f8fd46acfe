"""Files in a folder, read where they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from elt_factory.config.errors import near_name
from elt_factory.config.extract import CsvFormat, NdjsonFormat, ParquetFormat
from elt_factory.config.source import FilesSource
from elt_factory.config.window import Window
from elt_factory.extract.periods import expand_pattern
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import Connection, ReadRequest, Spool
from elt_factory.extract.subject import Subject, source_of
from elt_factory.extract.templating import pattern_of, values_of
from elt_factory.failures import BadDataError, BadRequestError, EltError, SourceNotReadyError

__all__ = ["expand_pattern", "matching_files", "read", "source_folder"]

_HINT_LENGTH = 300


def read(request: ReadRequest) -> Spool:
    """Find the table's files for the window; nothing is copied.

    Rows are counted for ndjson (lines that are not blank) and parquet, not for csv.

    Raises:
        SourceNotReadyError: the folder, or the files of a period, are not there.
        BadRequestError: a path that leaves the folder. BadDataError: an empty CSV file, a broken Parquet file.
    """
    subject = Subject.of(request)
    source = source_of(request, FilesSource)
    table = source.tables[request.table]
    try:
        folder = source_folder(request.connection, source.extract.folder, request.project)
        pattern = pattern_of(table.path, values_of(request), source.timezone)
        files = matching_files(folder, pattern, request.window, source.timezone)
    except EltError as error:
        raise subject.error(type(error), str(error)) from None
    progress = Progress(request.tell, request.table)
    match table.format:
        case CsvFormat():
            _refuse_empty(files, subject)
            return Spool("csv", files, csv=table.format)
        case NdjsonFormat():
            spool = Spool("ndjson", files, sum(_lines(file) for file in files))
        case ParquetFormat():
            spool = Spool("parquet", files, sum(_parquet_rows(file, subject) for file in files))
    progress.done(spool.rows_read or 0)
    return spool


def source_folder(connection: Connection | None, folder: str | None, project: Path) -> Path:
    """Return the folder of a source: the connection's path (extra "path"), then `folder`, below the project.

    BadRequestError when `folder` leads out of the connection's path or the project.
    """
    base = project / str(connection.extra.get("path") or "") if connection else project
    below = Path(folder or "")
    if below.is_absolute() or ".." in below.parts:
        raise BadRequestError(f'folder "{folder}" leads out of {base}; mend: write a folder below it')
    return base / below


def matching_files(folder: Path, pattern: str, window: Window, zone: str) -> tuple[Path, ...]:
    """Return the real paths of the files that a pattern means for a window, sorted, each once.

    The errors name folder and pattern; who asks adds for whom.

    Raises:
        SourceNotReadyError: no folder, or a period of the window without a file.
        BadRequestError: a pattern or a link that leads out of the folder, an unknown %-directive.
    """
    try:
        expanded = expand_pattern(pattern, window, zone)
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise BadRequestError(f'path "{pattern}" leads out of the folder; mend: write a pattern below {folder}')
    if not folder.is_dir():
        raise SourceNotReadyError(f"the folder {folder} is not there; {_there(folder.parent, folder.name)}")
    return tuple(sorted({file for one in expanded for file in _matches(folder, one)}))


def _matches(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        found = [file.resolve() for file in folder.glob(pattern) if file.is_file()]
    except (ValueError, IndexError) as error:
        raise BadRequestError(f'path "{pattern}" is no glob pattern: {error}') from None
    if not found:
        place = (folder / pattern).parent
        raise SourceNotReadyError(f'no file "{pattern}" is in the folder {folder}; {_there(place, Path(pattern).name)}')
    for file in found:
        if not file.is_relative_to(folder.resolve()):
            raise BadRequestError(f'a link that "{pattern}" matches leads out of the folder {folder}')
    return iter(found)


def _there(folder: Path, wanted: str) -> str:
    """What is there instead, the nearest name first of all."""
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return textwrap.shorten(near_name(wanted, names) or "nothing is there", _HINT_LENGTH, placeholder=" ...")


def _refuse_empty(files: tuple[Path, ...], subject: Subject) -> None:
    for file in files:
        if file.stat().st_size == 0:
            raise subject.error(BadDataError, f"{file} is empty: a CSV file has at least a header line")


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _parquet_rows(file: Path, subject: Subject) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(file).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise subject.error(BadDataError, f"{file} is no Parquet file: {error}") from None
