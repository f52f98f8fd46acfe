"""Schema evolution: compare a table with what comes, decide, apply. The first two are data, the last is DDL.

A column is added, or grows to a type that holds every value it has; it never shrinks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from elt_factory.config.models.table import RESERVED_PREFIX
from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import holds
from elt_factory.warehouse import statements
from elt_factory.warehouse.dialect import Dialect, Relation, TableOptions

_OTHERWISE = ("widened", "retyped")
Decision = Literal["added", "widened", "retyped", "fits", "refused"]


@dataclass(frozen=True)
class SchemaChange:
    """A landed column that the table does not have in that very type, and what is decided about it.

    `retyped`: a full refresh gives the column another type, which need not hold what it had.
    `fits`: the table's type holds what comes, as where a window was landed before another one widened the table.
    """

    column: str
    kind: Decision
    new: ColumnType
    old: ColumnType | None = None


def schema_changes(
    existing: Mapping[str, ColumnType], landed: Mapping[str, ColumnType], retypes: Collection[str] = ()
) -> tuple[SchemaChange, ...]:
    """Every difference between a table and what comes, with what is decided about it."""
    old = {name.casefold(): kind for name, kind in existing.items()}
    pairs = ((name, kind, old.get(name.casefold())) for name, kind in landed.items())
    return tuple(
        SchemaChange(name, _decide(had, kind, retyped=name in retypes), kind, had)
        for name, kind, had in pairs
        if had != kind
    )


def _decide(old: ColumnType | None, new: ColumnType, *, retyped: bool) -> Decision:
    if old is None:
        return "added"
    if holds(new, old):
        return "widened"
    if retyped:
        return "retyped"
    return "fits" if holds(old, new) else "refused"


def rebuilds(dialect: Dialect, changes: Iterable[SchemaChange]) -> bool:
    """Whether a column changes in a way that ALTER TABLE cannot, so that the whole table is written again."""
    return any(
        change.kind == "retyped" or (change.kind == "widened" and not _alters(dialect, change)) for change in changes
    )


def waits(dialect: Dialect, changes: Iterable[SchemaChange]) -> bool:
    """Whether other loads of the table wait for the changes.

    Where DDL is not part of a transaction, none may have written rows in one when a type is altered.
    """
    found = tuple(changes)
    altered = dialect.stores_options and any(change.kind == "widened" for change in found)
    return altered or rebuilds(dialect, found)


def statements_of(
    dialect: Dialect,
    table: Relation,
    changes: Sequence[SchemaChange],
    own: Mapping[str, ColumnType],
    existing: Mapping[str, ColumnType],
    options: TableOptions,
    keys: Collection[str] = (),
) -> list[str]:
    """Return the DDL of changes and of ELT Factory's own columns; what comes is compared with `keys`.

    The statements are in order. No reader ever finds a column missing or half filled.
    """
    folded = {key.casefold() for key in keys}
    new = {change.column: change.new for change in changes if change.kind == "added"} | dict(own)
    if rebuilds(dialect, changes):
        grown = {change.column.casefold(): change for change in changes if change.kind in _OTHERWISE}
        values = {name: _grown(dialect, name, grown.get(name.casefold()), folded) for name in existing}
        values |= {name: f"CAST(NULL AS {dialect.type(kind)})" for name, kind in new.items()}
        return [statements.rebuild_table(dialect, table, values, options)]
    added = [statements.add_columns(dialect, table, new)] if new else []
    widened = [change for change in changes if change.kind == "widened"]
    return added + [
        statements.alter_type(dialect, table, change.column, change.new, _key_as_text(dialect, change, folded))
        for change in widened
    ]


def _key_as_text(dialect: Dialect, change: SchemaChange, keys: Collection[str]) -> str:
    """Return a number of a key that becomes text; nothing where the column is another, or becomes something else."""
    of_key = change.column.casefold() in keys and change.new.name == "text"
    if not of_key or change.old is None or change.old.name != "decimal":
        return ""
    return statements.key_as_text(dialect.name(change.column), change.old)


def _alters(dialect: Dialect, change: SchemaChange) -> bool:
    return change.old is not None and dialect.alters_type(change.old, change.new)


def _grown(dialect: Dialect, name: str, change: SchemaChange | None, keys: Collection[str]) -> str:
    """Return a column in its new type; where it does not change, as it is."""
    if change is None:
        return dialect.name(name)
    if change.kind == "retyped":
        return _retyped(dialect, name, change)
    if as_text := _key_as_text(dialect, change, keys):
        return as_text
    value = dialect.json_text(dialect.name(name)) if change.old and change.old.name == "json" else dialect.name(name)
    return f"CAST({value} AS {dialect.type(change.new)})"


def _retyped(dialect: Dialect, name: str, change: SchemaChange) -> str:
    """Return a column in a type that need not hold what it has: NULL where it does not, until the refresh is committed.

    Text is what every warehouse tries to cast; JSON has no such cast, and bytes are hex digits as text.
    """
    if change.new.name == "json":
        return f"CAST(NULL AS {dialect.type(change.new)})"
    column, of = dialect.name(name), change.old.name if change.old else "text"
    text = column if of == "text" else dialect.json_text(column) if of == "json" else f"CAST({column} AS VARCHAR)"
    if change.new.name == "binary":
        return dialect.from_hex(text)
    return f"TRY_CAST({text} AS {dialect.type(change.new)})"


def unfinished(dialect: Dialect, table: Relation, existing: Collection[str], landed: Iterable[str]) -> list[str]:
    """DDL that ends a widening of an older version, which copied a column, where that was cut off.

    Forth where the narrow column is gone already, else back.
    """
    narrow = [name for name in existing if not _is_wide(name)]
    column_of = {wide_name(name).casefold(): name for name in (*narrow, *landed)}
    found = []
    for wide in filter(_is_wide, existing):
        column = column_of.get(wide.casefold(), wide[len(RESERVED_PREFIX) :])
        if column.casefold() in map(str.casefold, narrow):
            found.append(statements.drop_column(dialect, table, wide))
        else:
            found.append(statements.rename_column(dialect, table, wide, column))
    return found


def wide_name(column: str) -> str:
    """Return what an older version called a column while it was filled with the values of a narrower one."""
    return f"{RESERVED_PREFIX}{column}"[:255]


def _is_wide(name: str) -> bool:
    return name.casefold().startswith(RESERVED_PREFIX)
