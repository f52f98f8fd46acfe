"""Files in a folder, read where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from elt_factory.config.models.formats import FORMATS, FileFormat
from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import AccessDeniedError, BadDataError, EltError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, SourceFile, Spool
from elt_factory.extract.templating import pattern_of, values_of
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.packed import unpacked
from elt_factory.formats.utf16 import utf16_of
from elt_factory.sources.files.folder import matching_files, source_folder
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.files.periods import expand_pattern
from elt_factory.sources.files.source_files import Chooser

__all__ = ["expand_pattern", "matching_files", "read", "source_folder"]

_MARK, _BLANK = b"\xef\xbb\xbf", b" \t\r\n\v\f"
_CHUNK = 1024 * 1024
_SHOWN = 10  # names in one line for people


def read(request: ReadRequest) -> Spool:
    """Find the table's files for the window; nothing is copied but what DuckDB could not read.

    Rows are counted for ndjson (lines that are not blank) and parquet, not for csv.

    Raises:
        SourceNotReadyError: the folder, or the files of a period, are not there, or a file goes away.
        BadRequestError: a path that leaves the folder.
        AccessDeniedError: a folder or a file that this process may not read.
        BadDataError: nothing but empty files, a file of another kind, a JSON array where lines must be.
    """
    label = TableLabel.of(request)
    source = source_of(request, FilesSource)
    table = source.tables[request.table]
    try:
        with _named(label):
            folder = source_folder(request.connection, source.extract.folder, request.project)
            pattern = pattern_of(table.path, values_of(request), source.timezone)
            chosen = Chooser(folder, pattern, source.timezone, request.ledger).choose(request.window, request.load_id)
    except PermissionError as error:
        raise label.error(AccessDeniedError, f"cannot read {error.filename}: {error.strerror}") from None
    progress = Progress(request.log, request.table)
    spool = _spooled(request, table.format, chosen, label)
    progress.done(spool.rows_read or 0)
    return spool


def _spooled(request: ReadRequest, form: FileFormat, chosen: Sequence[SourceFile], label: TableLabel) -> Spool:
    kind: FormatKind = FORMATS.get(form.type)
    folder = request.workdir / "unpacked"
    with _named(label):
        files = [
            unpacked(Delivered(one.name, one.path), kind, folder / f"{number:06}") for number, one in enumerate(chosen)
        ]
    pairs = list(zip(chosen, files, map(is_blank, (file.path for file in files)), strict=True))
    full, empty = [pair for pair in pairs if not pair[2]], [source for source, _, blank in pairs if blank]
    if empty:
        _report_empty(request, empty, label, alone=not full)
    with _named(label):
        spool = kind.spooled(form, [file for _, file, _ in full], request.workdir)
    return replace(spool, sources=(*(source for source, _, _ in full), *empty))


@contextmanager
def _named(label: TableLabel) -> Iterator[None]:
    """Name source and table in errors that name a file."""
    try:
        yield
    except MissingExtraError:
        raise
    except EltError as error:
        raise label.error(type(error), str(error)) from None


def _report_empty(request: ReadRequest, empty: Sequence[SourceFile], label: TableLabel, *, alone: bool) -> None:
    """Say which files are empty.

    Raises:
        BadDataError: there was never anything else.
    """
    names = ", ".join(source.name for source in empty[:_SHOWN]) + (", ..." if len(empty) > _SHOWN else "")
    if alone and not (request.ledger and request.ledger.files):
        message = f"nothing to load: every file is empty: {names}"
        raise label.error(BadDataError, message, "write at least a header line or one record")
    request.log(f"{label}: {len(empty)} empty file(s) without records: {names}")


def is_blank(file: Path) -> bool:
    """Whether a file of text holds nothing but a mark, spaces and line ends."""
    with file.open("rb") as content:
        chunk = content.read(_CHUNK)
        # in UTF-16 every second byte of a space is zero
        blank = _BLANK + b"\0" if utf16_of(chunk, "utf-8") else _BLANK
        chunk = chunk.removeprefix(_MARK).lstrip(b"\xff\xfe") if utf16_of(chunk, "utf-8") else chunk.removeprefix(_MARK)
        while chunk and not chunk.strip(blank):
            chunk = content.read(_CHUNK)
        return not chunk
