"""A look at an Airbyte connector: its streams, their keys, whether it sends changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.discover.found import SourceFound
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.airbyte.connector import AirbyteConnector, sends_changes
from elt_factory.sources.airbyte.model import Airbyte
from elt_factory.sources.connectors.discovery import StreamFound, pinned, source_found


def look_at_connector(
    name: str, package: str, connection: Connection | None, scratch: Path, log: Callable[[str], None]
) -> SourceFound:
    """Return a config of all streams of a connector, which is installed for that.

    Raises:
        EltError: it cannot be installed, refuses its settings, or fails.
    """
    label = TableLabel(name, "streams", secrets_of(connection))
    extract = Airbyte(type="airbyte", package=pinned(package, label))
    connector = AirbyteConnector(extract, connection, scratch, label, log)
    streams = [_stream(described) for described in connector.streams()]
    lines = {"type": "airbyte", "package": extract.package}
    return source_found(lines, streams, connection.conn_id if connection else None)


def _stream(described: dict[str, Any]) -> StreamFound:
    key = described.get("source_defined_primary_key") or []
    # a key within a record is not a column
    flat = tuple(path[0] for path in key) if all(len(path) == 1 for path in key) else ()
    changes = bool(described.get("supported_sync_modes")) and sends_changes(described)
    cursor = described.get("source_defined_cursor") or described.get("default_cursor_field")
    return StreamFound(str(described["name"]), described.get("json_schema") or {}, flat, changes and bool(cursor))
