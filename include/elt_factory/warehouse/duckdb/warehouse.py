"""DuckDB, the embedded warehouse of laptops and tests: one process at a time has its file, the others wait."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.connection import Connection
from elt_factory.core.disk import naming_a_full_disk
from elt_factory.core.failures import BadRequestError, EltError, LandingError, WarehouseBusyError, WarehouseDamagedError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, literal
from elt_factory.landing.casting import from_duckdb_type
from elt_factory.landing.manifest import LandedFile
from elt_factory.warehouse import audit, statements
from elt_factory.warehouse.base import Rows, Staged, StatementError, Warehouse, rolled_back_on_error
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.duckdb.audit_copy import copy_of, update_copy
from elt_factory.warehouse.duckdb.errors import translated
from elt_factory.warehouse.duckdb.making import open_or_make
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.patience import retrying
from elt_factory.warehouse.statement import BEGIN, COMMIT, ROLLBACK, Statement

if TYPE_CHECKING:
    import duckdb

_TYPES: Mapping[TypeName, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "decimal": "DECIMAL",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "datetime": "TIMESTAMP",
    "json": "JSON",
    "binary": "BLOB",
}
_BETWEEN_LINES = 10  # seconds
_AFTER = timedelta(microseconds=1)
_BEGUN = ("begun", "begun_by")  # columns of a table's turn: the last moment of `moment_begun`, and by which clock
_ENDINGS = (".duckdb", ".ddb", ".db")  # of a file
# DuckDB keeps the text of JSON as it came; a text that is the same needs no further look
_SAME_JSON = (
    "CASE WHEN CAST({0} AS VARCHAR) IS NOT DISTINCT FROM CAST({1} AS VARCHAR) THEN TRUE "
    "ELSE coalesce(elt_json_canonical(CAST({0} AS VARCHAR)) = elt_json_canonical(CAST({1} AS VARCHAR)), FALSE) END"
)
DIALECT = Dialect(
    name=identifier,
    types=_TYPES,
    literal=literal,
    json_value=lambda column: f"CAST({column} AS JSON)",
    same_json=_SAME_JSON.format,
    instant=lambda column, zone: f"timezone({literal(zone)}, CAST({column} AS TIMESTAMP))",
)


class DuckDBWarehouse(Warehouse):
    """A DuckDB file.

    Args:
        path: The file; it and its folder are created where they are missing.
        patience: Seconds to wait while another process has the file.
        log: Takes a line for people while waiting.

    Raises:
        WarehouseBusyError: another process had the file all that time.
        WarehouseDamagedError: the file is damaged, or not a DuckDB file.
        AccessDeniedError: this user may not open it.
        DiskFullError: its disk is full.
    """

    dialect = DIALECT
    _written = False

    def __init__(self, path: Path, patience: float = 600, log: Callable[[str], None] = print) -> None:
        self._file = path
        self._opened_as = (path, patience, log)
        self._connect()

    def _connect(self) -> None:
        path, patience, log = self._opened_as
        with naming_a_full_disk(f"the warehouse {path}", [path]):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = _connect(path, patience, log)
        self._run("SET TimeZone = 'UTC'")
        # a table has no order; to keep one takes a third of the CPU and half of the memory of a large load
        self._run("SET preserve_insertion_order = false")
        _add_functions(self._connection)
        if memory := os.environ.get("ELT_WAREHOUSE_MEMORY"):
            self._run(f"SET memory_limit = {literal(memory)}")

    def execute(self, statement: str) -> int:  # noqa: D102
        answer = self._run(statement)
        self._written = True
        return int(answer[0][0]) if answer and isinstance(answer[0][0], int) else 0

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            with translated(self._file), self.working():
                return self._connection.execute(statement).fetchall()
        except duckdb.CatalogException as error:
            raise StatementError(str(error).strip().splitlines()[0]) from error

    def confine(self) -> None:  # noqa: D102
        self._run("SET enable_external_access = false")

    def query(self, statement: str) -> Rows:  # noqa: D102
        import duckdb

        try:
            with translated(self._file), self.working():
                return self._fetch(statement)
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            raise StatementError(str(error).strip().splitlines()[0]) from error

    def _fetch(self, statement: str) -> Rows:
        cursor = self._connection.execute(statement)
        names = tuple(column[0] for column in cursor.description or ())
        return Rows(names, cursor.fetchall())

    def columns(self, table: Relation) -> Mapping[str, ColumnType] | None:  # noqa: D102
        found = self._run(
            f"SELECT column_name, data_type FROM duckdb_columns() WHERE {_is(table)} ORDER BY column_index"
        )
        return {name: from_duckdb_type(kind) or ColumnType("text") for name, kind in found} or None

    def comments(self, table: Relation) -> Mapping[str, str]:  # noqa: D102
        place = (
            f"lower(schema_name) = lower({literal(table.schema)}) AND lower(table_name) = lower({literal(table.name)})"
        )
        found = self._run(
            f"SELECT '', comment FROM duckdb_tables() WHERE {place} AND database_name = current_database() "
            f"UNION ALL SELECT column_name, comment FROM duckdb_columns() WHERE {place} "
            "AND database_name = current_database()"
        )
        return {name: text for name, text in found if text}

    def moment_after(self, newest: str) -> datetime:
        """Return now by this machine's clock, or the moment after the newest where another's was ahead."""
        now = self.now()
        # before anything was ever loaded there are no audit tables
        with contextlib.suppress(StatementError):
            found = self.query(newest).rows[0][0]
            return max(now, found.astimezone(UTC) + _AFTER) if found else now
        return now

    def now(self) -> datetime:
        """Return the moment by the clock of the file system that has the file: workers' own clocks differ."""
        # where nothing may be written, nothing is loaded
        with contextlib.suppress(OSError), TemporaryFile(dir=self._file.parent) as new:
            return datetime.fromtimestamp(os.fstat(new.fileno()).st_mtime, UTC)
        return super().now()

    def moment_begun(self, source: str, table: str) -> datetime:
        """Return a moment that none has had before: two that begin before any commit are in order, too.

        Where a commit was ahead, the clock is as far ahead for all that begin after it.
        """
        return retrying(partial(self._moment_begun, source, table))

    def _moment_begun(self, source: str, table: str) -> datetime:
        turn, now = audit.turn(source, table), self.now()
        # by `_run`, since none of it is for the copy of the audit tables
        if not {*_BEGUN} <= {*(self.columns(turn) or ())}:
            self._run(statements.create_schema(DIALECT, audit.SCHEMA))
            self._run(audit.create_turn(DIALECT, source, table))
            for column in _BEGUN:
                self._run(f"ALTER TABLE {turn.sql(DIALECT)} ADD COLUMN IF NOT EXISTS {column} TIMESTAMPTZ")
        first = self.moment_after(audit.newest_commit(DIALECT, source, table))
        found = self._run(_begin(turn, now, first))
        return found[0][0].astimezone(UTC) if found else first

    @contextmanager
    def stage(self, order: LoadOrder) -> Iterator[Staged]:
        """Provide views over the landed files.

        DuckDB reads Parquet in place, so a copy of what is near would only cost.
        """
        with self.landed_files(order) as folder:
            yield from self._views(order, folder)

    def _views(self, order: LoadOrder, folder: Path) -> Iterator[Staged]:
        manifest = order.manifest
        rejects = [manifest.rejects] if manifest.rejects else []
        delivered = [manifest.ledger] if manifest.ledger else []
        all_keys = [manifest.keys] if manifest.keys else []
        try:
            rows = self._view(f"landed_{manifest.attempt}", manifest.files, folder)
            rejected = self._view(f"rejects_{manifest.attempt}", rejects, folder)
            files = self._view(f"files_{manifest.attempt}", delivered, folder)
            keys = self._view(f"keys_{manifest.attempt}", all_keys, folder)
            staged = Staged(rows, rejected, self._count(rows), self._count(rejected), files, keys)
        except _unreadable() as error:
            raise LandingError(f"cannot read landing {order.landing}: {error}; run the extract task again") from error
        try:
            yield staged
        finally:
            for view in (rows, rejected, files, keys):
                if view:
                    self._connection.execute(_drop_view(view))

    def _view(self, name: str, files: Sequence[LandedFile], landing: Path) -> Relation | None:
        if not files:
            return None
        view = Relation("temp", name)
        self._connection.execute(_create_view(name, [landing / file.path for file in files]))
        return view

    def _count(self, view: Relation | None) -> int:
        if view is None:
            return 0
        # what fails here is the landing, and the error not the warehouse's
        return int(self._connection.execute(statements.count_rows(DIALECT, view)).fetchall()[0][0])

    @contextmanager
    def transaction(self, proof: Callable[[], str] | None = None) -> Iterator[None]:  # noqa: ARG002, D102
        run = self._run
        with rolled_back_on_error(lambda: run(BEGIN), lambda: run(COMMIT), self._roll_back):
            yield

    def _roll_back(self) -> None:
        """Roll back. A full disk or a damaged file have done so already, and are the error to see."""
        try:
            self._run(ROLLBACK)
        except EltError:
            self.close()

    def another(self) -> DuckDBWarehouse:  # noqa: D102
        return DuckDBWarehouse(*self._opened_as)

    def compact(self, *, force: bool) -> str:
        """Write the file again where a quarter of it is free, or where that is forced."""
        from elt_factory.warehouse.duckdb.compacting import ENOUGH_FREE, compact_file, free_share

        free = free_share(self._connection)
        if not force and free < ENOUGH_FREE:
            return f"{self._file.name}: {free:.0%} of the file is free, which is not worth writing it again"
        with naming_a_full_disk(f"the warehouse {self._file}", [self._file]):
            before, after = compact_file(self._connection, self._file, self._connection.close)
        self._connect()
        return f"{self._file.name}: {before:,} bytes before, {after:,} now"

    def close(self) -> None:
        """Let go of the file, and leave the copy of the audit logs as the file has them."""
        try:
            if self._written:
                self._written = False
                self._copy_audit()
        finally:
            # whatever happens to the copy: a file that stays open keeps others waiting
            self._connection.close()

    def _copy_audit(self) -> None:
        import duckdb

        path, _, log = self._opened_as
        # without audit tables there is nothing to copy
        with contextlib.suppress(StatementError):
            try:
                update_copy(copy_of(path), DIALECT, lambda statement: self.query(statement).rows)
            except (WarehouseBusyError, WarehouseDamagedError, OSError, sqlite3.Error, duckdb.Error) as error:
                # this concerns the copy alone: no load fails for it, and the next one brings it up to date
                log(f"the copy of the audit tables, {copy_of(path).name}, is not up to date: {error}")


def _create_view(name: str, files: Sequence[Path]) -> Statement:
    """CREATE TEMP VIEW over landed files."""
    read = f"read_parquet({file_list(map(str, files))}, {LITERAL_PATHS})"
    return Statement(
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT * FROM {read}", "read the landed files in place"
    )


def _begin(turn: Relation, now: datetime, first: datetime) -> Statement:
    """UPDATE of the last moment that something began: it moves as the clock does, and never back."""
    begun, clock = _BEGUN
    later = f"{begun} + greatest({literal(now)} - {clock}, INTERVAL 1 MICROSECOND)"
    return Statement(
        f"UPDATE {turn.sql(DIALECT)} SET {begun} = greatest({literal(first)}, {later}), {clock} = {literal(now)} "
        f"RETURNING {begun}",
        "what begins later has a later moment",
    )


def _drop_view(view: Relation) -> Statement:
    """DROP VIEW where it is there."""
    return Statement(f"DROP VIEW IF EXISTS {view.sql(DIALECT)}", "the landed files are read")


def _add_functions(connection: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    # another connection of this process may have added it already
    with contextlib.suppress(duckdb.CatalogException):
        connection.create_function("elt_json_canonical", canonical, ["VARCHAR"], "VARCHAR")


def canonical(text: str) -> str:
    """JSON text that is the same for the same value: keys in order, numbers by their value, with all their digits."""
    return json.dumps(json.loads(text, parse_float=_number, parse_int=_number), sort_keys=True)


def _number(digits: str) -> str:
    sign, found, exponent = Decimal(digits).as_tuple()
    shown = "".join(map(str, found))
    kept = shown.rstrip("0")
    value = f"{'-' * sign}{kept}e{int(exponent) + len(shown) - len(kept)}" if kept else "0"
    # no text of a source begins with these two control characters, so a number is never taken for a text
    return f"\x00\x01{value}"


def _is(table: Relation) -> str:
    """Return the condition for a table in DuckDB's own list of them."""
    return (
        f"lower(schema_name) = lower({literal(table.schema)}) AND lower(table_name) = lower({literal(table.name)}) "
        "AND database_name = current_database()"
    )


def _unreadable() -> tuple[type[Exception], ...]:
    """Return what is raised for files that are missing or broken."""
    import duckdb

    return (duckdb.Error,)


def release_file() -> None:
    """Close the connections that dbt left open in this process: they hold the file against every other process."""
    with contextlib.suppress(ImportError):
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _connect(path: Path, patience: float, log: Callable[[str], None]) -> duckdb.DuckDBPyConnection:
    import duckdb

    deadline, told = time.monotonic() + patience, -math.inf
    while True:
        try:
            return open_or_make(path)
        except (duckdb.IOException, duckdb.ResourceInUseException) as error:
            # the second: another thread of this process is just opening it, or letting go of it
            now = time.monotonic()
            if now > deadline:
                raise WarehouseBusyError(
                    f"the warehouse {path} is still in use by {_holder(error)} after {patience:.0f} s; try again later"
                ) from error
            if now - told > _BETWEEN_LINES:
                log(f"waiting for the warehouse {path.name}: in use by {_holder(error)}")
                told = now
        time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - spreads the waiting, guards nothing


def _holder(error: Exception) -> str:
    match = re.search(r"\(PID (\d+)\)", str(error))
    return f"process {match[1]}" if match else "another process"


def duckdb_path(connection: Connection, project: Path) -> Path:
    """Return the file of a duckdb connection: its host, below the project where it is relative.

    Raises:
        BadRequestError: it has a file as its schema and no host, as what a URI of three slashes makes.
    """
    schema = connection.schema or ""
    if not connection.host and ("/" in schema or schema.endswith(_ENDINGS)):
        raise BadRequestError(
            f"the connection `{connection.conn_id}` names its file in `schema`, and not in `host`; hint: as a variable "
            'write JSON: {"conn_type": "duckdb", "host": "data/warehouse.duckdb"}'
        )
    return project / (connection.host or "data/warehouse.duckdb")
