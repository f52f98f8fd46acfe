"""DynamoDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.dynamodb import model
from elt_factory.sources.dynamodb.model import DynamoDbSource
from elt_factory.sources.kind import Asked, SourceKind, Wish

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.dynamodb import reader

    return reader.read(request)


def _asked(asked: Asked) -> list[str]:
    source: DynamoDbSource = asked.source
    name = source.tables[asked.table].table or asked.table
    return [f"{source.extract.connection}: Scan of all of {name}, in {source.extract.segments} segments"]


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: DynamoDbSource = asked.source
    return source, "the first pages"


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.sources.dynamodb.discovery import look_at_tables

    return look_at_tables(wish, scratch)


KIND = SourceKind(
    name="dynamodb",
    title="DynamoDB",
    config=DynamoDbSource,
    places=((model.DynamoDb, "extract"), (model.DynamoDbTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    connection_types=("aws",),
    discover=_discover,
    extras={"aws": "dynamodb"},
)
