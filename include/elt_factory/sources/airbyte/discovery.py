"""A look at an Airbyte connector: its streams, their keys, whether it sends changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.discover.found import SourceFound
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.airbyte.connector import AirbyteConnector, sends_changes
from elt_factory.sources.airbyte.manifest import SUFFIXES
from elt_factory.sources.airbyte.model import Airbyte
from elt_factory.sources.connectors.discovery import StreamFound, pinned, source_found


def look_at_connector(
    name: str, given: str, connection: Connection | None, folders: tuple[Path, Path], log: Callable[[str], None]
) -> SourceFound:
    """Return a config of all streams of a connector, which is installed for that.

    Args:
        name: The config's name.
        given: The connector's package, or a manifest by its path in the project.
        connection: What has its settings.
        folders: The project, and an empty one.
        log: Takes a line for people.

    Raises:
        EltError: it cannot be installed, refuses its settings, or fails.
    """
    label = TableLabel(name, "streams", secrets_of(connection))
    lines = {"manifest": given} if is_manifest(given) else {"package": pinned(given, label)}
    extract = Airbyte.model_validate({"type": "airbyte", **lines})
    connector = AirbyteConnector(extract, connection, folders, label, log)
    streams = [_stream(described) for described in connector.streams()]
    return source_found({"type": "airbyte", **lines}, streams, connection.conn_id if connection else None)


def is_manifest(given: str) -> bool:
    """Whether what is given for a package is a file of YAML or JSON."""
    return " @ " not in given and given.endswith(SUFFIXES)


def _stream(described: dict[str, Any]) -> StreamFound:
    key = described.get("source_defined_primary_key") or []
    # a key within a record is not a column
    flat = tuple(path[0] for path in key) if all(len(path) == 1 for path in key) else ()
    changes = bool(described.get("supported_sync_modes")) and sends_changes(described)
    cursor = described.get("source_defined_cursor") or described.get("default_cursor_field")
    return StreamFound(str(described["name"]), described.get("json_schema") or {}, flat, changes and bool(cursor))
