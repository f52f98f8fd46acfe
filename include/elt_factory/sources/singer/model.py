"""The language of Singer taps: `extract:` and what its tables add."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from elt_factory.config.models.source import Source
from elt_factory.config.models.values import Name, Text
from elt_factory.sources.connectors.model import CommandConnector, ConnectorTable


class Singer(CommandConnector):
    """A Singer tap (`elt-factory[connectors]`), run in an environment of its own."""

    type: Literal["singer"]
    catalog: Literal["catalog", "properties", "none"] = Field(
        "catalog",
        description=(
            "How the tap takes its catalog: by --catalog, or by --properties as old taps do. none is for taps that "
            "cannot discover their streams: they send all of them."
        ),
        examples=["properties"],
    )


class SingerTable(ConnectorTable):
    """A table from one stream of a tap."""

    replication_key: Text | None = Field(
        None,
        description="Property by which the tap finds changes, where it lets one choose. By default, the tap's own.",
        examples=["updated_at"],
    )


class SingerSource(Source):
    """Tables from a Singer tap."""

    extract: Singer = Field(
        description="How to read the source.", examples=[{"type": "singer", "package": "tap-github==2.1.0"}]
    )
    tables: dict[Name, SingerTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"issues": {"primary_key": ["id"], "write_disposition": "merge", "sync": "incremental"}}],
    )
