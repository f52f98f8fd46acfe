"""The keys of all rows of a source, for the load to find those of its table that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from elt_factory.config.models.table import Table
from elt_factory.landing.manifest import LandedColumn
from elt_factory.landing.schema import KnownTable


def known_of_keys(known: KnownTable, landed: Sequence[LandedColumn]) -> KnownTable:
    """Return what is known of the keys: of the types, and hashed, as those of the rows that were landed."""
    keys = known.table.primary_key
    # a row that a check sets aside is in the source: its key is not gone
    columns = {
        name: column.model_copy(update={"checks": ()}) for name, column in known.table.columns.items() if name in keys
    }
    types = {column.name: column.column_type for column in landed if column.name in keys}
    return replace(
        known,
        table=Table(primary_key=keys, columns=columns),
        existing={**{n: kind for n, kind in (known.existing or {}).items() if n in keys}, **types},
        grown={},
        checks=(),
    )
