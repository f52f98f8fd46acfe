"""How the next page is found: pure functions from what was asked and what came back to what to ask next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, UnreadableAnswerError, first_byte, ndjson
from elt_factory.sources.rest_api.paging_model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePage,
)

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))?)*)")
_PIECE = 5000
# some APIs end with a cursor of zero
_NO_CURSOR = (b"null", b"false", b'""', b"0", b'"0"')
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]*))", re.IGNORECASE)


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
    """What came back: the answer, its headers (names in any case), its records and where they were in it."""

    document: Document
    headers: Mapping[str, str]
    found: Sequence[Raw]
    records_path: str | None = None

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.found)

    def pieces(self) -> Iterator[bytes]:
        """Yield the records as NDJSON, a few thousand at a time: a large page is not copied as a whole."""
        for start in range(0, len(self.found), _PIECE):
            yield ndjson(self.found[start : start + _PIECE])

    @property
    def lines(self) -> bytes:
        """The records as NDJSON."""
        return ndjson(self.found)


def first(model: Paginator) -> Ask:
    """Return the request that begins the pages."""
    match model:
        case OffsetPaginator():
            return Ask({model.offset_param: 0, model.limit_param: model.limit})
        case PageNumberPaginator():
            return Ask({model.page_param: model.first_page})
        case _:
            return Ask()


def following(model: Paginator, asked: Ask, page: Page) -> Ask | None:
    """Return the request after this page, or None when it was the last.

    Raises:
        UnreadableAnswerError: the answer cannot hold what the paginator looks for.
    """
    match model:
        case SinglePage():
            return None
        case CursorPaginator():
            cursor = _text_at(page.document, model.cursor_path)
            return Ask({model.cursor_param: cursor}) if cursor else None
        case JsonLinkPaginator():
            link = _text_at(page.document, model.next_url_path)
            return Ask(link=link) if link else None
        case HeaderLinkPaginator():
            target = link_with(page.headers.get("link", ""), model.rel)
            return Ask(link=target) if target else None
        case OffsetPaginator():
            offset = int(asked.params[model.offset_param]) + page.records
            following_ask = Ask({**asked.params, model.offset_param: offset})
            # a server may cap its pages below our limit: only an empty page is past the last
            return following_ask if page.records else None
        case PageNumberPaginator():
            number = int(asked.params[model.page_param]) + 1
            return Ask({model.page_param: number}) if page.records else None


def link_with(header: str, rel: str) -> str | None:
    """Return the address in a `Link` header (RFC 8288) that has a relation; None where there is none."""
    for address, params in _LINK.findall(header):
        found = _REL.search(params)
        if found and rel.lower() in (found[1] or found[2] or "").lower().split():
            return str(address)
    return None


def told(asked: Ask) -> str:
    """Return a request in a message: its cursor or number, a link without its query."""
    if asked.link is not None:
        return f"the link {asked.link.partition('?')[0]}"
    return ", ".join(f"{name}={value}" for name, value in asked.params.items()) or "the first page"


def _text_at(document: Document, path: str) -> str:
    """Return the cursor or link at a path; empty text where there is none."""
    if document.keys is None:
        raise UnreadableAnswerError(f'the response is a list, so it has no "{path}": check the paginator')
    raw = document.find(path)
    if raw is None or bytes(raw) in _NO_CURSOR:
        return ""
    if first_byte(raw) == b'"':
        return msgspec.json.decode(raw, type=str)
    if first_byte(raw) in b"{[t":
        raise UnreadableAnswerError(f'"{path}" holds {bytes(raw).decode()}, which is neither a cursor nor a link')
    return bytes(raw).decode()
