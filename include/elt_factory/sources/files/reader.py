"""Files in a folder, read where they are, or in a copy where that is a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from elt_factory.config.models.formats import FORMATS, FileFormat
from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import AccessDeniedError, BadDataError, EltError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import Part, ReadRequest, SourceFile, Spool
from elt_factory.extract.templating import pattern_of, values_of, web_path_of
from elt_factory.formats.kind import FormatKind
from elt_factory.formats.utf16 import utf16_of
from elt_factory.sources.files.fetching import Fetched, fetched
from elt_factory.sources.files.model import FilesSource, FilesTable
from elt_factory.sources.files.opening import open_store
from elt_factory.sources.files.shares import by_bytes, files_of_part
from elt_factory.sources.files.source_files import Chooser, Chosen
from elt_factory.sources.files.store import Store

_MARK, _BLANK = b"\xef\xbb\xbf", b" \t\r\n\v\f"
_CHUNK = 1024 * 1024
_SHOWN = 10  # names in one line for people


def read(request: ReadRequest) -> Spool:
    """Find the table's files for the window; of this machine's nothing is copied but what DuckDB could not read.

    Rows are counted for ndjson (lines that are not blank) and parquet, not for csv.

    Raises:
        SourceNotReadyError: the folder, or the files of a period, are not there, or a file goes away.
        SourceUnavailableError: the store does not answer.
        BadRequestError: a path that leaves the folder, a bucket that is not there.
        AccessDeniedError: what this process or the connection may not read.
        BadDataError: nothing but empty files, a file of another kind, a JSON array where lines must be.
    """
    label = TableLabel.of(request)
    source = source_of(request, FilesSource)
    table = source.tables[request.table]
    with _named(label):
        found = _found(request, source, table)
    progress = Progress(request.log, request.table)
    try:
        spool = _spooled(request, table.format, found, label)
    except BaseException:
        for one in found:
            one.found.let_go()
        raise
    progress.done(spool.rows_read or 0)
    return spool


def _found(request: ReadRequest, source: FilesSource, table: FilesTable) -> list[Fetched]:
    """Return the files that the load takes, on this machine."""
    kind: FormatKind = FORMATS.get(table.format.type)
    with open_store(source.extract.folder, request.connection, request.project) as store:
        chosen = _chosen(request, source, table, store) if request.part is None else files_of_part(request.part)
        limit = source.extract.max_unpacked_mb * 1_000_000
        split = request.part is not None
        found = fetched(store, chosen, kind, request.workdir, request.clock, limit, found_by_split=split)
        # two patterns may mean the same members of an archive
        return list({one.found.name: one for one in found}.values())


def _chosen(request: ReadRequest, source: FilesSource, table: FilesTable, store: Store) -> list[Chosen]:
    """Return the files that the load takes, by their names."""
    written, zone = pattern_of if store.lists else web_path_of, source.timezone
    patterns = [written(one, values_of(request), zone) for one in table.patterns]
    found = [Chooser(store, one, zone, request.ledger).choose(request.window, request.load_id) for one in patterns]
    # what several patterns mean is taken once
    once = {(one.found.name, one.members): one for each in found for one in each}
    return [once[key] for key in sorted(once)]


def parts(request: ReadRequest, most: int) -> list[Part]:
    """Return the files that the load takes in parts of about as many bytes. They are listed once, here.

    Raises as `read` does, but where a file cannot be read.
    """
    source = source_of(request, FilesSource)
    with (
        _named(TableLabel.of(request)),
        open_store(source.extract.folder, request.connection, request.project) as store,
    ):
        return by_bytes(_chosen(request, source, source.tables[request.table], store), most)


def _spooled(request: ReadRequest, form: FileFormat, found: Sequence[Fetched], label: TableLabel) -> Spool:
    kind: FormatKind = FORMATS.get(form.type)
    pairs = [(one, is_blank(one.file.path)) for one in found]
    full, empty = [one for one, blank in pairs if not blank], [one.found for one, blank in pairs if blank]
    if empty:
        # of a load in parts, another may have more
        _report_empty(request, empty, label, alone=not full and request.part is None)
    with _named(label):
        spool = kind.spooled(form, [one.file for one in full], request.workdir)
        sources = tuple(one.found for one, blank in sorted(pairs, key=itemgetter(1)))
    for remark in spool.remarks:
        request.log(f"{label}: {remark}")
    return replace(spool, sources=sources)


@contextmanager
def _named(label: TableLabel) -> Iterator[None]:
    """Name source and table in errors that name a file; one that may not be read is an AccessDeniedError."""
    try:
        yield
    except MissingExtraError:
        raise
    except PermissionError as error:
        raise label.error(AccessDeniedError, f"cannot read {error.filename}: {error.strerror}") from None
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
