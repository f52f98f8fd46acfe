"""One stream of an Airbyte connector: its records as they are, its state for the next load."""

from __future__ import annotations

from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.airbyte.connector import AirbyteConnector
from elt_factory.sources.airbyte.messages import Messages
from elt_factory.sources.airbyte.model import AirbyteSource
from elt_factory.sources.connectors.declared import text_columns
from elt_factory.sources.connectors.spooling import Records


def read(request: ReadRequest) -> Spool:
    """Read one stream of a connector as NDJSON.

    Raises:
        BadRequestError: it cannot be installed, refuses its settings, or has no such stream.
        SourceUnavailableError: it fails, hangs, or ends before its stream is complete.
        BadDataError: it does not speak Airbyte's protocol.
    """
    label, source = TableLabel.of(request), source_of(request, AirbyteSource)
    spec = source.tables[request.table]
    folder, file = request.workdir / "connector", request.workdir / "records" / f"{request.table}.ndjson"
    for made in (folder, file.parent):
        made.mkdir()
    connector = AirbyteConnector(source.extract, request.connection, (request.project, folder), label, request.log)
    stream = connector.stream(spec.stream_name(request.table), spec)
    asked = connector.reading(stream, spec, spec.begins_with(request.cursor.token))
    with file.open("wb") as out:
        records = Records(request, label, str(stream["name"]), out)
        progress = Progress(request.log, str(label))
        messages = Messages(records, label)
        with connector.run(*asked) as output:
            for lines in output.lines():
                messages.take(lines)
                progress.seen(records.rows)
                if records.enough:
                    break
            else:
                messages.end(output.wait(), output.said())
    return records.spool(file, text_columns(stream.get("json_schema") or {}), progress)
