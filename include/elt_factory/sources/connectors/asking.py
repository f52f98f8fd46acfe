"""What a plan says of a connector's stream."""

from __future__ import annotations

from elt_factory.sources.connectors.model import Connector, ConnectorTable


def asked_of(extract: Connector, spec: ConnectorTable, table: str) -> list[str]:
    """Return what is asked of a connector for a table."""
    since = "what has changed since the state of the load before" if spec.keeps_token else "all of it"
    settings = f"settings of {extract.connection}" if extract.connection else "no connection"
    return [f"{extract.package}: stream {spec.stream_name(table)}, {since}; {settings}"]
