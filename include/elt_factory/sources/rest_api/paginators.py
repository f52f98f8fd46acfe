"""How the next page is found: pure functions from what was asked and what came back to what to ask next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import (
    Document,
    UnreadableAnswerError,
    find_in,
    first_byte,
    has_breaks,
    items_of,
    keys_of,
    ndjson,
)
from elt_factory.sources.rest_api.paging_model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    Paged,
    PageNumberPaginator,
    Paginator,
    SinglePage,
)
from elt_factory.sources.rest_api.repeats import Prints

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))?)*)")
_PIECE = 5000
_SHOWN = 80
_MOST_DIGITS = 18
_NO_MORE = (b"false", b"null", b'"false"', b"0", b'""')
# some APIs end with a cursor of zero
_NO_CURSOR = (b"null", b"false", b'""', b"0", b'"0"', b"[]", b"{}")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]*))", re.IGNORECASE)


class Json(str):
    """A cursor that is a list or an object: a body has it as it came."""

    __slots__ = ()


@dataclass(frozen=True)
class Ask:
    """One request: query parameters on top of the table's own, or a whole address in place of path and parameters."""

    params: Mapping[str, str | int] = field(default_factory=dict)
    link: str | None = None

    @property
    def key(self) -> int:
        """Two requests for the same have the same key."""
        return hash((self.link, *self.params.items()))


@dataclass(frozen=True)
class Page:
    """What came back: the answer, its headers (names in any case), its records and where they were in it.

    `around` are the elements that the records are in, where the path goes through them by `[*]`: pages are of those.
    `cut` is what one of them says of more records in it than came.
    """

    document: Document
    headers: Mapping[str, str]
    found: Sequence[Raw]
    records_path: str | None = None
    around: Sequence[Raw] | None = None
    cut: str = ""

    @cached_property
    def prints(self) -> Prints:
        """The hashes of its items."""
        return Prints.of(self.paged)

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.found)

    @property
    def paged(self) -> Sequence[Raw]:
        """What the API has put on this page: its records, or what they are in."""
        return self.found if self.around is None else self.around

    @property
    def items(self) -> int:
        """How many there are of what the API counts, and asks for by number or offset."""
        return len(self.paged)

    def pieces(self) -> Iterator[bytes]:
        """Yield the records as NDJSON, a few thousand at a time: a large page is not copied as a whole."""
        # what was added to the records has no line breaks either
        unbroken = not has_breaks(self.document.body)
        for start in range(0, len(self.found), _PIECE):
            yield ndjson(self.found[start : start + _PIECE], unbroken=unbroken)

    @property
    def lines(self) -> bytes:
        """The records as NDJSON."""
        return ndjson(self.found)


def first(model: Paginator) -> Ask:
    """Return the request that begins the pages."""
    match model:
        case OffsetPaginator():
            return Ask({model.offset_param: model.first_offset, model.limit_param: model.limit})
        case PageNumberPaginator():
            return Ask({model.page_param: model.first_page})
        case _:
            return Ask()


def is_wrapped(model: Paginator, page: Page) -> bool:
    """Whether pages are of the records themselves, by the first page: what is around them is one thing, or groups them.

    `reports[*].rows` of one report is such a list, and so is `days[*].orders` whose orders are as many as the limit.
    """
    if page.around is None or not page.records:
        return False
    limit = model.limit if isinstance(model, OffsetPaginator) else None
    return page.items != limit and (page.items == 1 or page.records == limit)


def following(model: Paginator, asked: Ask, page: Page, items: int = 0, pages: int = 1) -> Ask | None:
    """Return the request after this page, or None when it was the last.

    `items` are those of all pages up to this one, `pages` how many there were.

    Raises:
        UnreadableAnswerError: the answer cannot hold what the paginator looks for.
    """
    if isinstance(model, SinglePage):
        return None
    over = says_end(model, page, items, pages)
    if over:
        return None
    # a server may cap its pages below our limit: only an empty page is past the last, if no total says otherwise
    counted = isinstance(model, OffsetPaginator | PageNumberPaginator)
    return None if counted and over is None and not page.items else _next(model, asked, page)


def says_end(model: Paged, page: Page, items: int, pages: int) -> bool | None:
    """Whether an answer says that this was the last page, by what the paginator names; None where it says nothing."""
    find = page.document.find
    if (goes_on := says_more(model, page)) is not None:
        return not goes_on
    # records may come on two pages, so that a total is reached before the last one: a cursor that is there is followed
    counts = isinstance(model, OffsetPaginator | PageNumberPaginator)
    if counts and model.total and (total := number_of(find(model.total))) is not None:
        return items >= total
    if model.total_pages and (total := number_of(find(model.total_pages))) is not None:
        return pages >= total
    return None


def says_more(model: Paged, page: Page) -> bool | None:
    """Whether an answer says by `more` or `last` that more pages follow; None where it says nothing."""
    path = model.more or model.last
    raw = page.document.find(path) if path else None
    return None if raw is None else (bytes(raw) in _NO_MORE) == (model.more is None)


def number_of(raw: Raw | None) -> int | None:
    """Return a count in an answer, also one in quotes; None where there is none."""
    text = bytes(raw).strip(b'"') if raw is not None else b""
    return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS else None


def _next(model: Paginator, asked: Ask, page: Page) -> Ask | None:
    match model:
        case CursorPaginator():
            cursor = _cursor(model, page)
            return Ask({model.cursor_param: cursor}) if cursor != "" else None
        case JsonLinkPaginator():
            link = _link(page.document, model.next_url_path)
            return Ask(link=link) if link else None
        case HeaderLinkPaginator():
            return by_header(model, page.headers)
        case OffsetPaginator():
            offset = int(asked.params[model.offset_param]) + (page.items or model.limit)
            return Ask({**asked.params, model.offset_param: offset})
        case PageNumberPaginator():
            return Ask({model.page_param: int(asked.params[model.page_param]) + 1})
    return None


def by_header(model: Paginator, headers: Mapping[str, str]) -> Ask | None:
    """Return the request that the headers of a response lead to, or None at the end."""
    if isinstance(model, HeaderLinkPaginator):
        target = link_with(headers.get("link", ""), model.rel)
        return Ask(link=target) if target else None
    if isinstance(model, CursorPaginator) and (cursor := _cursor_in(headers, model)):
        return Ask({model.cursor_param: cursor})
    return None


def _cursor_in(headers: Mapping[str, str], model: CursorPaginator) -> str:
    cursor = headers.get((model.cursor_header or "").lower(), "")
    return "" if cursor == "null" else cursor


def _cursor(model: CursorPaginator, page: Page) -> str | int:
    if model.cursor_header:
        return _cursor_in(page.headers, model)
    sent = _in_body if model.place == "body" else _plain
    if model.cursor_record is None:
        raw = _cursor_at(page.document, model.cursor_path)
        return "" if raw is None else sent(raw, model.cursor_path)
    if not page.items:
        return ""
    # of records within what is paged, the cursor is that of the latter; a group of records may have none
    ends = [page.paged[-1], *page.found[-1:]]
    raw = next((raw for end in ends if (raw := find_in(end, model.cursor_record)) is not None), None)
    if raw is None:
        raise UnreadableAnswerError(f'the last record has no "{model.cursor_record}" (cursor_record of the paginator)')
    return sent(raw, model.cursor_record)


def link_with(header: str, rel: str) -> str | None:
    """Return the address in a `Link` header (RFC 8288) that has a relation; None where there is none."""
    for address, params in _LINK.findall(header):
        found = _REL.search(params)
        if found and rel.lower() in (found[1] or found[2] or "").lower().split():
            return str(address)
    return None


def next_of(links: Raw) -> Raw:
    """Return the address in a list of links whose relation is `next`, as FHIR has it; null where none is."""
    for keys in filter(None, map(keys_of, items_of(links))):
        relation = bytes(keys.get("rel", keys.get("relation", Raw(b""))))
        if relation.lower() == b'"next"':
            return next((keys[name] for name in ("href", "url", "uri") if name in keys), Raw(b"null"))
    return Raw(b"null")


def _link(document: Document, path: str) -> str:
    raw = document.find(path)
    if raw is None or first_byte(raw) != b"[":
        return str(text_at(document, path))
    address = next_of(raw)
    return str(_plain(address, path)) if first_byte(address) == b'"' else ""


def told(asked: Ask) -> str:
    """Return a request in a message: its cursor or number, a link without its query."""
    if asked.link is not None:
        return f"the link {asked.link.partition('?')[0]}"
    return ", ".join(f"{name}={value}" for name, value in asked.params.items()) or "the first page"


def text_at(document: Document, path: str) -> str | int:
    """Return the cursor or link at a path; empty text where there is none."""
    raw = _cursor_at(document, path)
    return "" if raw is None else _plain(raw, path)


def _cursor_at(document: Document, path: str) -> Raw | None:
    if document.keys is None:
        raise UnreadableAnswerError(f'the response is a list, so it has no "{path}": check the paginator')
    raw = document.find(path)
    return None if raw is None or bytes(raw) in _NO_CURSOR else raw


def _in_body(raw: Raw, path: str) -> str | int:
    """Return a cursor that may be a list or an object, as that of Elasticsearch's `search_after`."""
    return Json(bytes(raw).decode()) if first_byte(raw) in (b"[", b"{") else _plain(raw, path)


def _plain(raw: Raw, path: str) -> str | int:
    """Return a text or number: in a body the two are not the same."""
    if first_byte(raw) == b'"':
        return msgspec.json.decode(raw, type=str)
    text = bytes(raw).decode()
    if first_byte(raw) in b"{[tfn":
        raise UnreadableAnswerError(f'"{path}" holds {text[:_SHOWN]}, which is neither a cursor nor a link')
    return int(text) if text.lstrip("-").isdecimal() else text
