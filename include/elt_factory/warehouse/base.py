"""The warehouse as everything else sees it, and the one way a landing becomes rows."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from elt_factory.config.models.values import ColumnType
from elt_factory.core.amount import amount
from elt_factory.core.failures import (
    AccountingError,
    ContractError,
    ForgottenError,
    PermanentError,
    TooManyRejectsError,
    TransientError,
)
from elt_factory.core.sql_text import Value
from elt_factory.landing.checksums import proven
from elt_factory.landing.folded import Folded
from elt_factory.landing.manifest import Drift, Manifest
from elt_factory.warehouse import audit, audit_views, deletes, evolution, ledger, overlaps, reject_states, statements
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.evolution import SchemaChange
from elt_factory.warehouse.fitting import fitted
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.patience import retrying
from elt_factory.warehouse.replaying import write_replayed
from elt_factory.warehouse.turns import turn_held
from elt_factory.warehouse.work import Work
from elt_factory.warehouse.writing import Writing, expect, write_rows


@dataclass(frozen=True)
class Rows:
    """The answer to a query: column names and rows of Python values."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows as mappings from column to value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class LoadReport:
    """What a load did: exact numbers, as the warehouse counted them, and the changes of the table's schema.

    `rows_read == rows_loaded + rows_rejected + rows_duplicate + rows_unchanged + rows_filtered + rows_withheld`.
    `rows_withheld` are the good ones of a load that fails for its rejects. `rows_deleted` are those of the table that
    the source has deleted, or that are marked so. `gave_way` says that nothing was written, because what was read later
    is committed already; all numbers but the table's are 0 then.
    """

    rows_read: int
    rows_loaded: int
    rows_rejected: int
    rows_duplicate: int
    total_rows: int
    rows_unchanged: int = 0
    rows_deleted: int = 0
    changes: tuple[Drift, ...] = ()
    gave_way: bool = False
    rows_filtered: int = 0
    rows_withheld: int = 0


@dataclass(frozen=True)
class Staged:
    """Where the landed files can be read from in the warehouse, and the rows found there."""

    rows: Relation | None
    rejects: Relation | None
    row_count: int
    reject_count: int
    ledger: Relation | None = None
    keys: Relation | None = None


class TableChangedError(TransientError):
    """The columns of a table were changed by another load, or by a person, while this one waited for its turn."""


class StatementError(PermanentError):
    """The warehouse cannot answer a query: no such column, a condition that is not SQL, types that do not compare."""


class Warehouse(Work, ABC):
    """One open connection to a warehouse. Use it as a context manager."""

    dialect: Dialect
    own_columns: Collection[str] = (
        *statements.OWN_COLUMNS,
        *statements.VALIDITY,
        *ledger.OWN_COLUMN,
        *deletes.OWN_COLUMN,
    )
    _prepared = False

    @abstractmethod
    def execute(self, statement: str) -> int:
        """Run one statement; the number of rows it changed, 0 for DDL."""

    def confine(self) -> None:
        """From now on let SQL read the warehouse alone, where it could else read files of this machine."""

    @abstractmethod
    def query(self, statement: str) -> Rows:
        """Run one query.

        Raises:
            StatementError: the warehouse cannot answer it, now or later.
        """

    @abstractmethod
    def columns(self, table: Relation) -> Mapping[str, ColumnType] | None:
        """Return a table's columns in their order; None when it does not exist."""

    def columns_as(self, table: Relation, wanted: Mapping[str, ColumnType]) -> Mapping[str, ColumnType] | None:
        """Return a table's columns as `columns` gives them; of types that are one type here, the wanted one."""
        found, of = self.columns(table), self.dialect.type
        if found is None:
            return None
        alike = {name: kind for name, kind in wanted.items() if name in found and of(kind) == of(found[name])}
        merged = {**found, **alike}
        return Folded(merged) if isinstance(found, Folded) else merged

    def comments(self, table: Relation) -> Mapping[str, str]:  # noqa: ARG002
        """Return the comments of a table's columns by their names, and under the empty name that of the table itself.

        Where a warehouse does not say, they are written with every load.
        """
        return {}

    @abstractmethod
    def stage(self, order: LoadOrder) -> AbstractContextManager[Staged]:
        """Make the landed files readable, outside of any transaction; gone when the block ends."""

    @abstractmethod
    def transaction(self, proof: Callable[[], str] | None = None) -> AbstractContextManager[None]:
        """Commit what the block did, or nothing of it. No DDL belongs in the block: it would commit.

        `proof` gives a query that counts one row when the block is committed and none when it is not: it decides where
        the answer to the commit itself was lost.
        """

    def kept_open(self, asked: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Keep a transaction in which nothing is done from being ended by the warehouse; `asked` is a query in it."""
        return nullcontext()

    @abstractmethod
    def another(self) -> Warehouse:
        """Return a second connection to the same warehouse."""

    def landed_files(self, order: LoadOrder) -> AbstractContextManager[Path]:
        """Provide a folder of this machine with a landing's files, each byte for byte what was landed."""
        return proven(order.landing, order.manifest.all_files)

    def now(self) -> datetime:
        """Return the moment by the one clock that decides what came first: of a shared warehouse, its own."""
        return datetime.now(UTC)

    def moment_after(self, newest: str) -> datetime:  # noqa: ARG002
        """Return the moment of something that comes after the newest one, which a query finds.

        By a clock that all share that is now. Where the warehouse has none, it is never before what it comes after.
        """
        return self.now()

    def moment_begun(self, source: str, table: str) -> datetime:
        """Return the moment of what begins now for a table: after all that was committed, and all that had begun.

        By a clock that all share that is now. Where the warehouse has none, it keeps the last one that it gave.
        """
        return self.moment_after(audit.newest_commit(self.dialect, source, table))

    def sweep(self, before: datetime) -> list[str]:  # noqa: ARG002
        """Remove what killed loads left in the warehouse before a moment, and return what it was."""
        return []

    def compact(self, *, force: bool) -> str:  # noqa: ARG002
        """Give space back that deleted rows take, where a warehouse does not do so by itself; what was done."""
        return "this warehouse reuses the space of deleted rows by itself"

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.tell_done()

    def create_schema(self, schema: str) -> None:
        """Create a schema where it is not there yet."""
        self.execute(statements.create_schema(self.dialect, schema))

    def prepare(self) -> None:
        """Create the audit tables and views where they are not there yet, and what an older version did not have.

        A connection looks once. Another that creates them at the same moment is in the way, and then they are there.
        """
        if not self._prepared:
            retrying(partial(audit_views.prepare, self))
            self._prepared = True

    def record(self, table: str, rows: Sequence[Mapping[str, Value]]) -> None:
        """Append rows to an audit table in one transaction."""
        self.prepare()
        if rows:
            with self.transaction():
                self.execute(audit.insert_rows(self.dialect, table, rows))

    def load(self, order: LoadOrder) -> LoadReport:
        """Write a landing: DDL first, then one transaction with the rows *and* their row in `_elt.loads`.

        A landing gives way to one that was begun later and is committed for the same window, or for all of the table.

        Raises:
            TooManyRejectsError: rows were read, and none of them is good, or more are rejected than the order allows.
                The rejects are kept in `_elt.rejects`, with the load's row in `_elt.loads`; the table is not changed.
            AccountingError: the warehouse sees or writes another number of rows than the manifest says.
            ContractError: the table has another type for a column than the landing.
            LandingError: a landed file cannot be read.
            ForgottenError: the landing may hold records that were erased since it was begun.
            TableChangedError: the table's columns were changed after the load had looked at them.
            WarehouseBusyError: other loads of the table were always faster. After any of them nothing is committed.
        """
        self.prepare()
        with self.stage(order) as staged:
            _check_staged(order, staged)
            changes = () if order.too_many_rejects else retrying(partial(self._shape_target, order))
            report = retrying(partial(self._load_once, order, staged))
            if order.too_many_rejects and not report.gave_way:
                self._refuse_rejects(order, staged)
        return replace(report, changes=changes)

    def _load_once(self, order: LoadOrder, staged: Staged) -> LoadReport:
        """One transaction with the rows and their account, when it is the table's turn.

        The turn is taken first: what this load sees then, no other load of the table changes before it is committed.
        """
        manifest, dialect, now = order.manifest, self.dialect, self.now()
        self.execute(audit.create_turn(dialect, manifest.source, manifest.table))
        whose = f"{manifest.load_id} {now.isoformat()} {uuid.uuid4().hex}"
        with self.transaction(lambda: audit.count_load(dialect, manifest.load_id, now)):
            if not self.execute(audit.take_turn(dialect, manifest.source, manifest.table, whose)):
                raise AccountingError(
                    f"{order.label}: {audit.turn(manifest.source, manifest.table).sql(dialect)} has no row; drop that "
                    "table, and the next load recreates it"
                )
            # rows that are committed later are loaded later: who has waited for the turn does not count from before it
            now = self.moment_after(audit.newest_commit(dialect, manifest.source, manifest.table))
            columns = self.columns_as(order.target, order.landed_columns)
            _expect_shape(order, columns)
            if manifest.replays:
                reject_states.refuse_closed(self, order, manifest.replays)
                return self._write(order, staged, now, columns)
            later, *forgotten = self.query(audit.later_landing(dialect, manifest)).rows[0]
            if later:
                total = self.query(statements.count_rows(dialect, order.target)).rows[0][0] if columns else 0
                return LoadReport(0, 0, 0, 0, int(total), gave_way=True)
            if any(forgotten):
                raise ForgottenError(f"{order.label}: the landing may hold records that elt forget has erased since")
            overlaps.refuse_other_parts(order)
            overlaps.refuse_stale(self, order)
            overlaps.refuse_read_twice(self, order)
            return self._write(order, staged, now, columns)

    def _shape_target(self, order: LoadOrder) -> tuple[Drift, ...]:
        """Create the target, or make it fit for what comes; what was changed about its columns."""
        landed, own = order.landed_columns, order.own_columns
        if not landed:
            return ()
        self.create_schema(order.target.schema)
        existing = self.columns_as(order.target, landed)
        if existing is None:
            self.execute(statements.create_table(self.dialect, order.target, {**landed, **own}, order.options))
            # another first load may have created it, with its own columns
            existing = self.columns_as(order.target, landed) or {}
        changes = self._evolve(order, existing, landed)
        self._comment(order, {*existing, *landed})
        return changes

    def _evolve(
        self, order: LoadOrder, existing: Mapping[str, ColumnType], landed: Mapping[str, ColumnType]
    ) -> tuple[Drift, ...]:
        for statement in evolution.unfinished(self.dialect, order.target, existing, landed):
            self.execute(statement)
            existing = self.columns_as(order.target, landed) or {}
        changes = evolution.schema_changes(existing, landed, order.retypes)
        if not evolution.waits(self.dialect, changes):
            return self._apply(order, existing, changes)
        whose = f"{order.manifest.load_id} grows {uuid.uuid4().hex}"
        with turn_held(self, order.manifest.source, order.manifest.table, whose):
            # what another load has done meanwhile is done
            existing = self.columns_as(order.target, landed) or {}
            changes = evolution.schema_changes(existing, landed, order.retypes)
            if any(change.kind == "retyped" for change in changes):
                # a refresh that would be refused gives no column another type
                overlaps.refuse_stale(self, order)
            return self._apply(order, existing, changes)

    def _apply(
        self, order: LoadOrder, existing: Mapping[str, ColumnType], changes: Sequence[SchemaChange]
    ) -> tuple[Drift, ...]:
        _refuse(order, changes)
        own = {n: kind for n, kind in order.own_columns.items() if n not in existing}
        for name in own:
            _refuse_mixture(order, name)
        made = [change for change in changes if change.kind != "fits"]
        drift = tuple(
            Drift(change.column, str(change.new), change.kind, str(change.old) if change.old else None)
            for change in made
        )
        # said before it is done: after a crash in between the next try says it again, in place of this one
        self._record_drift(order.manifest, drift)
        keys, target = order.primary_key, order.target
        for statement in evolution.statements_of(self.dialect, target, made, own, existing, order.options, keys):
            self.execute(statement)
        return drift

    def _comment(self, order: LoadOrder, columns: Collection[str]) -> None:
        """Write the comments that the YAML has and the table has otherwise."""
        wanted = {name: text for name, text in order.options.comments.items() if text and name in columns}
        if not wanted and not order.options.comment:
            return
        found = self.comments(order.target)
        if order.options.comment and found.get("") != order.options.comment:
            self.execute(statements.comment_table(self.dialect, order.target, order.options.comment))
        changed = {name: text for name, text in wanted.items() if found.get(name) != text}
        if changed:
            self.execute(statements.comment_columns(self.dialect, order.target, changed))

    def _record_drift(self, manifest: Manifest, drift: Sequence[Drift]) -> None:
        if drift:
            now = self.moment_after(audit.newest_drift(self.dialect, manifest.load_id))
            rows = [audit.drift_row(manifest, change, now) for change in drift]
            self.execute(audit.insert_rows(self.dialect, "schema_changes", rows))

    def _write(
        self, order: LoadOrder, staged: Staged, now: datetime, columns: Mapping[str, ColumnType] | None
    ) -> LoadReport:
        """Return the rows, the rejects and the row in `_elt.loads`.

        The table has no columns where no load had one yet.
        """
        manifest = order.manifest
        staged = staged if manifest.replays else ledger.without_overtaken(self, order, staged)
        # a load that fails leaves the rows that are there as they are
        failed = order.too_many_rejects
        written = audit.Written(0, withheld=manifest.rows + manifest.rows_duplicate if failed else 0)
        if columns and not failed:
            load = Writing(self, order, fitted(self.dialect, order, staged, columns), columns, now)
            written = write_replayed(load, manifest.replays) if manifest.replays else write_rows(load)
        # what was added or widened is said already
        self._record_drift(manifest, [drift for drift in manifest.drift if drift.action in ("dropped", "rejected")])
        row = audit.load_row(
            manifest,
            run_id=order.run_id,
            write_disposition=order.write_disposition,
            full_refresh=order.full_refresh and not failed,
            written=written,
            loaded_at=now,
        )
        self.execute(audit.insert_load(self.dialect, row))
        reject_states.close_rejects(self, order, staged, now)
        self._write_rejects(order, staged, now)
        # files of which nothing could be loaded are still to be loaded
        if staged.ledger and not failed and not manifest.replays:
            self.execute(ledger.insert_files(self.dialect, staged.ledger, order, now))
        total = int(self.query(statements.count_rows(self.dialect, order.target)).rows[0][0]) if columns else 0
        return LoadReport(
            manifest.rows_read,
            written.loaded,
            manifest.rows_rejected,
            written.duplicate(manifest),
            total,
            written.unchanged,
            rows_filtered=manifest.rows_filtered,
            rows_deleted=written.deleted,
            rows_withheld=written.withheld,
        )

    def _refuse_rejects(self, order: LoadOrder, staged: Staged) -> None:
        manifest, reason = order.manifest, "unknown"
        if staged.rejects is not None:
            d = self.dialect
            for (found,) in self.query(f"SELECT {d.name('reason')} FROM {staged.rejects.sql(d)} LIMIT 1").rows:
                reason = str(found)
        what = f"none of the {amount(manifest.rows_read, 'row')} read is valid"
        if not order.only_rejects:
            what = f"{manifest.rows_rejected} of {manifest.rows_read} rows read were rejected; rejects: allows "
            what += str(order.limit)
        raise TooManyRejectsError(
            f"{order.label}: {what}, for example: {reason}; they are in _elt.rejects with load_id "
            f"{manifest.load_id}, and nothing was loaded"
        )

    def _write_rejects(self, order: LoadOrder, staged: Staged, now: datetime) -> None:
        # what is rejected again is in the log already
        if staged.rejects is None or order.manifest.replays:
            return
        manifest = order.manifest
        insert = statements.insert_rejects(
            self.dialect, staged.rejects, manifest.source, manifest.table, manifest.load_id, now
        )
        expect(order, "rejected rows", manifest.rows_rejected, self.execute(insert))


def _refuse(order: LoadOrder, changes: Iterable[SchemaChange]) -> None:
    """Refuse a load in which the warehouse would cast, and so change, values on their way in.

    It happens when two windows are extracted before the first of them has made the table.
    """
    for change in changes:
        if change.kind == "refused":
            raise ContractError(
                f"{order.label}: {change.column} was landed as {change.new}, but the table has {change.old}; "
                f"clear {order.manifest.what_to_clear} to read the window again with the table's types"
            )


def _expect_shape(order: LoadOrder, columns: Mapping[str, ColumnType] | None) -> None:
    """See that the table still takes what comes, as it did before the load had its turn.

    Raises:
        TableChangedError: it was dropped meanwhile, or has other types: values would be cast, and so changed.
    """
    landed = order.landed_columns
    if order.too_many_rejects or not landed:
        return
    found = evolution.schema_changes(columns or {}, landed)
    if any(change.kind != "fits" for change in found):
        raise TableChangedError(
            f"{order.label}: the table was changed after this load had looked at it; nothing was committed, and the "
            "next try loads into the table as it is now"
        )


def _refuse_mixture(order: LoadOrder, missing: str) -> None:
    """Refuse a table whose rows have no validity columns."""
    if missing in statements.VALIDITY and not order.full_refresh:
        raise ContractError(
            f"{order.label}: existing rows have no validity columns (not written with scd2); run with full refresh"
        )


def _check_staged(order: LoadOrder, staged: Staged) -> None:
    expect(order, "rows", order.manifest.rows, staged.row_count)
    expect(order, "rejected rows", order.manifest.rows_rejected, staged.reject_count)


@contextmanager
def rolled_back_on_error(
    begin: Callable[[], object], commit: Callable[[], object], rollback: Callable[[], object]
) -> Iterator[None]:
    """Provide a transaction out of its three statements."""
    begin()
    try:
        yield
    except BaseException:
        rollback()
        raise
    commit()
