"""One resource of a dlt source."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.request import ReadRequest, Spool
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

    def other(self, message: Message, line: bytes) -> None:
        """Take a message that is not a record of the stream.

        Raises:
            BadRequestError: what the config asks for is not there.
        """
        if message.type == "REFUSED":
            raise self.label.error(BadRequestError, msgspec.json.decode(message.value, type=str))
        super().other(message, line)
