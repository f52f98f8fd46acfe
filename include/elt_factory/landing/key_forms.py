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

_HASHED = "hash of "


def form_of(kind: ColumnType) -> str:
    """Return how values of a type are written: alike for all of a name, but for the digits of decimals."""
    return f"decimal of scale {kind.scale}" if kind.name == "decimal" else kind.name


def with_forms(columns: Sequence[LandedColumn], table: Table, forms: Mapping[str, str]) -> tuple[LandedColumn, ...]:
    """Return landed columns of which those of the key that are text or bytes say how the source writes them."""

    def formed(column: LandedColumn) -> LandedColumn:
        form = forms.get(source_name(column.name))
        if form is None or column.name not in table.primary_key or column.type not in ("text", "binary"):
            return column
        said = table.columns.get(column.name)
        return replace(column, form=f"{_HASHED}{form}" if said and said.pii == "hash" else form)

    return tuple(map(formed, columns))


def is_hashed(form: str) -> bool:
    """Whether what is landed is a hash of what the source writes."""
    return form.startswith(_HASHED)
