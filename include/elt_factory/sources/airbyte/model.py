"""The language of Airbyte connectors: `extract:` and what its tables add."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from elt_factory.config.models.source import Source
from elt_factory.config.models.values import Name, Text
from elt_factory.sources.connectors.model import CommandConnector, ConnectorTable


class Airbyte(CommandConnector):
    """An Airbyte source connector from a Python package (`elt-factory[connectors]`), in an environment of its own."""

    type: Literal["airbyte"]


class AirbyteTable(ConnectorTable):
    """A table from one stream of a connector."""

    namespace: Text | None = Field(
        None, description="Namespace of the stream, where the connector has several of its name.", examples=["public"]
    )
    cursor_field: Text | None = Field(
        None,
        description="Field by which the connector finds changes, where it lets one choose. By default, its own.",
        examples=["updated_at"],
    )


class AirbyteSource(Source):
    """Tables from an Airbyte connector."""

    extract: Airbyte = Field(
        description="How to read the source.", examples=[{"type": "airbyte", "package": "airbyte-source-faker==6.2.21"}]
    )
    tables: dict[Name, AirbyteTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"users": {"primary_key": ["id"], "write_disposition": "merge", "sync": "incremental"}}],
    )
