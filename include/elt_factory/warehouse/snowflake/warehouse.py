"""Snowflake: files go up by PUT, come in by one COPY INTO per load, and become rows in one transaction."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from elt_factory.config.models.values import ColumnType
from elt_factory.core.clock import Clock
from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    AccountingError,
    EltError,
    LandingError,
    WarehouseUnavailableError,
)
from elt_factory.landing.folded import Folded
from elt_factory.landing.manifest import LandedFile, Manifest, check_files
from elt_factory.warehouse import audit, ledger, reject_states, statements
from elt_factory.warehouse.base import (
    LoadReport,
    Rows,
    Staged,
    StatementError,
    Warehouse,
    rolled_back_on_error,
)
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.kind import ANY_PURPOSE, Purpose
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.snowflake import sql
from elt_factory.warehouse.snowflake.awake import kept_awake
from elt_factory.warehouse.snowflake.errors import NoSuchObjectError, translated
from elt_factory.warehouse.snowflake.sql import DIALECT, StageFolder
from elt_factory.warehouse.snowflake.stage import external_stage
from elt_factory.warehouse.statement import BEGIN, COMMIT, ROLLBACK

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

_Stager = Callable[[Sequence[LandedFile]], StageFolder]  # makes files readable on a stage, and says where
STAGE = Relation(audit.SCHEMA, "landing")
STAGING = "staged_"
_MOMENT = "%Y%m%dT%H%M%SZ"
SWEPT_AFTER = timedelta(days=2)  # no load takes that long
_WITHOUT_PARTS = 3  # names in the path of a landed file: attempt, data, file
_DEPTH = 5  # parts of a staged file's path before its folder in the load
_CHANGED = "number of rows "  # how the names of a DML statement's answer begin


T = TypeVar("T")


class _Tables(NamedTuple, Generic[T]):
    """Something for each of the four kinds of landed files."""

    rows: T
    rejects: T
    ledger: T
    keys: T


def _landed_files(manifest: Manifest) -> _Tables[Sequence[LandedFile]]:
    alone = ([file] if file else [] for file in (manifest.rejects, manifest.ledger, manifest.keys))
    return _Tables(manifest.files, *alone)


class SnowflakeWarehouse(Warehouse):
    """A Snowflake database, through an Airflow connection of type snowflake.

    Args:
        connection: The Airflow connection.
        purpose: What every statement's QUERY_TAG says, and the virtual warehouse where it is not the connection's.
        log: Takes a line for people.

    Raises:
        AccessDeniedError: the connection is not complete, or Snowflake refuses it.
        WarehouseUnavailableError: Snowflake cannot be reached.
    """

    dialect = DIALECT

    def __init__(
        self, connection: Connection, purpose: Purpose = ANY_PURPOSE, log: Callable[[str], None] = print
    ) -> None:
        self._given = connection
        self._purpose = purpose
        self._tag = dict(purpose.tag)
        self._log = log
        self._clock: Clock | None = None
        self._connect()

    def _connect(self) -> None:
        from elt_factory.storage.snowflake import secrets
        from elt_factory.warehouse.snowflake.hook import connect

        self._secrets = secrets(self._given)
        self._connection = connect(self._given, query_tag(self._purpose.tag))
        if self._purpose.compute:
            self._run(sql.use_warehouse(self._purpose.compute))

    def _run(self, statement: str) -> SnowflakeCursor:
        """Send one statement under our tag; every statement passes here."""
        with translated(self._secrets), self.working():
            cursor = self._connection.cursor()
            cursor.execute(statement, _statement_params={"QUERY_TAG": query_tag(self._tag)})
            return cursor

    def now(self) -> datetime:  # noqa: D102
        if self._clock is None:
            asked = time.monotonic()
            # a statement has the time at which it began, however long it waits for its answer
            self._clock = Clock(self.query(sql.NOW).rows[0][0].astimezone(UTC), asked)
            return self._clock.showed
        return self._clock.now()

    def execute(self, statement: str) -> int:  # noqa: D102
        cursor = self._run(statement)
        changed = any(column.name.startswith(_CHANGED) for column in cursor.description or ())
        return int(cursor.rowcount or 0) if changed else 0

    def query(self, statement: str) -> Rows:  # noqa: D102
        cursor = self._run(statement)
        with translated(self._secrets):
            found = cursor.fetchall()
        names = tuple(column.name.lower() for column in cursor.description or ())
        return Rows(names, [tuple(map(python_value, row)) for row in found])

    def columns(self, table: Relation) -> Mapping[str, ColumnType] | None:  # noqa: D102
        try:
            described = self.query(sql.describe_table(table)).dicts()
        except NoSuchObjectError:
            return None
        return Folded({row["name"]: sql.from_snowflake_type(row["type"]) for row in described})

    def comments(self, table: Relation) -> Mapping[str, str]:  # noqa: D102
        described = self.query(sql.describe_table(table)).dicts()
        own = self.query(sql.table_comment(table)).rows
        found = {row["name"]: row.get("comment") or "" for row in described}
        return Folded({**found, "": str(own[0][0] or "") if own else ""})

    def create_schema(self, schema: str) -> None:
        """Create a schema where it is not there yet; where that is not allowed, it must be there."""
        wanted = f"USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA {DIALECT.name(schema)}"
        self._create(statements.create_schema(DIALECT, schema), sql.describe_schema(schema), wanted)

    def _create(self, create: str, describe: str, wanted: str) -> None:
        try:
            self.execute(create)
        except AccessDeniedError as refused:
            try:
                self._run(describe)
            except (AccessDeniedError, NoSuchObjectError):
                role = self._given.extra.get("role") or "the role of the connection"
                raise AccessDeniedError(
                    f"{refused}; an administrator can run: {create}; GRANT {wanted} TO ROLE {role};"
                ) from refused

    @contextmanager
    def transaction(self, proof: Callable[[], str] | None = None) -> Iterator[None]:
        """Commit what the block did, or nothing of it. BEGIN says so whatever the session's autocommit is."""
        with rolled_back_on_error(lambda: self._run(BEGIN), lambda: self._commit(proof), self._roll_back):
            yield

    def _commit(self, proof: Callable[[], str] | None) -> None:
        """Commit. Where the connection broke before Snowflake answered, the proof says whether it happened."""
        try:
            self._run(COMMIT)
        except WarehouseUnavailableError:
            if proof is None:
                raise
            self._connect()
            if not self.query(proof()).rows[0][0]:
                raise
            self._log("lost the connection to Snowflake during the commit; the commit succeeded")
        except BaseException:
            # cleaning up begins with DDL, which would commit what is open
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Roll back; where that cannot be said any more, the end of the session does it."""
        try:
            self._run(ROLLBACK)
        except EltError:
            self.close()

    def kept_open(self, asked: str) -> AbstractContextManager[None]:  # noqa: D102
        return kept_awake(partial(self.query, asked))

    def another(self) -> SnowflakeWarehouse:  # noqa: D102
        return SnowflakeWarehouse(self._given, self._purpose, self._log)

    def close(self) -> None:  # noqa: D102
        # what is committed is committed, and what is not ends with the session
        with contextlib.suppress(EltError), translated(self._secrets):
            self._connection.close()

    def load(self, order: LoadOrder) -> LoadReport:
        """Write a landing, every statement of it under the load's own tag; see Warehouse.load."""
        manifest, before = order.manifest, self._tag
        self._tag = {**before, **tag(manifest.source, manifest.table, order.run_id, manifest.load_id)}
        try:
            report = super().load(order)
            self._sweep_old()
            return report
        finally:
            self._tag = before

    @contextmanager
    def stage(self, order: LoadOrder) -> Iterator[Staged]:
        """Transient tables with the landed rows and rejects; they and the files on the stage are gone afterwards."""
        manifest = order.manifest
        name = staging_name(manifest.attempt, self.now())
        folder = stage_folder(manifest, name)
        tables = _Tables(*(Relation(audit.SCHEMA, f"{name}{of}") for of in ("", "_rejects", "_files", "_keys")))
        outside = external_stage(order.landing, self._given) if manifest.all_files else None
        try:
            if outside:
                # Snowflake reads the landing by itself: sizes and ETags are all the proof there is
                check_files(order.landing, manifest)
                self._create(outside.create, sql.describe_stage(outside.relation), outside.wanted)
                counts = self._copy_all(order, tables, _Tables(*[outside.folder] * 4))
            else:
                counts = self._send_and_copy(order, tables, folder)
            landed = zip(tables, _landed_files(manifest), strict=True)
            there = _Tables(*(table if files else None for table, files in landed))
            yield Staged(there.rows, there.rejects, *counts, there.ledger, there.keys)
        finally:
            made = [table for table, files in zip(tables, _landed_files(manifest), strict=True) if files]
            # what an external stage shows is the landing itself
            self._forget(made, None if outside else folder)

    def _send_and_copy(self, order: LoadOrder, tables: _Tables[Relation], folder: StageFolder) -> tuple[int, int]:
        """Copy by way of ELT Factory's own stage. Nothing is sent before all of the landing is proven."""
        with self.landed_files(order) as here:
            if order.manifest.all_files:
                create = f"CREATE STAGE ON SCHEMA {DIALECT.name(STAGE.schema)}"
                self._create(sql.create_stage(STAGE), sql.describe_stage(STAGE), create)
            parts = ("data", "rejects", "files", "keys")
            senders = _Tables[_Stager](*(partial(self._send, here, folder.below(part)) for part in parts))
            return self._copy_all(order, tables, senders)

    def _copy_all(self, order: LoadOrder, tables: _Tables[Relation], staged: _Tables[_Stager]) -> tuple[int, int]:
        """Return the numbers of rows and of rejects that Snowflake says it loaded."""
        landed = _landed_files(order.manifest)
        self._copy(order, tables.ledger, staged.ledger, landed.ledger, ledger.STAGED)
        self._copy(order, tables.keys, staged.keys, landed.keys, order.key_columns)
        return (
            self._copy(order, tables.rows, staged.rows, landed.rows, order.staged_columns),
            self._copy(order, tables.rejects, staged.rejects, landed.rejects, reject_states.STAGED),
        )

    def _send(self, here: Path, folder: StageFolder, files: Sequence[LandedFile]) -> StageFolder:
        """Send files of one folder up to a folder of ELT Factory's own stage."""
        path = PurePosixPath(files[0].path).parts
        if len(path) > _WITHOUT_PARTS:
            # parts of a load have files of the same name
            folder = folder.below(path[1])
        self._run(sql.put(sql.wildcard(here, files), folder))
        return folder

    def _copy(
        self,
        order: LoadOrder,
        table: Relation,
        staged: _Stager,
        files: Sequence[LandedFile],
        columns: Mapping[str, ColumnType],
    ) -> int:
        """Copy files into a new table from where they are staged; the number of rows that Snowflake says it loaded."""
        if not files:
            return 0
        self._run(sql.create_staging(table, columns))
        return sum(self._copy_folder(order, table, staged, same) for same in by_folder(files))

    def _copy_folder(self, order: LoadOrder, table: Relation, staged: _Stager, files: Sequence[LandedFile]) -> int:
        """Copy the files of one folder of the landing; of a load in parts, each part has its own."""
        folder = staged(files)
        try:
            report = self.query(sql.copy_into(table, folder)).dicts()
        except StatementError as error:
            raise LandingError(f"cannot read landing {order.landing}: {error}; run the extract task again") from error
        loaded = {row["file"].rsplit("/", 1)[-1]: int(row["rows_loaded"]) for row in report if "file" in row}
        for file in files:
            _expect_rows(order, file, loaded.get(file.path.rsplit("/", 1)[-1], 0))
        return sum(loaded.values())

    def _forget(self, tables: Sequence[Relation], folder: StageFolder | None) -> None:
        """Drop staging tables and remove the files that a load sent up.

        What fails here is swept later; the load is committed already, or has failed.
        """
        for statement in [*map(sql.drop_table, tables), *([sql.remove(folder)] if tables and folder else [])]:
            try:
                self._run(statement)
            except EltError as error:
                self._log(f"left for a later sweep: {error}")

    def _sweep_old(self) -> None:
        """Sweep what no load can be using any more; a load stays committed whether this works or not."""
        try:
            self.sweep(self.now() - SWEPT_AFTER)
        except EltError as error:
            self._log(f"left for a later sweep: {error}")

    def sweep(self, before: datetime) -> list[str]:
        """Drop the staging tables and remove the staged files that loads which were killed left before a moment."""
        tables = [name for (name,) in self.query(sql.staging_tables(audit.SCHEMA, STAGING)).rows]
        old_tables = [name for name in tables if _is_older(name, before)]
        for name in old_tables:
            self._run(sql.drop_table(Relation(audit.SCHEMA, name)))
        try:
            files = [str(row["name"]) for row in self.query(sql.list_files(STAGE)).dicts()]
        except NoSuchObjectError:
            files = []
        # stage, source, table, load id, the name of the staging table, ...
        folders = {parts[1:5] for file in files if len(parts := tuple(file.split("/"))) > _DEPTH}
        old_folders = sorted(folder for folder in folders if _is_older(folder[-1], before))
        for folder in old_folders:
            self._run(sql.remove(StageFolder(STAGE, sql.safe_path(*folder))))
        return [*old_tables, *map("/".join, old_folders)]


def tag(source: str, table: str, run_id: str, load_id: str) -> dict[str, str]:
    """Return what a load's statements say of themselves, for cost reports."""
    return {"source": source, "table": table, "dag": source, "run": run_id, "load": load_id}


def query_tag(tag: Mapping[str, str]) -> str:
    """Return a tag as Snowflake keeps it: JSON of at most 2,000 characters."""
    return json.dumps({key: value for key, value in tag.items() if value})[:2000]


def staging_name(attempt: str, now: datetime) -> str:
    """Return the name of a load's staging table. It says when it was made, and no other load has it."""
    return f"{STAGING}{now.strftime(_MOMENT)}_{attempt}_{uuid.uuid4().hex[:8]}".lower()


def staged_at(name: str) -> datetime | None:
    """When a staging table was made; None where the name does not say."""
    moment = name.lower().removeprefix(STAGING).partition("_")[0]
    try:
        return datetime.strptime(moment.upper(), _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_older(name: str, before: datetime) -> bool:
    """Whether a load's staging was made before a moment; what is not named by a load is none."""
    began = staged_at(name)
    return began is not None and began < before


def by_folder(files: Sequence[LandedFile]) -> list[list[LandedFile]]:
    """Return files by the folders of the landing that they are in."""
    found: dict[PurePosixPath, list[LandedFile]] = {}
    for file in files:
        found.setdefault(PurePosixPath(file.path).parent, []).append(file)
    return list(found.values())


def stage_folder(manifest: Manifest, name: str) -> StageFolder:
    """Where a load's files are on the stage: below their source, table and load, in a folder no other load has."""
    return StageFolder(STAGE, sql.safe_path(manifest.source, manifest.table, manifest.load_id, name))


def python_value(value: Any) -> Any:
    """Return a value as DuckDB gives it: moments in UTC, bytes that do not change."""
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return bytes(value) if isinstance(value, bytearray) else value


def _expect_rows(order: LoadOrder, file: LandedFile, found: int) -> None:
    if found != file.rows:
        manifest = order.manifest
        raise AccountingError(
            f"{manifest.source}.{manifest.table}: the landing holds {file.rows} rows in {file.path}, but the warehouse "
            f"counts {found}; nothing was committed"
        )
