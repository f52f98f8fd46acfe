"""One stream of an Airbyte connector: its records as they are, its state for the next load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.airbyte.messages import Failure, Message, State, Trace
from elt_factory.sources.airbyte.model import AirbyteSource, AirbyteTable
from elt_factory.sources.airbyte.specification import check_settings
from elt_factory.sources.connectors.declared import text_columns
from elt_factory.sources.connectors.environment import command_of
from elt_factory.sources.connectors.process import Limits, running, write_settings
from elt_factory.sources.connectors.settings import settings_of
from elt_factory.sources.connectors.spooling import Records

_PREFIX = "airbyte-"


def read(request: ReadRequest) -> Spool:
    """Read one stream of a connector as NDJSON.

    Raises:
        BadRequestError: it cannot be installed, refuses its settings, or has no such stream.
        SourceUnavailableError: it fails, hangs, or ends before its stream is complete.
        BadDataError: it does not speak Airbyte's protocol.
    """
    label, source = TableLabel.of(request), source_of(request, AirbyteSource)
    connector = _Connector(request, source, label)
    stream = connector.stream()
    file = request.workdir / "records" / f"{request.table}.ndjson"
    file.parent.mkdir()
    with file.open("wb") as out:
        records = Records(request, label, str(stream["name"]), out)
        progress = Progress(request.log, str(label))
        messages = Messages(records, label)
        with running(connector.reading(stream), connector.folder, connector.limits, label, request.log) as output:
            for lines in output.lines():
                messages.take(lines)
                progress.seen(records.rows)
                if records.enough:
                    break
            else:
                messages.end(output.wait(), output.said())
    return records.spool(file, text_columns(stream.get("json_schema") or {}), progress)


class _Connector:
    """A connector's command, with its settings in files of this user's."""

    def __init__(self, request: ReadRequest, source: AirbyteSource, label: TableLabel) -> None:
        self.request, self.source, self.label = request, source, label
        self.spec: AirbyteTable = source.tables[request.table]
        self.folder = request.workdir / "connector"
        self.folder.mkdir()
        default = source.extract.package_name.removeprefix(_PREFIX)
        self.command = command_of(source.extract, default, label, request.log)
        self.limits = Limits.of(source.extract)
        settings = settings_of(source.extract, request.connection)
        specification = self._one("spec").get("connectionSpecification")
        check_settings(settings, specification if isinstance(specification, dict) else {}, label)
        self.config = write_settings(self.folder / "config.json", settings)

    def stream(self) -> dict[str, Any]:
        """Return the connector's own description of the table's stream.

        Raises:
            BadRequestError: it has none of that name, or it cannot be read by changes.
        """
        wanted, space = self.spec.stream_name(self.request.table), self.spec.namespace
        streams = self._one("discover", "--config", self.config).get("streams") or []
        mine = [one for one in streams if one["name"] == wanted and space in (None, one.get("namespace"))]
        if not mine:
            known = sorted(str(one["name"]) for one in streams)
            hint = near_name(wanted, known) or f"it has {', '.join(known) or 'none'}"
            raise self.label.error(BadRequestError, f'the connector has no stream "{wanted}"', hint)
        modes = mine[0].get("supported_sync_modes") or []
        if self.spec.keeps_token and modes and "incremental" not in modes:
            text = f'the stream "{wanted}" cannot be read by its changes'
            raise self.label.error(BadRequestError, text, "write sync: full")
        return dict(mine[0])

    def reading(self, stream: dict[str, Any]) -> list[str | Path]:
        """Return the command that sends the records."""
        cursor = self.spec.cursor_field
        configured = {
            "stream": stream,
            "sync_mode": "incremental" if self.spec.keeps_token else "full_refresh",
            "destination_sync_mode": "append",
            "cursor_field": [cursor] if cursor else stream.get("default_cursor_field") or [],
            "primary_key": stream.get("source_defined_primary_key") or [],
        }
        catalog = write_settings(self.folder / "catalog.json", {"streams": [configured]})
        command: list[str | Path] = [self.command, "read", "--config", self.config, "--catalog", catalog]
        token = self.request.cursor.token
        if token:
            command += ["--state", write_settings(self.folder / "state.json", json.loads(token))]
        return command

    def _one(self, verb: str, *arguments: str | Path) -> dict[str, Any]:
        """Return what the connector answers to a command that has one answer."""
        messages = Messages(None, self.label)
        command = [self.command, verb, *arguments]
        with running(command, self.folder, self.limits, self.label, self.request.log) as output:
            for lines in output.lines():
                messages.take(lines)
            messages.ended_well(output.wait(), output.said())
        if messages.answer is None:
            raise self.label.error(BadDataError, f"the connector's {verb} does not answer in Airbyte's protocol")
        return messages.answer


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
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._damaged(line, mine)
                continue
            record = message.record
            if record is not None and record.stream == stream:
                mine.append(bytes(record.data))
            else:
                self._other(message, line)
        if self.records:
            self.records.add(mine)

    def _damaged(self, line: bytes, mine: list[bytes]) -> None:
        """Take a line that does not parse: noise, unless it was meant as a record. Python writes NaN into JSON."""
        if self.records is None:
            return
        if b'"RECORD"' in line and self._mine in line:
            mine.append(line)
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
        state = msgspec.json.decode(raw, type=State)
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
