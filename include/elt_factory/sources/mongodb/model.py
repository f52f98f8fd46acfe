"""The language of MongoDB: `extract:` and what its tables add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.database_table import DatabaseTable
from elt_factory.config.models.deletes import SCHEMA_RULES
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.table import Path
from elt_factory.config.models.templates import Use, uses
from elt_factory.config.models.values import ConnectionId, Flag, Name, Text, Whole
from elt_factory.sources.mongodb.filters import Filter, texts_in

# what an editor can underline: whether a filter asks for a window is for the check
_APPENDS_ALL: dict[str, Any] = {
    "not": {
        "required": ["write_disposition"],
        "properties": {"write_disposition": {"const": "append"}},
        "not": {"anyOf": [{"required": ["incremental"]}, {"required": ["filter"]}]},
    }
}


class MongoDb(Extract):
    """Collections of MongoDB (`elt-factory[mongodb]`), read document by document."""

    type: Literal["mongodb"]
    connection: ConnectionId = Field(
        description="Airflow connection of type mongo. Its extra may have `srv`, and options such as `authSource`.",
        examples=["shop_mongo"],
    )
    database: Text | None = Field(
        None, description="Database of the collections. By default, the schema of the connection.", examples=["shop"]
    )
    fetch_rows: Whole = Field(1000, gt=0, description="Documents per batch.", examples=[10_000])


class MongoDbTable(DatabaseTable):
    """A collection or view of MongoDB."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (*SCHEMA_RULES, _APPENDS_ALL)
    collection: Text | None = Field(
        None, description="Name in MongoDB. By default, the same name as here.", examples=["Orders"]
    )
    filter: Filter = Field(
        {},
        description=(
            "Documents to read, as `find` takes it. A text that is one template becomes its value, a time a date; "
            "other types of MongoDB are written as extended JSON."
        ),
        examples=[{"status": {"$ne": "draft"}}, {"shop": {"$oid": "650000000000000000000001"}}],
    )
    projection: dict[str, Any] | None = Field(
        None,
        description="Fields to read (1), or to leave out (0), as `find` takes it.",
        examples=[{"internal": 0}],
    )
    snapshot: Flag = Field(
        True,
        description=(
            "Whether to read all documents of one moment, where the server has that: MongoDB 5.0 and newer, as a "
            "replica set or sharded."
        ),
        examples=[False],
    )

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        return {("filter", *at): [*uses(text)] for at, text in texts_in(self.filter)}

    @model_validator(mode="after")
    def _appends_what_is_new(self) -> Self:
        if self.write_disposition == "append" and self.incremental is None and not self.takes_window:
            raise MistakeError(
                "every run would append all documents again",
                "write incremental: with a cursor, or write_disposition: replace",
                at=("write_disposition",),
                code="conflict",
            )
        return self


class MongoDbSource(Source):
    """Tables from MongoDB."""

    extract: MongoDb = Field(
        description="How to read the source.", examples=[{"type": "mongodb", "connection": "shop_mongo"}]
    )
    tables: dict[Name, MongoDbTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"orders": {"write_disposition": "replace"}}],
    )
