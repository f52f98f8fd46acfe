"""From page to page: what comes next, and whether it continues, is over, or goes round in circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from elt_factory.sources.rest_api.damage import UnreadableAnswerError
from elt_factory.sources.rest_api.paginators import Ask, Page, following, is_wrapped, told
from elt_factory.sources.rest_api.paging_model import OffsetPaginator, PageNumberPaginator, Paginator, SinglePage
from elt_factory.sources.rest_api.repeats import Repeats
from elt_factory.sources.rest_api.signs import says_complete, says_last

# a filter on the server's side may leave many pages empty, with more records behind them
_MOST_EMPTY = 1000
_MOST_STALE = 3
_LAST_AGAIN = 2


@dataclass
class Walk:
    """The way through the pages of one table.

    A page with nothing new is held back: it is kept when others follow, and dropped when it turns out that the server
    repeats its last page, which some do past the end.

    Args:
        model: How the next page is found. It counts items, which are the records or what they are in.
        most_pages: After that many the walk is broken off; None for no such limit.
    """

    model: Paginator
    most_pages: int | None = None
    rows: int = 0
    items: int = 0
    fresh: int = 0
    broken_off: bool = False
    _is_wrapped: bool | None = None
    _is_over: bool = False
    _pages: int = 0
    _empty: int = 0
    _stale: int = 0
    _print: int | None = None
    _first_print: int | None = None
    _asked: set[int] = field(default_factory=set)
    _held: list[Page] = field(default_factory=list)
    _repeats: Repeats = field(default_factory=Repeats)

    @property
    def _is_counted(self) -> bool:
        return isinstance(self.model, OffsetPaginator | PageNumberPaginator)

    @property
    def pages(self) -> int:
        """How many pages came."""
        return self._pages

    def as_paged(self, page: Page) -> Page:
        """Return a page with what the API counts as its items: the records, or what they are in, as the first says."""
        if self._is_wrapped is None and page.items:
            self._is_wrapped = is_wrapped(self.model, page)
        return replace(page, around=None) if self._is_wrapped else page

    def take(self, asked: Ask, page: Page) -> tuple[list[Page], Ask | None]:
        """Return the pages whose records count by now, and the next request; None at the end.

        Raises:
            UnreadableAnswerError: the pages go round in circles, never end, or the answer cannot hold a cursor.
        """
        if isinstance(self.model, SinglePage):
            return self._keep(page), None
        self._pages += 1
        again = asked.key in self._asked
        self._asked.add(asked.key)
        held = sum(held.items for held in self._held)
        ask = following(self.model, asked, page, self.items + held + page.items, self._pages)
        if not page.items:
            kept, ask = self._without_records(ask, again)
        elif self._repeats.has_new(page.prints):
            kept = self._with_new(asked, page, again)
        elif not page.records:
            kept, ask = self._without_records(None if self._is_counted else ask, again)
        else:
            kept, ask = self._with_nothing_new(asked, page, ask, again)
        # pages that are asked for by their number may be asked for past the last one, which some servers send again
        self._is_over = self._is_over or says_complete(page, self.items)
        if ask is None:
            return [*kept, *self._released()], None
        return kept, self._within_limits(ask)

    def rest(self) -> list[Page]:
        """Return the pages that were held back, where the server itself says that the last one has passed."""
        return self._released()

    def _keep(self, page: Page) -> list[Page]:
        self._count([page])
        self.fresh += 1
        return [page]

    def _count(self, pages: Sequence[Page]) -> None:
        self.rows += sum(page.records for page in pages)
        self.items += sum(page.items for page in pages)

    def _without_records(self, ask: Ask | None, again: bool) -> tuple[list[Page], Ask | None]:
        self._empty += 1
        if self._empty > _MOST_EMPTY:
            raise UnreadableAnswerError(f"pagination loop: {_MOST_EMPTY} consecutive pages have no records")
        # a cursor that leads to itself, or back, leads to no more records
        over = again or (ask is not None and ask.key in self._asked)
        return [], None if over else ask

    def _with_new(self, asked: Ask, page: Page, again: bool) -> list[Page]:
        if again:
            raise UnreadableAnswerError(
                f"pagination loop: {told(asked)} was returned twice, with new records each time"
            )
        self._empty = self._stale = 0
        self._repeats.remember(page.prints)
        self._print = page.prints.page
        if self._first_print is None:
            self._first_print = self._print
        return [*self._released(), *self._keep(page)]

    def _with_nothing_new(
        self,
        asked: Ask,
        page: Page,
        ask: Ask | None,
        again: bool,
    ) -> tuple[list[Page], Ask | None]:
        seen = page.prints.page
        said = says_last(page)
        if again or self._is_over or (said is None and says_complete(page, self.items)):
            return self._ended()
        if said:
            # one that others led to, and that says itself that it is the last, may hold nothing but what came before
            return [*self._released(), *self._keep(page)], ask
        if self._pages == 2 and seen == self._first_print:  # noqa: PLR2004
            raise UnreadableAnswerError(
                f"pagination loop: {told(asked)} returned the same records as the first page; "
                "check the names in paginator:"
            )
        self._stale += 1
        if self._is_counted and seen == self._print and self._stale == _LAST_AGAIN and self._all_held_are(seen):
            return self._ended()
        if self._stale >= _MOST_STALE:
            raise UnreadableAnswerError(
                f"pagination loop: {told(asked)} and the pages before it repeat earlier records"
            )
        self._held.append(page)
        return [], ask

    def _all_held_are(self, seen: int) -> bool:
        return all(page.prints.page == seen for page in self._held)

    def _ended(self) -> tuple[list[Page], None]:
        """Return the end of pages that repeat what came: no one counts them."""
        self._held = []
        return [], None

    def _released(self) -> list[Page]:
        released, self._held = self._held, []
        self._count(released)
        return released

    def _within_limits(self, ask: Ask) -> Ask | None:
        if self.most_pages is not None and self._pages >= self.most_pages:
            self.broken_off = True
            return None
        limit = getattr(self.model, "max_pages", None)
        if limit is not None and self._pages >= limit:
            raise UnreadableAnswerError(f"more than {limit:,} pages (max_pages of the paginator)")
        return ask
