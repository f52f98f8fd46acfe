"""One stream of a tap."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.connectors.process import Output
from elt_factory.sources.connectors.spooling import Records
from elt_factory.sources.singer.messages import Messages
from elt_factory.sources.singer.model import SingerSource
from elt_factory.sources.singer.tap import SingerTap


def read(request: ReadRequest) -> Spool:
    """Read one stream of a tap as NDJSON.

    Raises:
        BadRequestError: the tap cannot be installed, or has no such stream. BadDataError: it sends no Singer messages.
        SourceUnavailableError: it fails, hangs, or ends too early.
    """
    label, source = TableLabel.of(request), source_of(request, SingerSource)
    spec = source.tables[request.table]
    folder = connector_folder(request)
    tap = SingerTap(source.extract, request.connection, folder, label, request.log)
    chosen = tap.chosen(spec.stream_name(request.table), spec)
    return spooled(
        request, chosen.stream, tap.run(*tap.reading(chosen, spec.begins_with(request.cursor.token))), Messages
    )


def connector_folder(request: ReadRequest) -> Path:
    """Return an empty folder for whatever a connector writes."""
    folder = request.workdir / "connector"
    folder.mkdir()
    return folder


def spooled(request: ReadRequest, stream: str, running: AbstractContextManager[Output], kind: type[Messages]) -> Spool:
    """Return the records of a stream that a program prints as Singer's messages. Raises as `read` does."""
    label, file = TableLabel.of(request), request.workdir / "records" / f"{request.table}.ndjson"
    file.parent.mkdir()
    progress = Progress(request.log, str(label))
    with file.open("wb") as out:
        records = Records(request, label, stream, out)
        messages = kind(records, label)
        with running as output:
            for lines in output.lines():
                messages.take(lines)
                progress.seen(records.rows)
                if records.enough:
                    break
            else:
                messages.end(output, output.wait())
    return records.spool(file, messages.types, progress)
