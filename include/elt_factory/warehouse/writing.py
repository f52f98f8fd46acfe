"""How staged rows become the table's, for each write disposition: inside the one transaction of a load, DML only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import AccountingError
from elt_factory.landing.file_names import FILE_ID
from elt_factory.warehouse import history, ledger, overlaps, snapshots, statements
from elt_factory.warehouse.audit import Written
from elt_factory.warehouse.deletes import absent_removals, follow_deletes, marked_before, says_removed
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.history import History
from elt_factory.warehouse.key_forms import refuse_other_forms
from elt_factory.warehouse.snapshots import Later, Snapshot

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Staged, Warehouse
    from elt_factory.warehouse.order import LoadOrder


@dataclass(frozen=True)
class Writing:
    """A load in its transaction: what comes, the table's columns, and the moment that its rows say."""

    warehouse: Warehouse
    order: LoadOrder
    staged: Staged
    columns: Mapping[str, ColumnType]
    now: datetime


def write_rows(load: Writing) -> Written:
    """Make way for the staged rows, write them, and follow the deletes of the source.

    Raises:
        AccountingError: the warehouse writes another number of rows than the landing holds.
        BadDataError: all rows would be deleted, since the source has none, or its keys are written in another way.
    """
    refuse_other_forms(load)
    # they come and go within the load, and leave the table as it was
    absent = absent_removals(load)
    written, deleted = _write(load), follow_deletes(load)
    loaded, unchanged = written.loaded - absent, written.unchanged + absent
    return replace(written, loaded=loaded, unchanged=unchanged, deleted=deleted - absent)


def _write(load: Writing) -> Written:
    order, execute = load.order, load.warehouse.execute
    dialect = load.warehouse.dialect
    if order.starts_over:
        execute(statements.delete_all(dialect, order.target))
    if order.write_disposition == "scd2":
        return _write_versions(load)
    appending = order.write_disposition == "append" and not order.full_refresh
    cursor = _cursor_of(load)
    if appending:
        _make_way_for_appended(load, cursor)
    staging = load.staged.rows
    if staging is None:
        return Written(0)
    if order.write_disposition == "merge" and not order.full_refresh:
        return _merge(load, staging)
    if appending and cursor and order.primary_key:
        # what a lag, or the last value of a number, reads again is there already
        return Written(execute(_insert(load, staging, (*order.primary_key, cursor))))
    return Written(expect(order, "rows", load.staged.row_count, execute(_insert(load, staging))))


def _make_way_for_appended(load: Writing, cursor: str | None) -> None:
    """Delete what the same files, else the same load or a full refresh, wrote before, and what is read every time."""
    order, execute, dialect = load.order, load.warehouse.execute, load.warehouse.dialect
    for statement in overlaps.make_way(load):
        execute(statement)
    if load.staged.ledger:
        execute(ledger.delete_delivered(dialect, order.target, load.staged.ledger))
    # rows of a file belong to it, whichever load wrote them
    unless = FILE_ID if FILE_ID in load.columns else ""
    execute(statements.delete_own(dialect, order.target, order.manifest.load_id, unless))
    if cursor and order.manifest.null_cursor == "include":
        execute(statements.delete_without_cursor(dialect, order.target, cursor))


def _cursor_of(load: Writing) -> str | None:
    """Return the cursor's column, where both the landing and the table have it."""
    cursor = load.order.manifest.cursor_column
    return cursor if cursor in load.order.landed_columns and cursor in load.columns else None


def expect(order: LoadOrder, what: str, expected: int, found: int) -> int:
    """Return the number that was found.

    Raises:
        AccountingError: it is another than the landing's.
    """
    if expected != found:
        manifest = order.manifest
        raise AccountingError(
            f"{manifest.source}.{manifest.table}: the landing holds {expected} {what}, but the warehouse counts {found}"
            "; nothing was committed"
        )
    return found


def _merge(load: Writing, staging: Relation) -> Written:
    order, dialect, execute = load.order, load.warehouse.dialect, load.warehouse.execute
    cursor = order.manifest.cursor_column if order.manifest.cursor_column in order.landed_columns else None
    # of windows without a cursor the later one has the newer rows; of a file's rows the one that was seen last has them
    by_window = cursor is None and order.by_window and order.manifest.ledger is None
    later = overlaps.later_windows(dialect, order.manifest) if by_window else ""
    older = _older_in_any_case(load, cursor)
    execute(statements.delete_matching(dialect, order.target, staging, order.primary_key, cursor, later, older))
    if cursor is None and not by_window:
        return Written(expect(order, "rows", load.staged.row_count, execute(_insert(load, staging))))
    # rows that are newer than what comes stay
    return Written(execute(_insert(load, staging, order.primary_key)))


def _older_in_any_case(load: Writing, cursor: str | None) -> list[str]:
    """Return the conditions for rows `t` that are older than a row `s` of their key, whatever their cursor says.

    A database is asked for the rows without a cursor value as they are now, whichever window is loaded. What another
    load has committed since may be younger; the next load asks for them again.
    """
    d, began = load.warehouse.dialect, datetime.fromisoformat(load.order.manifest.started_at)
    older = marked_before(load, began)
    if cursor and load.order.manifest.null_cursor == "include":
        before = f"t.{d.name(statements.LOADED_AT)} < {d.literal(began)}"
        older.append(f"(s.{d.name(cursor)} IS NULL AND {before})")
    removed = says_removed(load, "s") if cursor else ""
    if cursor and removed:
        # a record of a removal may have nothing but its key
        older.append(f"(s.{d.name(cursor)} IS NULL AND {removed})")
    return older


def _insert(load: Writing, staging: Relation, unless_newer: tuple[str, ...] = ()) -> str:
    order, dialect = load.order, load.warehouse.dialect
    values = statements.staged_values(dialect, order.landed_columns, load.columns)
    if load.staged.ledger and FILE_ID in load.columns:
        values[FILE_ID] = f"s.{dialect.name(FILE_ID)}"
    load_id = order.manifest.load_id
    return statements.insert_rows(dialect, order.target, staging, values, load_id, load.now, unless_newer)


def _write_versions(load: Writing) -> Written:
    order, dialect, load_id = load.order, load.warehouse.dialect, load.order.manifest.load_id
    kinds = columns_of_versions(load)
    staged_rows = history.staged_rows(dialect, load.staged.rows, order.landed_columns, kinds)
    versions = History(dialect, order.target, staged_rows, kinds, order.primary_key, order.clock)
    cursor = order.manifest.cursor_column
    if cursor is None:
        snapshot = _snapshot(load)
        changes = snapshots.snapshot_statements(versions, snapshot)
        standing = snapshots.standing_in_snapshot(versions, snapshot, load_id)
    else:
        changes = history.cursor_statements(versions, cursor, load_id, load.now)
        standing = history.standing_by_cursor(versions, cursor, load_id)
        if load.staged.rows is None:
            return Written(0)
    for change in changes:
        load.warehouse.execute(change)
    # every row that was landed appears in the history now, as often as a load is run
    found, opened = load.warehouse.query(standing).rows[0]
    expect(order, "rows", load.staged.row_count, int(found))
    return Written(int(opened), int(found) - int(opened))


def columns_of_versions(load: Writing) -> dict[str, ColumnType]:
    """Return the table's columns but ours, named as they were landed: a warehouse may not keep the case of a name."""
    landed = {name.casefold(): name for name in load.order.landed_columns}
    mine = {name: kind for name, kind in load.columns.items() if name not in load.warehouse.own_columns}
    return {landed.get(name.casefold(), name): kind for name, kind in mine.items()}


def _snapshot(load: Writing) -> Snapshot:
    """Return what a landing says of its window's end. A rejected row may be any row.

    Then nothing is known to be gone.
    """
    manifest = load.order.manifest
    at, complete = datetime.fromisoformat(manifest.window_end), not manifest.rows_rejected
    given = Snapshot(manifest.source, manifest.table, manifest.load_id, at, load.now, complete)
    if load.order.starts_over:
        return given
    query = snapshots.later_snapshots(load.warehouse.dialect, manifest.source, manifest.table, at)
    # of one moment the snapshot that was committed last counts, as it does for the table's rows
    later: dict[datetime, Later] = {}
    for found in load.warehouse.query(query).rows:
        later.setdefault(found[0], Later(*found))
    return replace(given, later=tuple(later.values()))
