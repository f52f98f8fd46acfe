"""JSON APIs: pages of records become NDJSON files, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import parse_qsl

from elt_factory.config.models.templates import render
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.extract.subject import Subject, needed_connection, source_of
from elt_factory.extract.templating import endpoint_of, values_of
from elt_factory.sources.rest_api import paginators
from elt_factory.sources.rest_api.answer import UnreadableAnswerError
from elt_factory.sources.rest_api.http import Answer, HttpClient, shown
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.paginators import Ask, Page
from elt_factory.sources.rest_api.proof import Proof, Verdict
from elt_factory.sources.rest_api.walk import Walk
from elt_factory.sources.rest_api.whole import refuse_failure

PART_BYTES = 64 * 1024 * 1024


def read(request: ReadRequest) -> Spool:
    """Read every page of a table's endpoint into NDJSON files of about 64 MB; memory holds one page.

    Raises:
        SourceUnavailableError: no connection, 429 or 5xx, also after the client's own tries.
        AccessDeniedError: 401, 403. BadRequestError: other 4xx.
        BadDataError: an answer that is not JSON, says that it is an error, has no records where they should be, or goes
            in circles; pages that end while the answer says that there is more.
    """
    subject = Subject.of(request)
    progress = Progress(request.log, request.table)
    rows = pages = 0
    with Parts(request.workdir) as parts:
        for page in _pages(request, subject):
            for lines in page.pieces():
                parts.write(lines)
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
    table = source.tables[request.table]
    path, params = _rendered(request, source, subject)
    api = source.api_of(request.table)
    paginator = api.paginator
    walk, proof = Walk(paginator, request.most_pages), Proof(paginator)
    ask: Ask | None = paginators.first(paginator)
    answer: Answer | None = None
    connection = needed_connection(request, subject)
    with HttpClient(api, connection, subject, scratch=request.workdir) as client:
        while ask is not None:
            asked = ask
            if asked.link is not None and answer is not None:
                answer = client.get_link(asked.link, answer.url)
            else:
                answer = client.get_json(path, {**params, **asked.params})
            with _placed(answer, subject):
                page = _page(answer, table)
                proof.see(asked, page)
                kept, ask = walk.take(asked, page)
            yield from kept
        if answer is not None and not walk.broken_off:
            _prove(request, subject, answer, proof.of_end(walk, {**_query_of(path), **params}, api.incomplete))


def _prove(request: ReadRequest, subject: Subject, answer: Answer, verdict: Verdict) -> None:
    """Fail, or warn, where the answers say that the pages had not ended."""
    text = f"GET {shown(answer.url)}: {verdict.text}"
    if verdict.fails:
        raise subject.error(BadDataError, text, verdict.hint)
    if verdict.text:
        (request.warn or request.log)(subject.clean(f"{subject}: {text}"))


def _query_of(path: str) -> Mapping[str, str]:
    return dict(parse_qsl(path.partition("?")[2]))


def _rendered(
    request: ReadRequest, source: RestSource, subject: Subject
) -> tuple[str, Mapping[str, str | int | float | bool]]:
    table, values, zone = source.tables[request.table], values_of(request), source.timezone
    params = {
        name: render(value, values, zone) if isinstance(value, str) else value
        for name, value in source.params_of(request.table).items()
    }
    try:
        return endpoint_of(table.path, values, zone), params
    except BadRequestError as error:
        raise subject.error(BadRequestError, str(error)) from None


def _page(answer: Answer, table: RestTable) -> Page:
    document = answer.document
    refuse_failure(document, table.records, table.columns)
    return Page(document, answer.headers, document.records(table.records), table.records)


@contextmanager
def _placed(answer: Answer, subject: Subject) -> Iterator[None]:
    """Say where an unreadable answer came from."""
    try:
        yield
    except UnreadableAnswerError as error:
        raise subject.error(BadDataError, f"GET {shown(answer.url)}: {error}") from None
