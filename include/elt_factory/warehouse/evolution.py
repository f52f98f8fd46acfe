"""Schema evolution: compare a table with what comes, decide, apply. The first two are data, the last is DDL.

A column is added, or grows to a type that holds every value it has; it never shrinks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from elt_factory.config.table import RESERVED_PREFIX
from elt_factory.config.values import ColumnType
from elt_factory.config.widening import holds
from elt_factory.warehouse import statements
from elt_factory.warehouse.dialect import Dialect, Relation

Decision = Literal["added", "widened", "fits", "refused"]


@dataclass(frozen=True)
class SchemaChange:
    """A landed column that the table does not have in that very type, and what is decided about it.

    `fits`: the table's type holds what comes, as where a window was landed before another one widened the table.
    """

    column: str
    kind: Decision
    new: ColumnType
    old: ColumnType | None = None


def schema_changes(existing: Mapping[str, ColumnType], landed: Mapping[str, ColumnType]) -> tuple[SchemaChange, ...]:
    """Every difference between a table and what comes, with what is decided about it."""
    old = {name.casefold(): kind for name, kind in existing.items()}
    pairs = ((name, kind, old.get(name.casefold())) for name, kind in landed.items())
    return tuple(SchemaChange(name, _decide(had, kind), kind, had) for name, kind, had in pairs if had != kind)


def _decide(old: ColumnType | None, new: ColumnType) -> Decision:
    if old is None:
        return "added"
    if holds(new, old):
        return "widened"
    return "fits" if holds(old, new) else "refused"


def statements_of(
    dialect: Dialect, table: Relation, changes: Sequence[SchemaChange], own: Mapping[str, ColumnType]
) -> list[str]:
    """The DDL of changes and of our own columns, in order; each is a step from which a crash is recovered."""
    new = {change.column: change.new for change in changes if change.kind == "added"} | dict(own)
    added = [statements.add_columns(dialect, table, new)] if new else []
    return added + [text for change in changes for text in _widening(dialect, table, change)]


def _widening(dialect: Dialect, table: Relation, change: SchemaChange) -> list[str]:
    if change.kind != "widened" or change.old is None:
        return []
    if dialect.alters_type(change.old, change.new):
        return [statements.alter_type(dialect, table, change.column, change.new)]
    wide = wide_name(change.column)
    return [
        statements.add_columns(dialect, table, {wide: change.new}),
        statements.copy_column(dialect, table, change.column, wide, change.old, change.new),
        statements.drop_column(dialect, table, change.column),
        statements.rename_column(dialect, table, wide, change.column),
    ]


def unfinished(dialect: Dialect, table: Relation, existing: Collection[str], landed: Iterable[str]) -> list[str]:
    """DDL that ends a widening which was cut off: forth where the narrow column is gone already, else back."""
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
    """What a column is called while it is filled with the values of a narrower one."""
    return f"{RESERVED_PREFIX}{column}"[:255]


def _is_wide(name: str) -> bool:
    return name.casefold().startswith(RESERVED_PREFIX)
