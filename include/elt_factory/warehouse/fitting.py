"""Staged keys in the types of the table: a window may have been landed before its table was widened.

Where a warehouse compares a text with a number, it makes a number of the text: "007" would be the key 7, and "A7" fail
the load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statements import key_as_text

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Staged
    from elt_factory.warehouse.order import LoadOrder


@dataclass(frozen=True)
class Selected(Relation):
    """Columns that are selected from a relation, whose rows are `s`."""

    rows: Relation
    columns: str

    def sql(self, dialect: Dialect) -> str:
        """Return a query in brackets, for the place of a name."""
        return f"(SELECT {self.columns} FROM {self.rows.sql(dialect)} AS s)"


def fitted(dialect: Dialect, order: LoadOrder, staged: Staged, table: Mapping[str, ColumnType]) -> Staged:
    """Return what is staged, with those columns of the key as text that are text in the table."""
    texts = [key for key in order.primary_key if key in table and table[key].name == "text"]

    def of(relation: Relation | None, columns: Mapping[str, ColumnType]) -> Relation | None:
        others = {key for key in texts if key in columns and columns[key].name not in ("text", "json")}
        if relation is None or not others:
            return relation
        names = {name: f"s.{dialect.name(name)}" for name in columns}
        values = {name: key_as_text(one, columns[name]) if name in others else one for name, one in names.items()}
        selected = ", ".join(f"{value} AS {dialect.name(name)}" for name, value in values.items())
        return Selected(relation.schema, relation.name, relation, selected)

    return replace(staged, rows=of(staged.rows, order.staged_columns), keys=of(staged.keys, order.key_columns))
