"""One resource of a dlt source."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from elt_factory.core.failures import BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.connectors.process import Output
from elt_factory.sources.dlt.model import DltSource
from elt_factory.sources.dlt.program import DltProgram
from elt_factory.sources.singer.messages import Message, Messages
from elt_factory.sources.singer.reader import connector_folder, spooled


def read(request: ReadRequest) -> Spool:
    """Read one resource of a dlt source as NDJSON.

    Raises:
        BadRequestError: it cannot be installed, or there is no such source or resource.
        SourceUnavailableError: it fails, hangs, or ends too early.
    """
    label, source = TableLabel.of(request), source_of(request, DltSource)
    folders = request.project, connector_folder(request)
    program = DltProgram(source.extract, request.connection, folders, label, request.log)
    spec = source.tables[request.table]
    stream = spec.stream_name(request.table)
    return spooled(request, stream, program.reading(stream, spec.begins_with(request.cursor.token)), _Messages)


class _Messages(Messages):
    """What a dlt source has said so far."""

    called: ClassVar[str] = "the dlt source"
    complete = False

    def other(self, message: Message, line: bytes) -> None:
        """Take a message that is not a record of the stream.

        Raises:
            BadRequestError: what the config asks for is not there.
        """
        if message.type == "REFUSED":
            raise self.label.error(BadRequestError, msgspec.json.decode(message.value, type=str))
        self.complete |= message.type == "STATE"
        super().other(message, line)

    def end(self, output: Output, code: int) -> None:
        """Judge how the source ended: the program says its state when the resource is through, and not before."""
        if not code and not self.complete:
            text = f"{self.called} ended before its resource was complete: {output.said() or 'it said nothing'}"
            raise self.label.error(SourceUnavailableError, text)
        super().end(output, code)
        if self.records.others and not self.records.rows:
            names = ", ".join(sorted(self.records.others))
            text = f"the resource marks all of its rows as those of other tables: {names}"
            raise self.label.error(BadDataError, text)
