"""The language of DynamoDB: `extract:` and what its tables add."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ConnectionId, Flag, Name, Text, Whole


class DynamoDb(Extract):
    """DynamoDB tables (`elt-factory[dynamodb]`), read whole by parallel scans."""

    type: Literal["dynamodb"]
    connection: ConnectionId = Field(
        description="Airflow connection of type aws. Its extra has `region_name`, and may have `endpoint_url`.",
        examples=["shop_aws"],
    )
    segments: Whole = Field(
        4, ge=1, le=64, description="Parts of a table that are scanned concurrently.", examples=[16]
    )


class DynamoDbTable(Table):
    """A table of DynamoDB. Each load reads all of it."""

    table: Text | None = Field(
        None, description="Name in DynamoDB. By default, the same name as here.", examples=["prod-Orders"]
    )
    consistent: Flag = Field(
        False,
        description="Whether to read what was written last, at twice the read units. By default, a little less.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _appends_no_scan(self) -> Self:
        drops = self.incremental is not None and self.incremental.outside_window == "drop"
        if self.write_disposition == "append" and not drops:
            raise MistakeError(
                "every run would append all items again: a scan reads the whole table",
                "write write_disposition: replace, or merge with a primary_key",
                at=("write_disposition",),
                code="conflict",
            )
        return self


class DynamoDbSource(Source):
    """Tables from DynamoDB."""

    extract: DynamoDb = Field(
        description="How to read the source.", examples=[{"type": "dynamodb", "connection": "shop_aws"}]
    )
    tables: dict[Name, DynamoDbTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"orders": {"write_disposition": "replace"}}],
    )
