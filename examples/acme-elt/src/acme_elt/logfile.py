"""A notifier: a line in a file, whose path is the host of a connection of type `logfile`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.core.connection import Connection


def _send(connection: Connection, message: Message) -> str:
    if not connection.host:
        return "the connection needs the path of a file as its host"
    with Path(connection.host).open("a", encoding="utf-8") as lines:
        lines.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {message.event} {message.text}\n")
    return ""


KIND = NotifierKind(name="logfile", description="A line in a file.", send=_send)
