"""What the tables of all databases have: a cursor that the database is asked by, and rows that it deletes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from elt_factory.config.models.deletes import SCHEMA_RULES, Deletes, or_compare
from elt_factory.config.models.table import Table


class DatabaseTable(Table):
    """A table of a database: asked by its cursor, and for the keys of all rows."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = SCHEMA_RULES
    asks_by_cursor: ClassVar[bool] = True

    deletes: Deletes | None = Field(
        None,
        description=(
            "How rows are found that the source has deleted: compare reads all keys with each load; a column says so "
            "in the row itself; filtered are those that no longer meet `where`. By default they stay. Needs "
            "`write_disposition: merge`."
        ),
        examples=["compare", {"column": "deleted_at"}, {"filtered": True}],
        json_schema_extra=or_compare,
    )

    @property
    def follows_deletes(self) -> Deletes | None:
        """How the rows are found that the source has deleted."""
        return self.deletes

    @property
    def counts_on(self) -> bool:
        """Whether a load begins where the cursor of the load before it ended, so that one must follow the other."""
        return self.incremental is not None
