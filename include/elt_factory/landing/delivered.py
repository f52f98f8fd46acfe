"""The files that a landing's records came from: which record came from which, and what the ledger keeps of each."""

from __future__ import annotations

import csv as csv_module
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.core.failures import AccessDeniedError, BadDataError, SourceNotReadyError, SourceUnavailableError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, text_literal
from elt_factory.extract.request import SourceFile, Spool
from elt_factory.landing.csv_files import otherwise
from elt_factory.landing.schema import KnownTable

if TYPE_CHECKING:
    import duckdb

_COLUMNS = {
    "path": "VARCHAR",
    "file_id": "VARCHAR",
    "name": "VARCHAR",
    "bytes": "BIGINT",
    "modified_at": "TIMESTAMP WITH TIME ZONE",
    "content_hash": "VARCHAR",
    "seen_at": "TIMESTAMP WITH TIME ZONE",
}
# of the part that the warehouse copies into `_elt.files`
LEDGER_COLUMNS = {name: kind for name, kind in _COLUMNS.items() if name != "path"}
_MANY, _MOST = 10, 0.5


def file_id(name: str) -> str:
    """Return what the rows of a file carry in place of its name."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def note_delivered(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path) -> None:
    """CREATE TABLE delivered: a row for each file, with the path that its records are read from.

    Hashes that are on their way are noted by `note_hashes`.
    """
    if spool.sources:
        _note(connection, spool, workdir, [source.hash if source.is_hashed else None for source in spool.sources])


def note_hashes(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path, label: str) -> None:
    """Note the hashes that were on their way when the files were noted; they are waited for.

    Raises:
        SourceNotReadyError: a file was removed in the meantime.
        AccessDeniedError: a file may not be read any more.
        SourceUnavailableError: a file cannot be read now.
    """
    if all(source.is_hashed for source in spool.sources):
        return
    try:
        hashes = [source.hash for source in spool.sources]
    except PermissionError as error:
        raise AccessDeniedError(f"{label}: cannot read {error.filename}: {error.strerror}") from None
    except OSError as error:
        raise SourceUnavailableError(f"{label}: cannot read {error.filename}: {error.strerror}") from None
    except SourceNotReadyError as error:
        raise SourceNotReadyError(f"{label}: {error}") from None
    _note(connection, spool, workdir, hashes)


def _note(connection: duckdb.DuckDBPyConnection, spool: Spool, workdir: Path, hashes: Sequence[str | None]) -> None:
    import msgspec

    paths = [*map(str, spool.files), *(None for _ in spool.sources[len(spool.files) :])]
    noted = workdir / "delivered.ndjson"
    with noted.open("wb") as lines:
        for path, source, content_hash in zip(paths, spool.sources, hashes, strict=True):
            lines.write(msgspec.json.encode({**_noted(path, source), "content_hash": content_hash}) + b"\n")
    columns = ", ".join(f"{name}: {text_literal(kind)}" for name, kind in _COLUMNS.items())
    connection.execute(
        "CREATE OR REPLACE TABLE delivered AS SELECT * FROM "
        f"read_json({file_list([str(noted)])}, {LITERAL_PATHS}, format = 'newline_delimited', columns = {{{columns}}})"
    )


def _noted(path: str | None, source: SourceFile) -> dict[str, Any]:
    return {
        "path": path,
        "file_id": file_id(source.name),
        "name": source.name,
        "bytes": source.size,
        "modified_at": source.modified_at.isoformat(),
        "seen_at": source.seen_at.isoformat(),
    }


def copy_ledger(file: str) -> str:
    """COPY of what was delivered, with the rows of each file, to one Parquet file; returns path, rows, bytes."""
    kept = ", ".join(f"d.{name}" for name in LEDGER_COLUMNS)
    counts = "coalesce(t.good, 0) AS rows_loaded, coalesce(t.lines - t.good, 0) AS rows_rejected"
    select = f"SELECT {kept}, {counts} FROM delivered AS d LEFT JOIN tally AS t ON t.file = d.path"
    return f"COPY ({select}) TO {text_literal(file)} (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"


def refuse_unread_files(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, filtered: frozenset[str] = frozenset()
) -> None:
    """Refuse a file that is written in another way than the YAML says.

    It has records and yields no good row, or more than half of its lines, ten at least, are not records at all. One
    record that is rejected, alone in its file, is one bad record. Files that are `filtered` have rows that are not
    loaded.
    """
    if not spool.sources:
        return
    good = connection.execute("SELECT coalesce(sum(good), 0) FROM tally").fetchall()[0][0]
    found = connection.execute(
        "SELECT d.name, d.path, coalesce(t.lines, 0), coalesce(t.lines - t.good, 0), coalesce(t.unread, 0), t.reason "
        "FROM delivered AS d LEFT JOIN tally AS t ON t.file = d.path WHERE d.path IS NOT NULL AND "
        f"(coalesce(t.good, 0) = 0 OR t.unread >= {_MANY} AND t.unread > {_MOST} * t.lines) ORDER BY d.name"
    ).fetchall()
    for name, path, lines, rejected, unread, reason in found:
        where = f"{known.label}: {name}"
        csv = spool.format == "csv" and unread > _MOST * lines
        written = otherwise(Path(path), spool.csv) if csv else ""
        # where nothing is good at all, the load keeps the rejects and fails
        if written or rejected < lines or (rejected > 1 and good):
            which = f"all of its {lines}" if rejected == lines else f"{unread} of its {lines}"
            raise BadDataError(
                f"{where}: {which} records are rejected; {written or 'check the format'}. One of them: {reason}"
            )
        may_be_empty = spool.format == "csv" and not rejected and path not in filtered
        if may_be_empty and (line := _line_with_data(Path(path), spool)):
            raise BadDataError(f"{where} line {line}: data found, but no record was read from the file")


def _line_with_data(file: Path, spool: Spool) -> int | None:
    """Return the first line after the header in which anything appears."""
    form = spool.csv
    with file.open(encoding=form.encoding, errors="replace", newline="") as lines:
        reader = csv_module.reader(lines, delimiter=form.delimiter, quotechar=form.quote)
        if form.header:
            next(reader, None)
        return next((reader.line_num for fields in reader if any(field.strip() for field in fields)), None)


def names_of(sources: Iterable[SourceFile]) -> str:
    """Return the names of files for people, not too many of them."""
    names = [source.name for source in sources]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")  # noqa: PLR2004
