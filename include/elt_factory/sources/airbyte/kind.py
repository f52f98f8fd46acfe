"""Airbyte connectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.airbyte import model
from elt_factory.sources.airbyte.model import AirbyteSource
from elt_factory.sources.connectors.asking import asked_of
from elt_factory.sources.kind import Asked, SourceKind

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.airbyte import reader

    return reader.read(request)


def _asked(asked: Asked) -> list[str]:
    source: AirbyteSource = asked.source
    return asked_of(source.extract, source.tables[asked.table], asked.table)


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: AirbyteSource = asked.source
    return source, "the first records"


KIND = SourceKind(
    name="airbyte",
    title="An Airbyte connector",
    config=AirbyteSource,
    places=((model.Airbyte, "extract"), (model.AirbyteTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    needs=lambda _: [(("extract", "type"), "a source of type airbyte", "connectors")],
)
