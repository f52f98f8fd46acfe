"""JSON APIs: pages of records become NDJSON files, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from elt_factory.config.source import RestSource
from elt_factory.config.templates import render
from elt_factory.extract import paginators
from elt_factory.extract.answer import UnreadableAnswerError, ndjson
from elt_factory.extract.http import Answer, HttpClient, shown
from elt_factory.extract.paginators import Ask, Page
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.extract.subject import Subject, needed_connection, source_of
from elt_factory.extract.templating import endpoint_of, values_of
from elt_factory.failures import BadDataError, BadRequestError

PART_BYTES = 64 * 1024 * 1024


def read(request: ReadRequest) -> Spool:
    """Read every page of a table's endpoint into NDJSON files of about 64 MB; memory holds one page.

    Raises:
        SourceUnavailableError: no connection, 429 or 5xx, also after the client's own tries.
        AccessDeniedError: 401, 403. BadRequestError: other 4xx.
        BadDataError: an answer that is no JSON, has no records where they should be, or goes in circles.
    """
    subject = Subject.of(request)
    progress = Progress(request.tell, request.table)
    rows = pages = 0
    with Parts(request.workdir) as parts:
        for page in _pages(request, subject):
            parts.write(page.lines)
            rows, pages = rows + page.records, pages + 1
            progress.seen(rows, pages)
    progress.done(rows, pages)
    return Spool("ndjson", tuple(parts.files), rows)


class Parts:
    """Spool files part-00000.ndjson, part-00001.ndjson, ... of about one size. Use it in a `with`."""

    def __init__(self, folder: Path, part_bytes: int = PART_BYTES) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._part_bytes = part_bytes
        self._open: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(self, lines: bytes) -> None:
        """Add whole lines."""
        if not lines:
            return
        if self._open is None:
            self.files.append(self._folder / f"part-{len(self.files):05d}.ndjson")
            self._open = self.files[-1].open("wb")
        self._open.write(lines)
        if self._open.tell() >= self._part_bytes:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _pages(request: ReadRequest, subject: Subject) -> Iterator[Page]:
    source = source_of(request, RestSource)
    paginator = source.extract.paginator
    path, params = _rendered(request, source, subject)
    check = paginators.loop_guard(paginator)
    ask: Ask | None = paginators.first(paginator)
    answer: Answer | None = None
    connection = needed_connection(request, subject)
    with HttpClient(source.extract, connection, subject, scratch=request.workdir) as client:
        while ask is not None:
            if ask.link is not None and answer is not None:
                answer = client.get_link(ask.link, answer.url)
            else:
                answer = client.get_json(path, {**params, **ask.params})
            with _placed(answer, subject):
                page = _page(answer, source.tables[request.table].records)
                check(ask, page)
                ask = paginators.following(paginator, ask, page)
            yield page


def _rendered(
    request: ReadRequest, source: RestSource, subject: Subject
) -> tuple[str, Mapping[str, str | int | float | bool]]:
    table, values, zone = source.tables[request.table], values_of(request), source.timezone
    params = {
        name: render(value, values, zone) if isinstance(value, str) else value for name, value in table.params.items()
    }
    try:
        return endpoint_of(table.path, values, zone), params
    except BadRequestError as error:
        raise subject.error(BadRequestError, str(error)) from None


def _page(answer: Answer, records_path: str | None) -> Page:
    document = answer.document
    records = document.records(records_path)
    return Page(document, answer.headers, len(records), ndjson(records))


@contextmanager
def _placed(answer: Answer, subject: Subject) -> Iterator[None]:
    """Say where an unreadable answer came from."""
    try:
        yield
    except UnreadableAnswerError as error:
        raise subject.error(BadDataError, f"GET {shown(answer.url)}: {error}") from None
