"""A table that is read by several tasks of a run, each a part of it; the parts are loaded together."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text, Whole


class Split(Model):
    """How a table is spread over tasks: each extracts a part, and one load commits all parts together."""

    plain_key: ClassVar[str] = "tasks"

    tasks: Whole = Field(
        ge=2, le=64, description="Maximum number of parts, each read by a task of its own.", examples=[8]
    )
    pool: Text | None = Field(
        None,
        description=(
            "Airflow pool whose slots limit how many parts are read at the same time, over all runs. It must exist. By "
            "default, Airflow's own default_pool."
        ),
        examples=["fleet_db"],
    )


class DatabaseSplit(Split):
    """How a table of a database is spread over tasks: each extracts a range, and one load commits all together."""

    by: Literal["primary_key", "cursor"] = Field(
        "primary_key",
        description=(
            "Column whose ranges the parts are. primary_key: its first column, a whole number; ranges have the same "
            "width. cursor: that of `incremental`, a time or a number, whatever the key is; ranges have about the same "
            "number of rows. It should have an index."
        ),
        examples=["cursor"],
    )
