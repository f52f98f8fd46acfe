"""Airbyte's protocol: the lines of a connector. What is in a record stays the bytes that it is."""

from __future__ import annotations

from typing import Any

import msgspec


class Descriptor(msgspec.Struct):
    """Which stream is meant."""

    name: str
    namespace: str | None = None


class Record(msgspec.Struct):
    """A record of a stream."""

    stream: str
    data: msgspec.Raw
    namespace: str | None = None


class StreamState(msgspec.Struct):
    """The state of a stream."""

    stream_descriptor: Descriptor
    stream_state: msgspec.Raw = msgspec.Raw()


class Statistics(msgspec.Struct):
    """How many records came since the state before."""

    recordCount: float = 0.0  # noqa: N815 - so it is called in the protocol


class State(msgspec.Struct):
    """A state: of a stream, of all together, or as connectors wrote it before."""

    type: str = "LEGACY"
    stream: StreamState | None = None
    sourceStats: Statistics | None = None  # noqa: N815


class StreamStatus(msgspec.Struct):
    """How far a stream has come."""

    stream_descriptor: Descriptor
    status: str


class Failure(msgspec.Struct):
    """What went wrong, in the connector's words."""

    message: str = ""
    internal_message: str | None = None
    failure_type: str | None = None


class Trace(msgspec.Struct):
    """What a connector says of its work."""

    type: str
    error: Failure | None = None
    stream_status: StreamStatus | None = None


class Log(msgspec.Struct):
    """A line for people."""

    level: str = "INFO"
    message: str = ""


class Message(msgspec.Struct):
    """One line."""

    type: str
    record: Record | None = None
    state: msgspec.Raw = msgspec.Raw()
    trace: Trace | None = None
    log: Log | None = None
    catalog: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None
