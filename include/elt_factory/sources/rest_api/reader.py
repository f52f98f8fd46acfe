"""JSON APIs: pages of records become NDJSON files, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice, pairwise
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import BinaryIO, Self

from elt_factory.config.models.formats import FORMATS, FileFormat
from elt_factory.core.extras import MissingExtraError
from elt_factory.core.failures import BadRequestError, EltError, SourceUnavailableError
from elt_factory.core.window import Window, iso_utc
from elt_factory.extract.growing import Growing
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.credentials import Credentials
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.held import connection_of, held_values
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.job_model import Job
from elt_factory.sources.rest_api.job_state import Done
from elt_factory.sources.rest_api.jobs import JobRun, of_results, without_ends
from elt_factory.sources.rest_api.key_pages import KeyPages, saved
from elt_factory.sources.rest_api.keys import Key, keys, named_alone, sliced
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.pace import Pace, pace_of
from elt_factory.sources.rest_api.paginators import Page

_SAMPLED = 3
PART_BYTES = 64 * 1024 * 1024


def read(request: ReadRequest) -> Spool:
    """Read every page of a table's endpoint into NDJSON files of about 64 MB; memory holds one page of each worker.

    With `for_each` or `slices` several workers share the keys, each some that follow one another: the files, in their
    order, have the records in the order of the keys, by which the last version of a record is known.

    Raises:
        SourceUnavailableError: no connection, 429 or 5xx, also after the client's own tries.
        AccessDeniedError: 401, 403. BadRequestError: other 4xx.
        BadDataError: an answer that is not JSON, says that it is an error, has no records where they should be, or goes
            in circles; pages that end while the answer says that there is more.
        BadRequestError: the request names one day, or the like, of several that the window has.
    """
    reading = Reading.of(request)
    reading.refuse_one_of_many()
    many = reading.of_many and not reading.table.job
    workers = reading.table.concurrency if many else 1
    if workers == 1:
        files = reading.share(Share())
    else:
        shared = reading.shares(workers)
        with ThreadPoolExecutor(workers, thread_name_prefix=request.table) as pool, reading.stopping_on_error():
            shares = [reading.begun(pool, share, workers) for share in shared]
            files = [file for share in shares for file in share.result()]
    reading.done()
    form = reading.table.format
    return (
        Spool("ndjson", tuple(files), reading.rows, token=reading.token)
        if form is None
        else _of_format(form, files, reading)
    )


def _of_format(form: FileFormat, files: Sequence[Path], reading: Reading) -> Spool:
    """Return the records of responses that are files."""
    from elt_factory.formats.kind import Delivered
    from elt_factory.formats.packed import unpacked

    kind, folder = FORMATS.get(form.type), reading.request.workdir / "unpacked"
    if not files:
        return Spool("ndjson", (), 0)
    try:
        found = [unpacked(Delivered(file.name, file), kind, folder / file.name) for file in files]
        spool: Spool = kind.spooled(form, found, reading.request.workdir)
    except MissingExtraError:
        raise
    except EltError as error:
        if reading.table.job and reading.request.memory:
            # these files stay as they are: a try that joined their jobs would fail as well
            reading.request.memory.forget()
        raise reading.label.error(type(error), str(error)) from None
    for remark in spool.remarks:
        reading.request.log(f"{reading.label}: {remark}")
    return spool


class Parts:
    """Spool files part-00000.ndjson, part-00001.ndjson, ... of about one size. Use it in a `with`."""

    def __init__(
        self, folder: Path, own: str = "", part_bytes: int = PART_BYTES, growing: Growing | None = None
    ) -> None:
        self.files: list[Path] = []
        self._folder, self._own = folder, own
        self._growing = growing
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
        size = self._open.tell()
        if self._growing is not None:
            self._open.flush()
            self._growing.grew(self.files[-1], size)
        if size >= self._part_bytes:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


@dataclass(frozen=True)
class Share:
    """What one of several workers reads: its keys are those from a place on, up to another one."""

    number: int = 0
    start: int = 0
    end: int | None = None
    is_all: bool = True


@dataclass
class Reading:
    """One table for one window, as several workers read it."""

    request: ReadRequest
    label: TableLabel
    source: RestSource
    table: RestTable
    api: RestApi
    credentials: Credentials
    pace: Pace
    progress: Progress
    rows: int = 0
    pages: int = 0
    token: str | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock)
    _failed: Event = field(default_factory=Event)

    @classmethod
    def of(cls, request: ReadRequest) -> Self:
        """Return the reading of a request, before its first page."""
        source = source_of(request, RestSource)
        name = request.table
        label, api = TableLabel.of(request), source.api_of(name)
        credentials = Credentials(api, connection_of(request, label, source), label, request.warn or request.log)
        pace = pace_of(api, credentials.connection, label, request.shared)
        return cls(request, label, source, source.tables[name], api, credentials, pace, Progress(request.log, name))

    @contextmanager
    def stopping_on_error(self) -> Iterator[None]:
        """Let the workers stop at their next page when the block fails, also by a signal."""
        try:
            yield
        except BaseException:
            self._failed.set()
            raise

    def refuse_one_of_many(self) -> None:
        """Refuse a window that the request would be sent for once, with one of its days.

        Raises:
            BadRequestError: it is so.
        """
        window, incremental = self.request.window, self.table.incremental
        start = window.start + (incremental.time_lag if incremental else timedelta())
        if start >= window.end or self.request.most_pages:
            return
        new = Window(start, window.end)
        if named := named_alone(new, self.table, self.source.timezone):
            text = f"the window is from {iso_utc(new.start)} to {iso_utc(new.end)}, and the request names only {named}"
            hint = (
                "add slices: 1d, or slices of as much as one request is answered for; or say the other end of the "
                "window, too"
            )
            raise self.label.error(BadRequestError, text, hint)

    def shares(self, workers: int) -> list[Share]:
        """Return the keys as shares of about as many each, in their order."""
        count = sum(1 for _ in self._keys())
        cuts = [count * number // workers for number in range(workers + 1)]
        return [Share(number, *ends, is_all=False) for number, ends in enumerate(pairwise(cuts))]

    def begun(self, pool: ThreadPoolExecutor, share: Share, workers: int) -> Future[list[Path]]:
        """Begin to read a worker's keys in a thread.

        Raises:
            SourceUnavailableError: this machine has no more threads.
        """
        try:
            return pool.submit(self.share, share)
        except RuntimeError as error:
            text = f"{error}: concurrency asks for {workers} requests at the same time"
            raise self.label.error(
                SourceUnavailableError, text, "run fewer tasks at the same time, or lower it"
            ) from None

    def share(self, share: Share) -> list[Path]:
        """Read a worker's keys into files of its own; others stop when it fails."""
        own = "" if share.is_all else f"{share.number:02d}-"
        with (
            self.stopping_on_error(),
            self._client() as client,
            Parts(self.request.workdir, own, growing=self._growing) as parts,
        ):
            if self.table.job:
                self._read_jobs(client, self.table.job, parts)
            else:
                self._read_keys(client, islice(self._keys(), share.start, share.end), parts, share.number)
        return parts.files

    @property
    def _growing(self) -> Growing | None:
        """Who follows: files of other formats, and of jobs, are read when they are there.

        So are those of several workers where the last record of a key is the one that stays: they grow in no order.
        """
        table = self.table
        many = self.of_many and table.concurrency > 1
        by_order = many and bool(table.primary_key) and table.incremental is None
        return None if table.format or table.job or by_order else self.request.growing

    def _keys(self) -> Iterator[Key]:
        table = self.table
        found = keys(table.for_each, table.keep, self.request.keys)
        pieces = sliced(found, self.request.window, table, self.source.timezone, self.request.part)
        # a sample is of a few
        return islice(pieces, _SAMPLED) if self.request.most_pages else pieces

    def _read_keys(self, client: HttpClient, found: Iterable[Key], parts: Parts, number: int = 0) -> None:
        for key in found:
            if self.table.format is None:
                for page in self._pages(client).read(key):
                    self._take(page, parts)
                    if self._failed.is_set():
                        return
            else:
                for answer in self._pages(client).files(key):
                    file = self.request.workdir / f"response-{number:02d}-{len(parts.files):06d}"
                    self._add(file, parts, is_there=saved(answer, file))
            if self._failed.is_set():
                return

    def _read_jobs(self, client: HttpClient, job: Job, parts: Parts) -> None:
        """Wait until the table's jobs are done, and read their results."""
        run = JobRun(self.request, self.label, self.source, job, client, self.credentials.connection)
        jobs = run.finished(self._keys())
        self.source = of_results(self.source, self.request.table)
        self.api = self.api.model_copy(update={"answers": without_ends(self.api.answers)})
        for done in jobs:
            with run.fetching(done):
                self._read_results(client, done, parts)

    def _read_results(self, client: HttpClient, done: Done, parts: Parts) -> None:
        if self.table.job and self.table.job.download:
            self._read_keys(client, [done.key], parts)
        is_json = self.table.format is None
        answers = (client.result(link, done.found_on, self.api.answers, is_json=is_json) for link in done.links)
        if is_json:
            for page in self._pages(client).results(answers, done.key):
                self._take(page, parts)
            return
        for answer in answers:
            file = self.request.workdir / f"result-{len(parts.files):06d}"
            self._add(file, parts, is_there=saved(answer, file))

    def _take(self, page: Page, parts: Parts) -> None:
        for lines in page.pieces():
            parts.write(lines)
        with self._lock:
            self.rows, self.pages = self.rows + page.records, self.pages + 1
            self.progress.seen(self.rows, self.pages)

    def _add(self, file: Path, parts: Parts, *, is_there: bool) -> None:
        if is_there:
            parts.files.append(file)
            with self._lock:
                self.pages += 1
                self.progress.seen(self.rows, self.pages)

    @property
    def of_many(self) -> bool:
        """Whether there are several lists to read, each from its own first page."""
        return bool(self.table.for_each or self.table.slices)

    def _client(self, patience: Patience | None = None) -> HttpClient:
        connection, scratch = self.credentials.connection, self.request.workdir
        return HttpClient(self.api, connection, self.label, patience, scratch, self.credentials, self.pace)

    def totals(self) -> list[int | None]:
        """Return the total in the first page for each key; None for one without it."""
        with self._client() as client:
            return [self._pages(client).total(key) for key in self._keys()]

    def done(self) -> None:
        """Report the end."""
        self.progress.done(self.rows, self.pages)

    def _pages(self, client: HttpClient) -> KeyPages:
        held = held_values(self.table.held, self.credentials.connection, self.label)
        # several lists are asked for at the same time, each of them page by page; a sample is of a few pages
        ahead = 1 if self.of_many or self.request.most_pages else self.table.concurrency
        return KeyPages(
            self.request, self.label, self.source, self.api, client, self._keep_token, held, self._client, ahead
        )

    def _keep_token(self, token: str | None) -> None:
        self.token = token
