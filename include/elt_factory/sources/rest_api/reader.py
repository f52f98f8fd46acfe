"""JSON APIs: pages of records become NDJSON files, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Event, Lock
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
from elt_factory.sources.rest_api.keys import Key, keys
from elt_factory.sources.rest_api.model import RestApi, RestSource, RestTable
from elt_factory.sources.rest_api.paginators import Ask, Page
from elt_factory.sources.rest_api.proof import Proof, Verdict
from elt_factory.sources.rest_api.walk import Walk
from elt_factory.sources.rest_api.whole import refuse_failure

PART_BYTES = 64 * 1024 * 1024


def read(request: ReadRequest) -> Spool:
    """Read every page of a table's endpoint into NDJSON files of about 64 MB; memory holds one page of each worker.

    With `for_each` several workers share the keys, always in the same way: a second try leaves the same files.

    Raises:
        SourceUnavailableError: no connection, 429 or 5xx, also after the client's own tries.
        AccessDeniedError: 401, 403. BadRequestError: other 4xx.
        BadDataError: an answer that is not JSON, says that it is an error, has no records where they should be, or goes
            in circles; pages that end while the answer says that there is more.
    """
    reading = _Reading.of(request)
    workers = reading.table.concurrency if reading.table.for_each else 1
    if workers == 1:
        files = reading.share(0, 1)
    else:
        with ThreadPoolExecutor(workers, thread_name_prefix=request.table) as pool:
            shares = [pool.submit(reading.share, number, workers) for number in range(workers)]
            with reading.stopping_on_error():
                files = [file for share in shares for file in share.result()]
    reading.done()
    return Spool("ndjson", tuple(files), reading.rows)


class Parts:
    """Spool files part-00000.ndjson, part-00001.ndjson, ... of about one size. Use it in a `with`."""

    def __init__(self, folder: Path, own: str = "", part_bytes: int = PART_BYTES) -> None:
        self.files: list[Path] = []
        self._folder, self._own = folder, own
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
            self.files.append(self._folder / f"part-{self._own}{len(self.files):05d}.ndjson")
            self._open = self.files[-1].open("wb")
        self._open.write(lines)
        if self._open.tell() >= self._part_bytes:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


@dataclass
class _Reading:
    """One table for one window, as several workers read it."""

    request: ReadRequest
    subject: Subject
    source: RestSource
    table: RestTable
    api: RestApi
    progress: Progress
    rows: int = 0
    pages: int = 0
    _lock: Lock = field(default_factory=Lock)
    _failed: Event = field(default_factory=Event)

    @classmethod
    def of(cls, request: ReadRequest) -> Self:
        source = source_of(request, RestSource)
        name = request.table
        progress = Progress(request.log, name)
        return cls(request, Subject.of(request), source, source.tables[name], source.api_of(name), progress)

    @contextmanager
    def stopping_on_error(self) -> Iterator[None]:
        """Let the workers stop at their next page when the block fails, also by a signal."""
        try:
            yield
        except BaseException:
            self._failed.set()
            raise

    def share(self, number: int, workers: int) -> list[Path]:
        """Read every so many-th key into files of its own; others stop when it fails."""
        connection = needed_connection(self.request, self.subject)
        own = f"{number:02d}-" if workers > 1 else ""
        with (
            self.stopping_on_error(),
            HttpClient(self.api, connection, self.subject, scratch=self.request.workdir) as client,
            Parts(self.request.workdir, own) as parts,
        ):
            found = keys(self.table.for_each, self.table.keep, self.request.keys)
            for key in islice(found, number, None, workers):
                self._read_key(client, key, parts)
                if self._failed.is_set():
                    break
        return parts.files

    def done(self) -> None:
        self.progress.done(self.rows, self.pages)

    def _read_key(self, client: HttpClient, key: Key, parts: Parts) -> None:
        for page in self._pages(client, key):
            for lines in page.pieces():
                parts.write(lines)
            with self._lock:
                self.rows, self.pages = self.rows + page.records, self.pages + 1
                self.progress.seen(self.rows, self.pages)
            if self._failed.is_set():
                return

    def _pages(self, client: HttpClient, key: Key) -> Iterator[Page]:
        path, params = self._rendered(key)
        paginator = self.api.paginator
        walk, proof = Walk(paginator, self.request.most_pages), Proof(paginator)
        ask: Ask | None = paginators.first(paginator)
        answer: Answer | None = None
        while ask is not None:
            asked = ask
            if asked.link is not None and answer is not None:
                answer = client.get_link(asked.link, answer.url)
            else:
                answer = client.get_json(path, {**params, **asked.params})
            with _placed(answer, self.subject):
                page = _page(answer, self.table)
                proof.see(asked, page)
                kept, ask = walk.take(asked, page)
                kept = [replace(page, found=key.lines(page.found)) for page in kept] if key.kept else kept
            yield from kept
        if answer is not None and not walk.broken_off:
            verdict = proof.of_end(walk, {**_query_of(path), **params}, self.api.incomplete)
            _prove(self.request, self.subject, answer, verdict)

    def _rendered(self, key: Key) -> tuple[str, Mapping[str, str | int | float | bool]]:
        values, zone = {**values_of(self.request), **key.values}, self.source.timezone
        params = {
            name: render(value, values, zone) if isinstance(value, str) else value
            for name, value in self.source.params_of(self.request.table).items()
        }
        try:
            return endpoint_of(self.table.path, values, zone), params
        except BadRequestError as error:
            raise self.subject.error(BadRequestError, str(error)) from None


def _prove(request: ReadRequest, subject: Subject, answer: Answer, verdict: Verdict) -> None:
    """Fail, or warn, where the answers say that the pages had not ended."""
    text = f"GET {shown(answer.url)}: {verdict.text}"
    if verdict.fails:
        raise subject.error(BadDataError, text, verdict.hint)
    if verdict.text:
        (request.warn or request.log)(subject.clean(f"{subject}: {text}"))


def _query_of(path: str) -> Mapping[str, str]:
    return dict(parse_qsl(path.partition("?")[2]))


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
