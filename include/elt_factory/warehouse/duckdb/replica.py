"""The audit tables in memory, as the copy next to a DuckDB file has them: any query of them, and no one waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from elt_factory.core.failures import WarehouseUnavailableError
from elt_factory.warehouse import audit
from elt_factory.warehouse.duckdb.audit_copy import CopiedLog, copied_logs, copy_of, shape
from elt_factory.warehouse.duckdb.warehouse import DIALECT, DuckDBWarehouse

_COMMIT = ("source", "table_name", "turn")
_NO_COPY = "no load of this version has left its copy of the audit tables yet"
_BATCH = 20_000  # rows that are in this process twice, for a moment


class AuditReplica(DuckDBWarehouse):
    """The audit tables of a warehouse's file, to be read while others have the file.

    Threads share it: each reads within `reading`.

    Args:
        warehouse: The DuckDB file; only the copy next to it is read.
    """

    def __init__(self, warehouse: Path) -> None:
        super().__init__(Path(":memory:"))
        self.prepare()
        self.written_at: datetime | None = None
        self.version = 0  # another number when anything has changed
        self.note = ""  # why nothing is seen of a warehouse that is there
        self._of = warehouse
        self._copy = copy_of(warehouse)
        self._logs = list(copied_logs(DIALECT))
        self._changed: dict[str, int] = {}  # the version in which something of a source has changed last
        self._anew = 0  # the version in which rows were gone
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock = RLock()

    @contextmanager
    def reading(self) -> Iterator[AuditReplica]:
        """Bring the tables up to date, and keep them so within the block.

        Raises:
            WarehouseUnavailableError: the copy cannot be read.
        """
        with self._lock:
            try:
                self._catch_up()
            except sqlite3.Error as error:
                raise WarehouseUnavailableError(f"cannot read {self._copy}: {error}") from error
            yield self

    def changed_since(self, version: object) -> Collection[str] | None:
        """Return the sources of which something has changed since a version; None for all of them."""
        if not isinstance(version, int) or version < self._anew:
            return None
        return [source for source, last in self._changed.items() if last > version]

    def _catch_up(self) -> None:
        self.note = _NO_COPY if self._of.exists() else ""
        if not self._copy.exists():
            return
        with closing(sqlite3.connect(f"file:{self._copy}?mode=ro", uri=True, isolation_level=None)) as copy:
            copy.execute("BEGIN")
            if copy.execute("PRAGMA user_version").fetchone()[0] != shape(self._logs):
                # another version of this package writes it; the next load by this version makes it again
                return
            marks = {name: int(generation) for name, generation in copy.execute("SELECT name, generation FROM marks")}
            changed = [self._take(copy, log, marks[log.name]) for log in self._logs]
            (text,) = copy.execute("SELECT written_at FROM written").fetchone()
        self.note = ""
        self.written_at = datetime.fromisoformat(text) if text else None
        self.version += any(changed)

    def _take(self, copy: sqlite3.Connection, log: CopiedLog, generation: int) -> bool:
        """Take over what is new of a log; all of it where rows are gone. Whether there was anything."""
        before, last = self._seen.get(log.name, (generation, 0))
        if before != generation:
            self._anew = self.version + 1
            self.execute(f"DELETE FROM {audit.log(log.table).sql(DIALECT)}")
            last = 0
        names = ", ".join(f'"{name}"' for name in log.columns)
        found = copy.execute(f'SELECT id, {names} FROM "{log.name}" WHERE id > ? ORDER BY id', [last])
        new = False
        while rows := found.fetchmany(_BATCH):
            self._insert(log, rows)
            place = list(log.columns).index("source") + 1
            self._changed |= dict.fromkeys({row[place] for row in rows}, self.version + 1)
            last, new = rows[-1][0], True
        self._seen[log.name] = generation, last
        return new or before != generation

    def _insert(self, log: CopiedLog, rows: Sequence[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        columns = zip(*rows, strict=True)
        next(columns)  # the row's number in the copy
        arrived = {name: pa.array(values) for name, values in zip(log.columns, columns, strict=True)}
        self._connection.register("arrived", pa.table(arrived))
        self._run(_insert(log))
        self._connection.unregister("arrived")

    def _copy_audit(self) -> None:
        """Leave nothing: this is the copy."""


def _insert(log: CopiedLog) -> str:
    kinds, target = audit.log_columns(log.table), audit.log(log.table).sql(DIALECT)
    kept = [name for name in log.columns if name in kinds]
    values = [f"CAST({DIALECT.name(name)} AS {DIALECT.type(kinds[name])})" for name in kept]
    if not log.group:
        return f"INSERT INTO {target} ({DIALECT.names(tuple(kept))}) SELECT {', '.join(values)} FROM arrived"
    # one row for each reject, the first few with their records; they are numbered as they come, and so are the states
    more = (
        {"record": "json_extract_string(CAST(records AS JSON), '$[' || number || ']')"}
        if log.table == "rejects"
        else {}
    )
    same = " AND ".join(f"t.{DIALECT.name(name)} = a.{DIALECT.name(name)}" for name in _COMMIT)
    there = f"(SELECT count(*) FROM {target} AS t WHERE {same})"
    more["ordinal"] = f"{there} + row_number() OVER (PARTITION BY {DIALECT.names(_COMMIT)})"
    return (
        f"INSERT INTO {target} ({DIALECT.names((*kept, *more))}) SELECT {', '.join([*values, *more.values()])} "
        "FROM (SELECT *, unnest(range(count)) AS number FROM arrived) AS a"
    )
