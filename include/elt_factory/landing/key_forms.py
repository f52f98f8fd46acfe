"""How a source writes the keys that are landed as text or bytes.

A column that gets another type at the source may write the same key in another way: `char(6)` pads it with blanks,
`binary(8)` with zeros, a UUID may lose its dashes, a number may get zeros. Loads of both ways would each have a row of
the same key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from elt_factory.config.models.table import Table, source_name
from elt_factory.config.models.values import ColumnType
from elt_factory.landing.manifest import LandedColumn


def form_of(kind: ColumnType) -> str:
    """Return how values of a type are written: alike for all of a name, but for the digits of decimals."""
    return f"decimal of scale {kind.scale}" if kind.name == "decimal" else kind.name


def with_forms(columns: Sequence[LandedColumn], table: Table, forms: Mapping[str, str]) -> tuple[LandedColumn, ...]:
    """Return landed columns of which those of the key that are text or bytes say how the source writes them.

    Of a hash nothing says whether the source writes the keys in another way than before.
    """

    def formed(column: LandedColumn) -> LandedColumn:
        form = forms.get(source_name(column.name))
        if form is None or column.name not in table.primary_key or column.type not in ("text", "binary"):
            return column
        said = table.columns.get(column.name)
        return column if said and said.pii == "hash" else replace(column, form=form)

    return tuple(map(formed, columns))
