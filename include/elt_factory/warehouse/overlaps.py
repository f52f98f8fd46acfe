"""Loads that read some of the same rows: neither takes or doubles what the other has committed.

A full refresh is one load of all windows up to its own, and all of its rows bear its load id. A window of `append` that
is run again after it takes the place of the refresh's rows of that window, if they differ from the others. So does a
window of other bounds, as a person chooses them, or as they are when the schedule was changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from elt_factory.config.models.cursor_rules import NUMBERS
from elt_factory.config.models.table import TIMES
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import ContractError, LandingError
from elt_factory.extract.bounds import on_clock
from elt_factory.landing.manifest import Manifest, parse_manifest
from elt_factory.warehouse import audit, statements
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.replay_ids import is_replay
from elt_factory.warehouse.statement import Statement

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse
    from elt_factory.warehouse.order import LoadOrder
    from elt_factory.warehouse.writing import Writing


def refuse_other_parts(order: LoadOrder) -> None:
    """See that a landing is still made of the parts that this load knows: one may have been read again meanwhile.

    Both loads are of one attempt, so that nothing else says which of them is the later one.

    Raises:
        LandingError: it is made of others.
    """
    manifest = order.manifest
    if manifest.parts and parse_manifest(order.landing.below(manifest.attempt)).parts != manifest.parts:
        raise LandingError(f"{order.label}: a part was read again since, and another load task takes it")


def refuse_stale(warehouse: Warehouse, order: LoadOrder) -> None:
    """See that a full refresh has read all that it takes the place of.

    Raises:
        ContractError: it ends before a window that is loaded, or another load has read the source after it began.
    """
    if not order.full_refresh or order.write_disposition == "replace":
        return
    manifest = order.manifest
    of_a_number = order.by_cursor and _family(str(manifest.cursor_type)) in NUMBERS
    if order.by_window and not of_a_number:
        for load_id, end in warehouse.query(loads_past(warehouse.dialect, manifest)).rows:
            raise ContractError(
                f"{order.label}: this full refresh reads up to {manifest.window_end}, and the load {load_id} has rows "
                f"up to {end.isoformat()}, which it would remove; run it with that window_end or later"
            )
    for (load_id,) in warehouse.query(loads_begun_after(warehouse.dialect, manifest)).rows:
        raise ContractError(
            f"{order.label}: the load {load_id} has read the source after this full refresh started, and is committed; "
            f"clear {manifest.what_to_clear} to read the current data"
        )


def refuse_read_twice(warehouse: Warehouse, order: LoadOrder) -> None:
    """See that no rows are appended that a load of another window has read at the same time.

    With a key they are found by it. Without one nothing but the numbers of the cursor says that they are the same.

    Raises:
        ContractError: they are there.
    """
    manifest = order.manifest
    appends = order.write_disposition == "append" and not order.full_refresh and not order.primary_key
    numbered = manifest.cursor_min and _family(str(manifest.cursor_type)) in ("integer", "decimal")
    if not (appends and order.by_cursor and numbered):
        return
    for (load_id,) in warehouse.query(overlapping(warehouse.dialect, manifest)).rows:
        raise ContractError(
            f"{order.label}: the rows from {manifest.cursor_column} {manifest.cursor_min} to {manifest.cursor_max} "
            f"were read by another run at the same time, and the load {load_id} has committed some of them; clear "
            f"{manifest.what_to_clear} to read what is new, or give the table a primary_key"
        )


def make_way(load: Writing) -> Iterator[str]:
    """Yield the statements that remove what loads of other bounds wrote for the window of a load that appends.

    Raises:
        ContractError: nothing distinguishes their rows of this window from the new ones, or from their others.
    """
    order, dialect, manifest = load.order, load.warehouse.dialect, load.order.manifest
    cursor = manifest.cursor_column
    kind = load.columns[cursor].name if cursor and cursor in load.columns else ""
    # rows of a file are found by it; a number is read from where the refresh has ended
    if load.staged.ledger or (order.by_cursor and kind in NUMBERS):
        return
    for load_id, last, refreshed, newer in load.warehouse.query(loads_over(dialect, manifest)).rows:
        if not refreshed and _is_told_apart(order, kind):
            continue
        if cursor and order.by_cursor and kind in TIMES:
            yield _delete_window(load, load_id, cursor, newer=bool(newer))
        elif not refreshed:
            raise ContractError(
                f"{order.label}: the load {load_id} has rows of {manifest.window_start} to {manifest.window_end} "
                "already, and nothing tells them from the new ones: run windows as they are loaded, or only what is "
                "not, or with full refresh, or give the table a primary_key and incremental"
            )
        elif cursor and cursor in order.landed_columns and kind and order.primary_key and load.staged.rows:
            keys = order.primary_key
            yield statements.delete_versions(dialect, order.target, load_id, load.staged.rows, keys, cursor)
        elif not (order.by_cursor and last and (manifest.cursor_min or "") > last):
            raise ContractError(
                f"{order.label}: the full refresh {load_id} has already loaded this window, and its rows cannot be "
                "told from the new ones: run with full refresh again, or give the table a primary_key and incremental"
            )


def _delete_window(load: Writing, load_id: str, cursor: str, *, newer: bool) -> Statement:
    """DELETE of what another load has of a landing's window, by the cursor's time.

    Raises:
        ContractError: it was committed since the landing was begun, which may lack some of its rows.
    """
    order, manifest = load.order, load.order.manifest
    if newer:
        raise ContractError(
            f"{order.label}: the load {load_id} has committed rows of {manifest.window_start} to {manifest.window_end} "
            "since this load began to read, which may lack some of them; clear "
            f"{manifest.what_to_clear} to read the current data"
        )
    moments = map(datetime.fromisoformat, (manifest.window_start, manifest.window_end))
    start, end = (on_clock(load.columns[cursor], moment, ZoneInfo(order.clock)) for moment in moments)
    return statements.delete_between(load.warehouse.dialect, order.target, load_id, cursor, start, end)


def _is_told_apart(order: LoadOrder, kind: str) -> bool:
    """Whether a row that a window of other bounds has brought is known when it comes again, or does not come again.

    A cursor that is not a time, and a token, continue where the last load ended, whatever its window was.
    """
    if order.primary_key and kind:
        return True
    return kind not in TIMES if order.by_cursor else not order.by_window


def _family(kind: str) -> str:
    return kind.partition("(")[0]


def loads_over(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of the loads that hold for some part of a landing's window.

    With each is the last value of its cursor, whether it is a full refresh, and else whether it was committed since the
    landing was begun.
    """
    d, began = dialect, dialect.literal(datetime.fromisoformat(manifest.started_at))
    return Statement(
        f"SELECT {d.names(('load_id', 'cursor_value', 'full_refresh'))}, "
        f"NOT {d.name('full_refresh')} AND {d.name('loaded_at')} > {began} FROM {_others(d, manifest)} "
        f"AND {_touches(d, manifest)} AND NOT {is_replay(d)}",
        "find the loads of other bounds whose rows of this window make way",
    )


def loads_past(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of the load with rows that reaches farthest beyond the end of a landing's window, and where it ends."""
    d, end = dialect, dialect.literal(datetime.fromisoformat(manifest.window_end))
    return Statement(
        f"SELECT {d.names(('load_id', 'window_end'))} FROM {_others(d, manifest)} AND {d.name('window_end')} > {end} "
        f"ORDER BY {d.name('window_end')} DESC LIMIT 1",
        "fail if a load has rows after the end of this full refresh",
    )


def loads_begun_after(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of the loads with rows for some part of a landing's window that began to read after it did."""
    d, began = dialect, dialect.literal(datetime.fromisoformat(manifest.started_at))
    return Statement(
        f"SELECT {d.name('load_id')} FROM {_others(d, manifest)} AND {_touches(d, manifest)} "
        f"AND {d.name('started_at')} > {began}",
        "fail if a load has read the source after this full refresh started",
    )


def later_windows(dialect: Dialect, manifest: Manifest) -> str:
    """SELECT of the loads of windows that begin where a landing's ends, or later: what they brought is newer."""
    d, end = dialect, dialect.literal(datetime.fromisoformat(manifest.window_end))
    return f"SELECT {d.name('load_id')} FROM {_committed(d, manifest)} AND {d.name('window_start')} >= {end}"


def _others(d: Dialect, manifest: Manifest) -> str:
    """Return the committed loads of a landing's table that hold and wrote something, but its own: the end of a FROM."""
    return f"{_committed(d, manifest)} AND {d.name('rows_loaded')} > 0"


def _committed(d: Dialect, manifest: Manifest) -> str:
    return (
        f"{audit.relation('loads').sql(d)} WHERE {audit.of_table(d, manifest.source, manifest.table)} "
        f"AND {d.name('load_id')} <> {d.literal(manifest.load_id)} AND {d.name('replaced_by')} IS NULL"
    )


def _touches(d: Dialect, manifest: Manifest) -> str:
    """Return the condition for loads of some part of a landing's window."""
    start, end = (d.literal(datetime.fromisoformat(text)) for text in (manifest.window_start, manifest.window_end))
    return f"{d.name('window_start')} < {end} AND {d.name('window_end')} > {start}"


def overlapping(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of the committed loads of other windows with numbers of the cursor between those of a landing."""
    d = dialect
    low, high = map(d.literal, (manifest.cursor_min, manifest.cursor_max))
    # the cursor is an integer or a decimal: with more digits behind the point than it has, fewer are left before it
    number = f"DECIMAL(38, {ColumnType.parse(manifest.cursor_type or 'integer').scale or 0})"
    return Statement(
        f"SELECT {d.name('load_id')} FROM {_committed(d, manifest)} "
        f"AND TRY_CAST({d.name('cursor_min')} AS {number}) <= CAST({high} AS {number}) "
        f"AND TRY_CAST({d.name('cursor_value')} AS {number}) >= CAST({low} AS {number})",
        "fail if a load of another window has read some of the same rows",
    )
