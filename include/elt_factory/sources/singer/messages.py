"""Singer's messages of one stream: its records as they are, its state for the next load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.declared import text_columns
from elt_factory.sources.connectors.process import Output
from elt_factory.sources.connectors.spooling import Records, as_text


class Message(msgspec.Struct):
    """One line of a tap. What is in it stays the bytes that it is."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    value: msgspec.Raw = msgspec.Raw()
    schema: msgspec.Raw = msgspec.Raw()


class Messages:
    """What a tap, or another program that speaks as one, has said so far."""

    called: ClassVar[str] = "the tap"

    def __init__(self, records: Records, label: TableLabel) -> None:
        self.records, self.label = records, label
        self.types: dict[str, ColumnType] = {}
        self.streams: set[str] = set()  # of which a schema came
        self.versions = 0
        self.midway = False  # whether the tap's last state says that it is still at a stream
        self._decode = msgspec.json.Decoder(Message).decode
        self._mine = json.dumps(records.stream).encode()

    def take(self, lines: list[bytes]) -> None:
        """Take lines."""
        mine, stream = list[bytes](), self.records.stream
        for line in lines:
            try:
                message = self._decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._damaged(line, mine)
                continue
            if message.type == "RECORD" and message.stream == stream:
                mine.append(bytes(message.record) or as_text(line))
            else:
                self.other(message, line)
        self.records.add(mine)

    def _damaged(self, line: bytes, mine: list[bytes]) -> None:
        """Take a line that does not parse: noise, unless it was meant as a record. Python writes NaN into JSON."""
        if b'"RECORD"' in line and self._mine in line:
            mine.append(line)
        elif line.strip():
            self.records.hear(line)

    def other(self, message: Message, line: bytes) -> None:
        """Take a message that is not a record of the stream."""
        if message.type == "RECORD":
            self.records.others[message.stream] += 1
        elif message.type == "STATE":
            self._state(bytes(message.value))
        elif message.type == "SCHEMA":
            self.streams.add(message.stream)
            if message.stream == self.records.stream:
                self._declare(bytes(message.schema))
        elif message.type == "ACTIVATE_VERSION":
            self.versions += message.stream == self.records.stream
        elif message.type == "BATCH":
            hint = "switch batches off in config:"
            raise self.label.error(BadRequestError, "the tap sends batch files in place of records", hint)
        elif message.stream == self.records.stream:
            # what it holds would be lost
            text = f'{self.called} sends a message of the type "{message.type}", which is not of Singer\'s protocol'
            raise self.label.error(BadDataError, text, "write another version of package:")
        else:
            self.records.hear(line)

    def _state(self, value: bytes) -> None:
        """Take a state, which may be none."""
        found = msgspec.json.decode(value) if value else None
        if found is None:
            return
        self.records.keep(value)
        # a tap that is asked for one stream takes this out when it is through with it
        self.midway = isinstance(found, Mapping) and bool(found.get("currently_syncing"))

    def _declare(self, raw: bytes) -> None:
        """Take a schema. It may come again and say something else: what holds is what all of them say."""
        schema = msgspec.json.decode(raw) if raw else None
        if not isinstance(schema, Mapping):
            raise self.label.error(BadDataError, f"{self.called} sends a SCHEMA without a JSON schema")
        found = text_columns(schema)
        first = len(self.types) == 0 and self.records.rows == 0
        self.types = found if first else {name: kind for name, kind in self.types.items() if name in found}

    def end(self, output: Output, code: int) -> None:
        """Judge how the tap ended.

        Raises:
            SourceUnavailableError: with an error, or before it was through. BadDataError: without a word about it.
        """
        if code:
            raise self.label.error(SourceUnavailableError, f"{self.called} ended with {code}: {output.said()}")
        stream = self.records.stream
        if stream not in self.streams and not self.records.rows:
            others = ", ".join(sorted({*self.streams, *self.records.others})) or "none"
            text = f'{self.called} ended without a word about the stream "{stream}"'
            raise self.label.error(BadDataError, text, f"it spoke of {others}; check stream: and config:")
        self._ended_whole()
        if self.records.request.cursor.token and self.versions:
            self.records.warn(
                "the tap began the table again: rows that the source no longer has stay until a full refresh"
            )

    def _ended_whole(self) -> None:
        """Hold the tap to what its last state says: a load by changes continues there, a whole read has nothing to."""
        if not self.midway:
            return
        text = f"{self.called} ended before its stream was complete: its last state is one of currently_syncing"
        if not self.records.keeps_state:
            raise self.label.error(SourceUnavailableError, text)
        self.records.warn(f"{text}; the next load continues there")
