"""Airbyte's protocol: the lines of a connector. What is in a record stays the bytes that it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.spooling import as_text

if TYPE_CHECKING:
    from elt_factory.sources.connectors.spooling import Records


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


class Messages:
    """What a connector has said so far. `records` takes those of its stream; None where it is asked for none."""

    def __init__(self, records: Records | None, label: TableLabel) -> None:
        self.records, self.label = records, label
        self.answer: dict[str, Any] | None = None
        self.failures: list[Failure] = []
        self.status = ""
        self.announced = 0
        self._decode = msgspec.json.Decoder(Message).decode
        self._mine = json.dumps(records.stream).encode() if records else b""

    def take(self, lines: list[bytes]) -> None:
        """Take lines."""
        mine, stream = list[bytes](), self.records.stream if self.records else None
        for line in lines:
            try:
                message = self._decode(line)
            except msgspec.ValidationError:
                # of JSON it is, and not as the protocol has it: as a record it would have columns of the protocol
                self._damaged(line, mine, as_text(line))
                continue
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._damaged(line, mine, line)
                continue
            record = message.record
            if record is not None and record.stream == stream:
                mine.append(bytes(record.data))
            else:
                self._other(message, line)
        if self.records:
            self.records.add(mine)

    def _damaged(self, line: bytes, mine: list[bytes], shown: bytes) -> None:
        """Take a line that does not parse: noise, unless it was meant as a record. Python writes NaN into JSON."""
        if self.records is None:
            return
        if b'"RECORD"' in line and self._mine in line:
            mine.append(shown)
        elif line.strip():
            self.records.hear(line)

    def _other(self, message: Message, line: bytes) -> None:
        if message.trace:
            self._trace(message.trace)
        elif message.catalog is not None or message.spec is not None:
            self.answer = message.catalog if message.spec is None else message.spec
        elif self.records is None:
            return
        elif message.record:
            self.records.others[message.record.stream] += 1
        elif message.type == "STATE":
            self._state(self.records, bytes(message.state))
        elif message.log:
            self.records.request.log(self.label.clean(f"connector: {message.log.message}"))
        elif message.type == "CONTROL":
            self.records.warn("the connector asks to keep other settings; change them in the Airflow connection")
        else:
            self.records.hear(line)

    def _state(self, records: Records, raw: bytes) -> None:
        """Take a state of this stream, or of all of the connector: it is the whole of what the next load is given."""
        try:
            state = msgspec.json.decode(raw, type=State)
        except msgspec.DecodeError as error:
            text = f"the connector sends a state that is not one of Airbyte's protocol: {error}"
            raise self.label.error(BadDataError, text) from None
        if state.stream is None:
            # what connectors wrote before streams had states of their own is handed back as it came
            legacy = msgspec.json.decode(raw)
            records.keep(msgspec.json.encode(legacy.get("data", {}) if state.type == "LEGACY" else [legacy]))
        elif state.stream.stream_descriptor.name == records.stream:
            self.announced += int(state.sourceStats.recordCount) if state.sourceStats else 0
            records.keep(msgspec.json.encode([{"type": "STREAM", "stream": state.stream}]))

    def _trace(self, trace: Trace) -> None:
        if trace.error:
            self.failures.append(trace.error)
        status = trace.stream_status
        if status and self.records and status.stream_descriptor.name == self.records.stream:
            self.status = status.status

    def ended_well(self, code: int, said: str) -> None:
        """Judge how a command ended.

        Raises:
            BadRequestError: its settings are wrong. SourceUnavailableError: anything else.
        """
        if self.failures:
            failure = self.failures[-1]
            kind: type[EltError] = BadRequestError if failure.failure_type == "config_error" else SourceUnavailableError
            text = failure.message or failure.internal_message or "no message"
            raise self.label.error(kind, f"the connector failed: {text[:1000]}")
        if code:
            raise self.label.error(SourceUnavailableError, f"the connector ended with {code}: {said}")

    def end(self, code: int, said: str) -> None:
        """Judge how a read ended.

        Raises:
            SourceUnavailableError: the stream is not complete, or records that were announced did not come.
        """
        self.ended_well(code, said)
        if self.status and self.status != "COMPLETE":
            text = f"the connector ended before its stream was complete ({self.status})"
            raise self.label.error(SourceUnavailableError, text)
        rows = self.records.rows if self.records else 0
        if self.announced > rows:
            text = f"the connector announced {self.announced:,} records, and sent {rows:,}"
            raise self.label.error(SourceUnavailableError, text)
        if not self.status and not rows and self.records and self.records.state is None:
            raise self.label.error(BadDataError, "the connector ended without a word in Airbyte's protocol")
