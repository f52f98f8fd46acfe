"""Airbyte connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.sources.airbyte.model import Airbyte, AirbyteSource, AirbyteTable
from elt_factory.sources.connectors.kind import connector_kind

if TYPE_CHECKING:
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.airbyte import reader

    return reader.read(request)


KIND = connector_kind(
    "airbyte", "An Airbyte connector", AirbyteSource, ((Airbyte, "extract"), (AirbyteTable, "tables.<name>")), _read
)
