"""Rows that the source has deleted: by the keys of all its rows, or by a column that says so.

Keys are those of the moment at which a load read the source. What was committed before that load began, and has a key
that is not among them, is gone. What another load has committed since is left to the next comparison: its rows may be
younger than the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from elt_factory.config.models.deletes import DELETED_AT, a_column_that_says, says_deleted, says_nothing
from elt_factory.config.models.values import ColumnType, Scalar
from elt_factory.core.amount import amount
from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.statement import Statement
from elt_factory.warehouse.statements import LOADED_AT

if TYPE_CHECKING:
    from elt_factory.warehouse.writing import Writing

OWN_COLUMN: Mapping[str, ColumnType] = {DELETED_AT: ColumnType("timestamp")}


def follow_deletes(load: Writing) -> int:
    """Delete, or mark, what the source has deleted; return how many rows.

    Raises:
        BadDataError: the source has no keys at all, or none that the table has, and the table has rows.
        ContractError: the column that says that a row is deleted has a type that does not.
    """
    deletes = load.order.deletes
    if deletes is None:
        return 0
    if deletes.marker:
        # until rows have come, the table may not have the column that the contract writes
        known = not deletes.filtered or deletes.marker in load.columns
        return load.warehouse.execute(delete_marked(load, deletes.marker, deletes.equals)) if known else 0
    keys, manifest = load.staged.keys, load.order.manifest
    # a full refresh has read the very rows; a key that cannot be read may be any
    if manifest.keys_read is None or manifest.keys_rejected or load.order.full_refresh:
        return 0
    if keys is None:
        _refuse_no_keys(load)
        return 0
    known = not _written_keys(load) or load.warehouse.query(count_known(load, keys)).rows[0][0]
    if deletes.compare == "soft":
        load.warehouse.execute(restore(load, keys))
    gone = load.warehouse.execute(mark_gone(load, keys) if deletes.compare == "soft" else delete_gone(load, keys))
    if gone and not known:
        raise _no_known_key(load, gone)
    return gone


def absent_removals(load: Writing) -> int:
    """Return how many records of removals come whose row the table does not have.

    A source that sends more than the window sends those of all time with every load.
    """
    order, staging = load.order, load.staged.rows
    removed = says_removed(load, "s")
    if staging is None or not removed or not order.drops or order.full_refresh:
        return 0
    return int(load.warehouse.query(count_absent(load, staging, removed)).rows[0][0])


def _refuse_no_keys(load: Writing) -> None:
    found = load.warehouse.query(count_older(load)).rows[0][0]
    if found:
        raise BadDataError(
            f"{load.order.label}: the source has no row at all, so all {found} rows of the table would be deleted; "
            "nothing was committed. If the source is really empty, run with full refresh"
        )


def _written_keys(load: Writing) -> list[str]:
    """Return the columns of the key that are compared as they are written: a number is the same however it is."""
    kinds = load.order.key_columns.items()
    return [name for name, kind in kinds if kind.name in ("text", "json", "binary")]


def _no_known_key(load: Writing, gone: int) -> BadDataError:
    """Return the error for keys that are written in another way than the table's: each row would seem deleted."""
    columns, read = ", ".join(_written_keys(load)), amount(load.order.manifest.keys_read or 0, "key")
    return BadDataError(
        f"{load.order.label}: the source has {read} and the table has none of them, so all {gone} rows that were "
        f"loaded before would be deleted; nothing was committed. If the source now writes {columns} in another way (a "
        "new type, other digits or spaces), or if all its rows are new, run with full refresh"
    )


def delete_gone(load: Writing, keys: Relation) -> Statement:
    """DELETE of the rows whose key the source no longer has."""
    return Statement(
        f"DELETE FROM {_rows(load)} WHERE {_gone(load, keys)}", "delete the rows whose key the source no longer has"
    )


def count_older(load: Writing) -> Statement:
    """SELECT of how many rows are there that would be gone if the source had no key."""
    return Statement(f"SELECT count(*) FROM {_rows(load)} WHERE {_older(load)}", "fail if all rows would be deleted")


def count_known(load: Writing, keys: Relation) -> Statement:
    """SELECT of whether any row of the table, deleted or not, has a key that the source has."""
    known = f"SELECT 1 FROM {_rows(load)} WHERE EXISTS ({_same_key(load, keys)}) LIMIT 1"
    return Statement(f"SELECT count(*) FROM ({known}) AS known", "fail if the table has none of the source's keys")


def count_absent(load: Writing, staging: Relation, removed: str) -> Statement:
    """SELECT of how many staged rows that meet `removed` have a key that the table does not have."""
    d = load.warehouse.dialect
    same = " AND ".join(f"t.{d.name(key)} = s.{d.name(key)}" for key in load.order.primary_key)
    return Statement(
        f"SELECT count(*) FROM {staging.sql(d)} AS s "
        f"WHERE {removed} AND NOT EXISTS (SELECT 1 FROM {_rows(load)} WHERE {same})",
        "count the removals whose row the table does not have",
    )


def mark_gone(load: Writing, keys: Relation) -> Statement:
    """UPDATE of the rows whose key the source no longer has, and that are not marked yet."""
    d = load.warehouse.dialect
    return Statement(
        f"UPDATE {_rows(load)} SET {d.name(DELETED_AT)} = {d.literal(load.now)} WHERE {_gone(load, keys)}",
        "mark the rows whose key the source no longer has",
    )


def restore(load: Writing, keys: Relation) -> Statement:
    """UPDATE of the marked rows whose key the source has again."""
    d, began = load.warehouse.dialect, _began(load)
    return Statement(
        f"UPDATE {_rows(load)} SET {d.name(DELETED_AT)} = NULL "
        f"WHERE t.{d.name(DELETED_AT)} < {began} AND EXISTS ({_same_key(load, keys)})",
        "no longer mark the rows whose key the source has again",
    )


def marked_before(load: Writing, moment: datetime) -> list[str]:
    """Return the condition for rows `t` that were marked as deleted before a moment, where rows are marked.

    The source has deleted such a row: what it has of its key now is another row, also with an older cursor.
    """
    d, deletes = load.warehouse.dialect, load.order.deletes
    marks = deletes is not None and deletes.compare is not None and DELETED_AT in load.columns
    return [f"t.{d.name(DELETED_AT)} < {d.literal(moment)}"] if marks else []


def delete_marked(load: Writing, column: str, equals: Scalar | None = None) -> Statement:
    """DELETE of the rows that say themselves that they are deleted."""
    return Statement(
        f"DELETE FROM {_rows(load)} WHERE {_says_deleted(load, column, equals)}",
        "delete the rows that say they are deleted",
    )


def says_removed(load: Writing, alias: str) -> str:
    """Return the condition for landed rows that say themselves that they are deleted; nothing where none can."""
    deletes = load.order.deletes
    column = deletes.column if deletes else None
    if deletes is None or column is None or column not in load.order.landed_columns:
        return ""
    name, kind = f"{alias}.{load.warehouse.dialect.name(column)}", load.columns.get(column)
    return (kind and says_deleted(name, kind, deletes.equals)) or ""


def _says_deleted(load: Writing, column: str, equals: Scalar | None) -> str:
    name, kind = f"t.{load.warehouse.dialect.name(column)}", load.columns.get(column)
    if kind is None:
        raise ContractError(f"{load.order.label}: deletes.column names {column}, which the table does not have")
    condition = says_deleted(name, kind, equals)
    if condition is None:
        fault, hint = says_nothing(column, kind, equals), a_column_that_says(column, equals)
        raise ContractError(f"{load.order.label}: {fault}; hint: {hint}")
    return condition


def _gone(load: Writing, keys: Relation) -> str:
    return f"{_older(load)} AND NOT EXISTS ({_same_key(load, keys)})"


def _older(load: Writing) -> str:
    """Return the condition for rows that were committed before the keys were read, and are not marked yet."""
    d = load.warehouse.dialect
    deletes = load.order.deletes
    # rows that were marked are deleted where the config now says so
    is_soft = deletes is not None and deletes.compare == "soft"
    marked = f" AND t.{d.name(DELETED_AT)} IS NULL" if is_soft else ""
    return f"t.{d.name(LOADED_AT)} < {_began(load)}{marked}"


def _same_key(load: Writing, keys: Relation) -> str:
    d = load.warehouse.dialect
    same = " AND ".join(f"t.{d.name(key)} = k.{d.name(key)}" for key in load.order.primary_key)
    return f"SELECT 1 FROM {keys.sql(d)} AS k WHERE {same}"


def _began(load: Writing) -> str:
    return load.warehouse.dialect.literal(datetime.fromisoformat(load.order.manifest.started_at))


def _rows(load: Writing) -> str:
    return f"{load.order.target.sql(load.warehouse.dialect)} AS t"
