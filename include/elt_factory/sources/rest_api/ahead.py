"""Pages that are asked for before it is their turn, where an answer says how many there are.

An answer is used when its very request comes. What goes wrong before that counts for nothing: it is asked for again in
its turn, with the patience of every request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from types import TracebackType
from typing import Self

from elt_factory.core.failures import EltError
from elt_factory.sources.rest_api.exchange import Answer, Patience
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.paginators import Ask, Page, number_of
from elt_factory.sources.rest_api.paging_model import OffsetPaginator, PageNumberPaginator, Paginator


class NotNeededError(EltError):
    """The pages are over, and so is the wait for another one."""


class PagesAhead:
    """Asks for some pages at the same time, each with a client of its own.

    Args:
        ask: Asks for a page with a client.
        client: Makes a client with a given patience.
        most: As many pages are asked for, or wait to be taken.
    """

    def __init__(
        self, ask: Callable[[HttpClient, Ask], Answer], client: Callable[[Patience], HttpClient], most: int
    ) -> None:
        self._ask, self._client, self._most = ask, client, most if most > 1 else 0
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="page")
        self._coming: dict[int, Future[Answer]] = {}
        self._free: deque[HttpClient] = deque()
        self._over = Event()
        # whatever goes wrong ends the asking ahead
        self._impatient = Patience(tries=1, longest_retry_after=0, waits=0, sleep=self._sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a request that waits for its turn is not sent any more; one that was sent is waited for
        self._over.set()
        self._pool.shutdown(cancel_futures=True)
        for client in self._free:
            client.close()

    def take(self, asked: Ask) -> Answer | None:
        """Return the answer to a request that was sent ahead of its turn; None where there is none."""
        coming = self._coming.pop(asked.key, None)
        try:
            return coming.result() if coming else None
        except (EltError, OSError):
            # a server, or a machine, that cannot do so much at the same time does it one by one from now on
            self._most = 0
            return None

    def expect(self, asks: Iterable[Ask]) -> None:
        """Ask for the first of these; what else is under way is not needed any more."""
        wanted = {ask.key: ask for ask in islice(asks, self._most)}
        for key in self._coming.keys() - wanted.keys():
            self._coming.pop(key).cancel()
        for key, ask in wanted.items():
            if key not in self._coming:
                try:
                    self._coming[key] = self._pool.submit(self._fetch, ask)
                except RuntimeError:
                    # where there are no more threads, it is done one by one, too
                    self._most = 0
                    return

    def _fetch(self, asked: Ask) -> Answer:
        try:
            client = self._free.popleft()
        except IndexError:
            client = self._client(self._impatient)
        try:
            return self._ask(client, asked)
        finally:
            self._free.append(client)

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise NotNeededError


def asks_after(model: Paginator, page: Page, ask: Ask) -> Iterator[Ask]:
    """Yield the request after a page and those behind it, as far as the page says that there are records.

    None at all where the paginator names no total, or each page leads to the next one.
    """
    if isinstance(model, OffsetPaginator):
        total = number_of(page.document.find(model.total)) if model.total else None
        end = model.first_offset + total if total else 0
        places = range(int(ask.params[model.offset_param]), end, page.items or model.limit)
        yield from (Ask({**ask.params, model.offset_param: place}) for place in places)
    elif isinstance(model, PageNumberPaginator):
        number, name = int(ask.params[model.page_param]), model.page_param
        yield from (Ask({name: place}) for place in range(number, model.first_page + _pages(model, page)))


def _pages(model: PageNumberPaginator, page: Page) -> int:
    """Return how many pages there are, as this one says it; 0 where it does not."""
    find = page.document.find
    if model.total_pages and (pages := number_of(find(model.total_pages))) is not None:
        return pages
    # the last page may be a short one, and no page comes after it
    total = number_of(find(model.total)) if model.total else None
    return -(-total // page.items) if total and page.items else 0
