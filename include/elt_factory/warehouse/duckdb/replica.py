"""The audit tables in memory, as the copy next to a DuckDB file has them: any query of them, and no one waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from elt_factory.core.failures import WarehouseUnavailableError
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Rows
from elt_factory.warehouse.duckdb.audit_copy import CopiedLog, copied_logs, copy_of, shape
from elt_factory.warehouse.duckdb.warehouse import DIALECT, DuckDBWarehouse

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

_COMMIT = ("source", "table_name", "turn")
_NO_COPY = "no load of this version has left its copy of the audit tables yet"
_BATCH = 20_000  # rows that are in this process twice, for a moment
_MOMENT = "TIMESTAMP WITH TIME ZONE"
_SIMPLE = {_MOMENT, "VARCHAR", "BIGINT", "BOOLEAN", "DOUBLE"}  # types whose values are the same by way of Arrow
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# commits that say something of windows other than their own
_FAR_REACHING = "full_refresh OR again OR void"


class AuditReplica(DuckDBWarehouse):
    """The audit tables of a warehouse's file, to be read while others have the file.

    Threads share it: each reads within `reading`.

    Args:
        warehouse: The DuckDB file; only the copy next to it is read.
        newest: Of how many windows of each table, the newest, the loads are read; None for all.
    """

    def __init__(self, warehouse: Path, newest: int | None = None) -> None:
        super().__init__(Path(":memory:"))
        self.prepare()
        self.written_at: datetime | None = None
        self.version = 0  # another number when anything has changed
        self.note = ""  # why nothing is seen of a warehouse that is there
        self._of, self._newest = warehouse, newest
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
        chosen = f"AND id IN ({_newest_ids(log, self._newest)}) " if self._newest and log.table == "loads" else ""
        found = copy.execute(f'SELECT id, {names} FROM "{log.name}" WHERE id > ? {chosen}ORDER BY id', [last])
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
        arrived = {name: _texts(values) for name, values in zip(log.columns, columns, strict=True)}
        self._connection.register("arrived", pa.table(arrived))
        self._run(_insert(log))
        self._connection.unregister("arrived")

    def _fetch(self, statement: str) -> Rows:
        """Return the rows of a SELECT: by way of Arrow where it has moments, of which the page reads many.

        DuckDB looks up the time zone of each moment that it gives to Python.
        """
        found = self._connection.sql(statement)
        kinds = {str(kind) for kind in found.types}
        if _MOMENT not in kinds or not kinds <= _SIMPLE:
            return super()._fetch(statement)
        table = found.to_arrow_table()
        columns = [_values(table.column(place)) for place in range(table.num_columns)]
        return Rows(tuple(table.column_names), list(zip(*columns, strict=True)))

    def _copy_audit(self) -> None:
        """Leave nothing: this is the copy."""


def _texts(values: Sequence[Any]) -> Any:
    """Return values as an array of text: to find their type, pyarrow would import pandas, for a second of CPU."""
    from pyarrow.lib import StringBuilder

    builder = StringBuilder()
    builder.append_values([None if value is None else str(value) for value in values])
    return builder.finish()


def rows_copied(warehouse: Path) -> int:
    """Return how many loads are in the copy of a DuckDB file; 0 where none can be read."""
    copy = copy_of(warehouse)
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as opened:
        found = opened.execute("SELECT size FROM marks WHERE name = ?", [audit.log("loads").name]).fetchone()
        return int(found[0]) if found else 0
    return 0


def _values(column: ChunkedArray) -> list[Any]:
    """Return the values of a column, moments in UTC."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    numbers = column.cast(pa.int64()).to_pylist()
    # tables that are loaded together share their windows
    moments = {number: _EPOCH + timedelta(microseconds=number) for number in set(numbers) - {None}}
    return [moments.get(number) for number in numbers]


def _newest_ids(log: CopiedLog, most: int) -> str:
    """SELECT of the rows of the newest windows of each table, of its newest commit, and of what reaches further."""
    place = "dense_rank() OVER (PARTITION BY source, table_name ORDER BY window_end DESC)"
    return (
        f'SELECT id FROM (SELECT id, {place} AS place FROM "{log.name}") WHERE place <= {most} '
        f'UNION SELECT max(id) FROM "{log.name}" GROUP BY source, table_name '
        f'UNION SELECT id FROM "{log.name}" WHERE {_FAR_REACHING}'
    )


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
        "FROM (SELECT *, unnest(range(CAST(count AS BIGINT))) AS number FROM arrived) AS a"
    )
