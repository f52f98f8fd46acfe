"""Whether the end of the pages was the end of the records: what all answers together say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from elt_factory.sources.rest_api.paginators import Ask, Page, number_of, says_end
from elt_factory.sources.rest_api.paging_model import OffsetPaginator, Paged, PageNumberPaginator, Paginator, SinglePage
from elt_factory.sources.rest_api.signs import (
    Came,
    Signs,
    contradiction,
    full_by,
    never_there,
    path_of,
    says_complete,
    signs_of,
)
from elt_factory.sources.rest_api.signs_alone import by_headers, looks_like_cursor, with_alone
from elt_factory.sources.rest_api.walk import Walk
from elt_factory.sources.rest_api.whole import says_incomplete


@dataclass(frozen=True)
class Verdict:
    """What speaks against the end of the pages, how to fix it, and whether the load fails for it."""

    text: str = ""
    hint: str = ""
    fails: bool = False


class Declared:
    """What the paginator names itself: where more, totals and a cursor are; the values, and the names seen so far."""

    def __init__(self, model: Paginator) -> None:
        names = ("more", "last", "total", "total_pages")
        self._paths = {name: path for name in names if (path := getattr(model, name, None))}
        self._header = getattr(model, "cursor_header", None)
        self._unseen = {*self._paths, *(("cursor_header",) if self._header else ())}
        self._totals: dict[str, int] = {}

    def see(self, page: Page) -> None:
        """Take a page into account."""
        for name, path in self._paths.items():
            raw = page.document.find(path)
            if raw is None:
                continue
            self._unseen.discard(name)
            total = number_of(raw)
            if name not in ("more", "last") and total is not None:
                # rows may come and go while they are read
                self._totals[name] = min(total, self._totals.get(name, total))
        if self._header and self._header in page.headers:
            self._unseen.discard("cursor_header")

    def against(self, walk: Walk, *, is_said: bool) -> str:
        """Return what speaks against the end of a walk; empty text for nothing.

        `is_said`: the API itself says that this was all, so that a header for the next page is on none.
        """
        came = _came(walk, walk.pages)
        for name, total in self._totals.items():
            if came.lacks(total) if name == "total" else total > walk.pages:
                what, read = ("records", walk.items) if name == "total" else ("pages", walk.pages)
                return f'"{self._paths[name]}" in the response says {total:,} {what}, but {read:,} were read'
        for name in sorted(self._unseen if walk.items else ()):
            if name == "cursor_header" and (is_said or "total" in self._totals):
                continue
            where = "header" if name == "cursor_header" else "path"
            path = self._paths.get(name) or self._header
            return f'"{path}" is on no page: check the {where} in {name}: of the paginator'
        return ""


class Proof:
    """Keeps of all pages what reports whether they are all; at the path `at_end` only the last one has a value.

    `has_body`: they were asked for with a body, which may limit them on purpose, as parameters may.
    """

    def __init__(self, model: Paginator, at_end: str | None = None, *, has_body: bool = False) -> None:
        self._model = model
        self._at_end = at_end
        self._has_body = has_body
        self._first: Signs | None = None
        self._last: tuple[Ask, Page] | None = None
        self._with_path = 0
        self._cut = self._lacks = ""
        self._declared = Declared(model)

    def see(self, asked: Ask, page: Page) -> None:
        """Take a page into account."""
        # of the first page what it says is kept, and not its records
        self._first = self._first or signs_of(page.document, page.records_path)
        self._last = asked, page
        self._declared.see(page)
        # where pages are of the records within, only the last of them says what is missing
        self._cut = page.cut if page.around is None else self._cut or page.cut
        self._lacks = self._lacks or says_incomplete(page.document, page.records_path)
        path = path_of(self._model)
        if path is not None and page.document.keys is not None and page.document.find(path) is not None:
            self._with_path += 1

    def of_end(self, walk: Walk, params: Mapping[str, object], incomplete: Literal["fail", "warn"]) -> Verdict:
        """Return the verdict on the end of a walk that was made with these parameters."""
        if self._first is None or self._last is None:
            return Verdict()
        asked, last = self._last
        signs, came = self._signs(last, walk), _came(walk, walk.fresh)
        over = _is_said(self._model, last, walk) or (signs.more is not None and not signs.more[1])
        against = self._declared.against(walk, is_said=over) or contradiction(
            self._model, _sent(asked, params), self._first, signs, last, came
        )
        against = against or self._cut or self._lacks
        is_alone = isinstance(self._model, SinglePage)
        counted = by_headers(last, signs, came) if is_alone and not against else ""
        # parameters may limit what comes on purpose, and a header may count more than they ask for
        against = against or ("" if params or self._has_body else counted)
        is_last = self._at_end is not None and last.document.find(self._at_end) is not None
        # some APIs leave the cursor out where there is one page, and say that it is all
        nowhere = "" if is_last or over else never_there(self._model, self._with_path, walk.items)
        full = full_by(params, last.items) if nowhere or against else ""
        if against or (nowhere and full):
            text = against or f"{nowhere}; the page is full, according to {full}"
            hint = "check paginator: and records:; if the response is wrong, incomplete: warn loads what was read"
            return Verdict(text, hint, incomplete == "fail")
        cursor = looks_like_cursor(last, _texts(params)) if is_alone and not is_last and not over else ""
        return Verdict(nowhere or counted or cursor)

    def _signs(self, last: Page, walk: Walk) -> Signs:
        """Return what the last answer says; where it is the only one and its paginator found nothing, in more words."""
        aside = (self._at_end or "").replace("\\.", ".")
        signs = signs_of(last.document, last.records_path, aside)
        counts = isinstance(self._model, OffsetPaginator | PageNumberPaginator)
        if counts or self._with_path or walk.pages > 1:
            return signs
        return with_alone(signs, last.document, last.records_path, aside)


def _sent(asked: Ask, params: Mapping[str, object]) -> set[str]:
    return {*map(str, asked.params.values()), *_texts(params), asked.link or ""}


def _texts(params: Mapping[str, object]) -> list[str]:
    return [value for value in params.values() if isinstance(value, str) and not value.isdecimal()]


def _came(walk: Walk, pages: int) -> Came:
    return Came(walk.rows, walk.items, pages)


def _is_said(model: Paginator, last: Page, walk: Walk) -> bool:
    """Whether the API itself says that the last page was the last."""
    declared = isinstance(model, Paged) and says_end(model, last, walk.items, walk.pages)
    return declared or says_complete(last, walk.items)
