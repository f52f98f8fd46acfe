"""A look at a Singer tap: its streams, their keys, whether it sends changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.discover.found import SourceFound
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.connectors.discovery import StreamFound, pinned, source_found
from elt_factory.sources.singer.model import Singer
from elt_factory.sources.singer.tap import SingerTap


def look_at_tap(
    name: str, package: str, connection: Connection | None, scratch: Path, log: Callable[[str], None]
) -> SourceFound:
    """Return a config of all streams of a tap, which is installed for that.

    Raises:
        EltError: it cannot be installed, or cannot discover its streams.
    """
    label = TableLabel(name, "streams", secrets_of(connection))
    extract = Singer(type="singer", package=pinned(package, label))
    tap = SingerTap(extract, connection, scratch, label, log)
    streams = [_stream(described) for described in tap.catalog()["streams"]]
    lines = {"type": "singer", "package": extract.package}
    return source_found(lines, streams, connection.conn_id if connection else None)


def _stream(described: dict[str, Any]) -> StreamFound:
    entries = described.get("metadata") or []
    root: dict[str, Any] = next((entry["metadata"] for entry in entries if not entry.get("breadcrumb")), {})
    key = described.get("key_properties") or root.get("table-key-properties") or root.get("view-key-properties") or []
    changes = [described.get("replication_key"), *(root.get("valid-replication-keys") or [])]
    method = root.get("forced-replication-method") or described.get("replication_method")
    named = str(described.get("stream") or described["tap_stream_id"])
    return StreamFound(named, described.get("schema") or {}, tuple(key), any(changes) or method == "INCREMENTAL")
