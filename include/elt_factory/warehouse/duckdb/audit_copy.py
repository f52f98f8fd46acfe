"""A copy of the audit logs next to a DuckDB file, for readers that must not wait for the file, nor keep it.

One process at a time has a DuckDB file, so what shows the audit tables while loads run needs another file.
The copy is SQLite: one writer and any number of readers, none of which waits for another. Each connection that has
written appends what is new in the logs when it closes: what that costs grows neither with the history nor with the
rows of a load, and a load never fails for it. What was left out, for a process that was killed in between, is found by
the next one. No secret goes in: no token of an API, and of rejects the reasons, how many, and a few records each.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elt_factory.core.private import private_files
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect

SUFFIX = ".audit"
SAMPLES = 3  # records that are kept of each reason of a load's rejects
REASONS = 200  # of a load, the commonest: where each reject says its own value, a load may have millions
LONGEST = 2_000  # characters of a record
OTHER = "other reasons"
_OF_ONE = ("record", "ordinal", "whole", "key", "cursor", "protected", "file")  # what each reject has of its own
_BUSY = 0.2  # seconds: a second writer can only be another thread of this process

Query = Callable[[str], Sequence[tuple[Any, ...]]]


def copy_of(warehouse: Path) -> Path:
    """Return where the copy of a DuckDB file's audit logs is."""
    return warehouse.with_name(warehouse.name + SUFFIX)


@dataclass(frozen=True)
class CopiedLog:
    """A log of the audit schema: the columns that are copied, each with the expression that gives it."""

    table: str
    columns: Mapping[str, str]
    group: bool = False

    @property
    def name(self) -> str:
        """The log's name, in the warehouse as in the copy."""
        return audit.log(self.table).name

    def select(self, dialect: Dialect, first: int) -> str:
        """SELECT of the rows from a row's number on, in their order."""
        place = f"FROM {audit.log(self.table).sql(dialect)} WHERE rowid >= {first}"
        if not self.group:
            return f"SELECT {', '.join(self.columns.values())} {place} ORDER BY rowid"
        if self.table != "rejects":
            return f"SELECT {', '.join(self.columns.values())} {place} GROUP BY ALL"
        return _by_reason(dialect, self.columns, place)


def copied_logs(dialect: Dialect) -> Iterator[CopiedLog]:
    """Yield what is copied of each log."""
    for table in ("loads", "schema_changes", "quality_results", "deadline_misses"):
        yield CopiedLog(
            table, {name: _plain(dialect, name, kind.name) for name, kind in audit.log_columns(table).items()}
        )
    rejects = {
        name: _plain(dialect, name, kind.name)
        for name, kind in audit.log_columns("rejects").items()
        if name not in _OF_ONE
    }
    records = f"list_slice(list(left({dialect.name('record')}, {LONGEST})), 1, {SAMPLES})"
    yield CopiedLog(
        "rejects", {**rejects, "records": f"CAST(to_json({records}) AS VARCHAR)", "count": "count(*)"}, True
    )
    # how many rejects of a commit are in which state: which ones is not copied
    states = {
        name: _plain(dialect, name, kind.name)
        for name, kind in audit.log_columns("reject_states").items()
        if name not in _OF_ONE
    }
    yield CopiedLog("reject_states", {**states, "count": "count(*)"}, True)


def _by_reason(d: Dialect, columns: Mapping[str, str], place: str) -> str:
    """SELECT of the rejects of each load by their reason, the commonest; all others of a load are one row."""
    keys = tuple(name for name in columns if name not in ("reason", "records", "count"))
    counted = ", ".join(f"{value} AS {d.name(name)}" for name, value in columns.items())
    rank = f"row_number() OVER (PARTITION BY {d.names(keys)} ORDER BY {d.name('count')} DESC, {d.name('reason')})"
    rare = f"place > {REASONS}"
    shown = {
        "reason": f"CASE WHEN {rare} THEN {d.literal(OTHER)} ELSE {d.name('reason')} END",
        "records": f"max(CASE WHEN {rare} THEN '[]' ELSE {d.name('records')} END)",
        "count": f"CAST(sum({d.name('count')}) AS BIGINT)",
    }
    values = ", ".join(shown.get(name, d.name(name)) for name in columns)
    ranked = f"SELECT *, {rank} AS place FROM (SELECT {counted} {place} GROUP BY ALL) AS r"
    return f"SELECT {values} FROM ({ranked}) AS r GROUP BY {d.names(keys)}, {shown['reason']}"


def _plain(dialect: Dialect, name: str, kind: str) -> str:
    """Return a column as text, a number or NULL; of a secret only whether it is there."""
    column = dialect.name(name)
    if name in ("delta_token", "delta_token_after"):
        return f"CASE WHEN {column} IS NOT NULL THEN '' END"
    if name == "columns":
        return "NULL"  # the same long text with every load
    return f"CAST({column} AS VARCHAR)" if kind == "timestamp" else column


def update_copy(file: Path, dialect: Dialect, query: Query) -> None:
    """Append to the copy what is new in the logs of the warehouse that `query` asks.

    A copy that cannot be read, or is of another version, is made again from all that there is.

    Raises:
        OSError: the disk is full, or the file may not be written.
        sqlite3.Error: another thread is writing the copy.
    """
    logs = list(copied_logs(dialect))
    with private_files():
        try:
            _update(file, dialect, logs, query)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            for old in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
                old.unlink(missing_ok=True)
            _update(file, dialect, logs, query)


def _update(file: Path, dialect: Dialect, logs: Sequence[CopiedLog], query: Query) -> None:
    with closing(connect(file)) as copy:
        copy.execute("BEGIN IMMEDIATE")
        _lay_out(copy, logs)
        marks = {
            name: (rows, following) for name, rows, following in copy.execute("SELECT name, size, following FROM marks")
        }
        for log, (count, following) in zip(logs, _sizes(dialect, logs, query), strict=True):
            if (count, following) != marks[log.name]:
                _append(copy, dialect, log, query, marks[log.name], (count, following))
        copy.execute("UPDATE written SET written_at = ?", [datetime.now(UTC).isoformat()])
        copy.execute("COMMIT")


def connect(file: Path) -> sqlite3.Connection:
    """Open a copy. What a crash of the machine takes from it is in the warehouse still."""
    copy = sqlite3.connect(file, timeout=_BUSY, isolation_level=None)
    copy.execute("PRAGMA journal_mode = WAL")
    copy.execute("PRAGMA synchronous = OFF")
    # what is erased is not left in free pages of the file
    copy.execute("PRAGMA secure_delete = ON")
    return copy


def shape(logs: Sequence[CopiedLog]) -> int:
    """Return a number that is another one where other columns are copied."""
    return zlib.crc32(repr([(log.name, dict(log.columns)) for log in logs]).encode()) & 0x7FFFFFFF


def _lay_out(copy: sqlite3.Connection, logs: Sequence[CopiedLog]) -> None:
    """Create the tables, empty, where they are not there or are those of another version."""
    version = copy.execute("PRAGMA user_version").fetchone()[0]
    if version == shape(logs):
        return
    for table in [*(log.name for log in logs), "marks", "written"]:
        copy.execute(f'DROP TABLE IF EXISTS "{table}"')
    copy.execute("CREATE TABLE marks (name TEXT PRIMARY KEY, size INTEGER, following INTEGER, generation INTEGER)")
    copy.execute("CREATE TABLE written (written_at TEXT)")
    copy.execute("INSERT INTO written VALUES (NULL)")
    for log in logs:
        names = ", ".join(f'"{name}"' for name in log.columns)
        copy.execute(f'CREATE TABLE "{log.name}" (id INTEGER PRIMARY KEY, {names})')
        copy.execute("INSERT INTO marks VALUES (?, 0, 0, ?)", [log.name, version])
    copy.execute(f"PRAGMA user_version = {shape(logs)}")


def _sizes(dialect: Dialect, logs: Sequence[CopiedLog], query: Query) -> list[tuple[int, int]]:
    """Return how many rows each log has, and the number that the next one will have."""
    counts = [
        f"SELECT {number} AS place, count(*), coalesce(max(rowid) + 1, 0) FROM {audit.log(log.table).sql(dialect)}"
        for number, log in enumerate(logs)
    ]
    return [(int(count), int(last)) for _, count, last in sorted(query(" UNION ALL ".join(counts)))]


def _append(
    copy: sqlite3.Connection,
    dialect: Dialect,
    log: CopiedLog,
    query: Query,
    mark: tuple[int, int],
    now: tuple[int, int],
) -> None:
    """Append a log's new rows; where rows are gone of those that were copied, all of them again."""
    rows = query(log.select(dialect, mark[1]))
    again = mark[0] + sum(row[-1] if log.group else 1 for row in rows) != now[0]
    if again:
        copy.execute(f'DELETE FROM "{log.name}"')
        rows = query(log.select(dialect, 0))
    names, places = ", ".join(f'"{name}"' for name in log.columns), ", ".join("?" * len(log.columns))
    copy.executemany(f'INSERT INTO "{log.name}" ({names}) VALUES ({places})', rows)
    copy.execute(
        "UPDATE marks SET size = ?, following = ?, generation = generation + ? WHERE name = ?",
        [*now, int(again), log.name],
    )
