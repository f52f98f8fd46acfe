"""Files in a folder, read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elt_factory.config.formats import CsvFormat, NdjsonFormat, ParquetFormat
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, SourceFile, Spool
from elt_factory.extract.subject import Subject, source_of
from elt_factory.extract.templating import pattern_of, values_of
from elt_factory.failures import AccessDeniedError, BadDataError, EltError
from elt_factory.sources.files.decoding import as_utf8
from elt_factory.sources.files.folder import matching_files, source_folder
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.files.parquet_files import as_readable
from elt_factory.sources.files.periods import expand_pattern
from elt_factory.sources.files.recognised import LOOKED_AT, not_text
from elt_factory.sources.files.source_files import Chooser

__all__ = ["expand_pattern", "matching_files", "read", "source_folder"]

_MARK = b"\xef\xbb\xbf"
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
    subject = Subject.of(request)
    source = source_of(request, FilesSource)
    table = source.tables[request.table]
    try:
        folder = source_folder(request.connection, source.extract.folder, request.project)
        pattern = pattern_of(table.path, values_of(request), source.timezone)
        chosen = Chooser(folder, pattern, source.timezone, request.ledger).choose(request.window, request.load_id)
    except EltError as error:
        raise subject.error(type(error), str(error)) from None
    except PermissionError as error:
        raise subject.error(AccessDeniedError, f"cannot read {error.filename}: {error.strerror}") from None
    progress = Progress(request.log, request.table)
    spool = _spooled(request, table.format, chosen, subject)
    progress.done(spool.rows_read or 0)
    return spool


def _spooled(
    request: ReadRequest,
    form: CsvFormat | NdjsonFormat | ParquetFormat,
    chosen: Sequence[SourceFile],
    subject: Subject,
) -> Spool:
    texts = [(source, _text(source, form, request.workdir, subject)) for source in chosen]
    blank = [is_blank(file) for _, file in texts]
    full = [pair for pair, nothing in zip(texts, blank, strict=True) if not nothing]
    empty = [source for (source, _), nothing in zip(texts, blank, strict=True) if nothing]
    if empty:
        _report_empty(request, empty, subject, alone=not full)
    files, sources = tuple(file for _, file in full), (*(source for source, _ in full), *empty)
    if isinstance(form, ParquetFormat):
        return _parquet(files, sources, request.workdir, subject)
    if isinstance(form, NdjsonFormat):
        for source, text in full:
            if is_array(text):
                message = f"{source.name} line 1: the file is a JSON array, but format ndjson needs one object per line"
                hint = "write one object per line, without brackets and commas around them"
                raise subject.error(BadDataError, message, hint)
        return Spool("ndjson", files, sum(map(_lines, files)), sources=sources)
    # what was UTF-16 is UTF-8 by now
    csv = form.model_copy(update={"encoding": "utf-8"}) if form.encoding == "utf-16" else form
    return Spool("csv", files, csv=csv, sources=sources)


def _parquet(files: Sequence[Path], sources: Sequence[SourceFile], workdir: Path, subject: Subject) -> Spool:
    try:
        found = as_readable(files, workdir / "exact")
    except BadDataError as error:
        raise subject.error(BadDataError, str(error)) from None
    return Spool("parquet", found.files, found.rows, found.types, sources=tuple(sources))


def _text(source: SourceFile, form: CsvFormat | NdjsonFormat | ParquetFormat, workdir: Path, subject: Subject) -> Path:
    """Return a file of text in an encoding that DuckDB reads.

    Raises:
        BadDataError: it is something else than text.
    """
    if isinstance(form, ParquetFormat):
        return source.path
    file = as_utf8(source.path, form.encoding if isinstance(form, CsvFormat) else "utf-8", workdir / "decoded")
    with file.open("rb") as content:
        what = not_text(content.read(LOOKED_AT), form.type)
    if what:
        raise subject.error(BadDataError, f"{source.name} is not {form.type} but {what}")
    return file


def _report_empty(request: ReadRequest, empty: Sequence[SourceFile], subject: Subject, *, alone: bool) -> None:
    """Say which files are empty.

    Raises:
        BadDataError: there was never anything else.
    """
    names = ", ".join(source.name for source in empty[:_SHOWN]) + (", ..." if len(empty) > _SHOWN else "")
    if alone and not (request.ledger and request.ledger.files):
        message = f"nothing to load: every file is empty: {names}"
        raise subject.error(BadDataError, message, "write at least a header line or one record")
    request.log(f"{subject}: {len(empty)} empty file(s) without records: {names}")


def is_blank(file: Path) -> bool:
    """Whether a text file holds nothing but a mark, spaces and line ends."""
    with file.open("rb") as content:
        chunk = content.read(_CHUNK).removeprefix(_MARK)
        while chunk and not chunk.strip():
            chunk = content.read(_CHUNK)
        return not chunk


def is_array(file: Path) -> bool:
    """Whether a file is a JSON array and not lines; one array among other lines is that line's trouble alone."""
    with file.open("rb") as lines:
        first = next((line for raw in lines if (line := raw.removeprefix(_MARK).strip())), b"")
        another = any(raw.strip() for raw in lines)
    return first.startswith(b"[") and not (another and first.endswith(b"]"))


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
