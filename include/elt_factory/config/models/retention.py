"""How long is kept what no load needs any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import Duration
from elt_factory.config.models.values import ColumnName


def _a_day_at_least(value: timedelta) -> timedelta:
    # a load that waits, or an extract that is still writing, is younger
    if value < timedelta(days=1):
        raise MistakeError(
            "retention is shorter than a day: a running load may still need the data", "write at least 1d"
        )
    return value


Age = Annotated[Duration, AfterValidator(_a_day_at_least)]


class Retention(Model):
    """How long a load's files and rejects are kept after its commit; null keeps them indefinitely."""

    landing: Age | None = Field(
        "30d",
        validate_default=True,
        description="Landed files. To load an older window, run its extract again.",
        examples=["90d"],
    )
    rejects: Age | None = Field(
        None, description="Rows in `_elt.rejects`. By default, kept indefinitely.", examples=["90d"]
    )
    audit: Age | None = Field(
        "365d",
        validate_default=True,
        description="Rows of the logs in `_elt` that a later commit superseded, so that no view shows them.",
        examples=["90d"],
    )


class RowRetention(Model):
    """How long the rows of a table are kept, by a column that says when they happened."""

    plain_key: ClassVar[str] = "rows"

    rows: Age = Field(
        description="Age at which rows are deleted by `elt_maintenance`, or `elt maintenance run`.", examples=["400d"]
    )
    by: ColumnName | None = Field(
        None,
        description=(
            "Column of type timestamp, datetime or date that says how old a row is. By default, `business_date`. Rows "
            "without a value are kept; of scd2 only versions that ended before that age are deleted."
        ),
        examples=["order_date"],
    )
