"""What counts against one page that came alone, where a paginator of another kind, or none, has not led further.

These names are those of services that are known for them, each with the kind of value that it has there. Elsewhere they
may be data, so that none is heard where a paginator finds its own end, or where the whole answer is one record.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, UnreadableAnswerError, first_byte, keys_of
from elt_factory.sources.rest_api.paginators import Page, next_of
from elt_factory.sources.rest_api.signs import MORE, Came, Signs, count, plain, said, text_of

_FLAGS = frozenset({"hasmoredata", "morerecords", "moreresult", "moreitemsincollection", "exceededtransferlimit"})
_LAST = "endofstream"
_TOTAL = frozenset({"numbermatched", "nbhits", "totalsetsize"})
_PAGES = frozenset({"totalpage", "nbpages"})
_LINKS = frozenset({"nextrecordsurl", "nextpageuri", "nexturi", "nextpagelink"})
_TOKENS = frozenset({"nextmarker", "nextoffset", "nextcontinuationtoken", "paginationtoken", "lastevaluatedkey"})
_NEXT = frozenset({"next", "nextpage"})
# what an object named next has, where it has no `href`
_ADDRESSES = frozenset({"link", "url", "uri", "path"})
_CURSORS = frozenset({"after", "cursor", "startingafter", "offset"})
# objects that may be of something else than pages: only flags and links in them count, and `starting_after`
_ABOUT = frozenset({"searchmetadata", "additionaldata", "info", "pages"})
# names of cursors that some APIs send on the last page, too
_LOOK_LIKE = frozenset({"cursor", "after", "aftercursor", "endcursor", "bookmark", "marker", "offset"})
_TOTAL_HEADERS = ("x-total-count", "x-total", "x-wp-total")


def with_alone(signs: Signs, document: Document, records: str | None, aside: str | None = None) -> Signs:
    """Return what an answer says of the pages, and what it says as only some services do.

    `aside` is the path of what is not a way to another page: the table's own token.
    """
    found: dict[str, tuple[str, object]] = {}
    for path, raw in said(document, records, _ABOUT) if records or document.keys is None else ():
        kind_and_value = None if path == aside else _sign(path, raw)
        if kind_and_value is not None:
            found.setdefault(kind_and_value[0], (path, kind_and_value[1]))
    both = {field.name: getattr(signs, field.name) or found.get(field.name) for field in fields(Signs)}
    return Signs(**both)  # type: ignore[arg-type]


def _sign(path: str, raw: Raw) -> tuple[str, object] | None:
    *above, name = map(plain, path.split("."))
    elsewhere = not _ABOUT.isdisjoint(above)
    start = first_byte(raw)
    if start in b"tf":
        is_true = bytes(raw) == b"true"
        flags = _FLAGS | MORE if elsewhere else _FLAGS
        return ("more", is_true) if name in flags else ("more", not is_true) if name == _LAST else None
    if start.isdigit() and not elsewhere:
        kind = "total" if name in _TOTAL else "pages" if name in _PAGES else ""
        return (kind, number) if kind and (number := count(raw)) is not None else None
    target = _target(name, above[-1:], raw, elsewhere=elsewhere)
    return ("following", target) if target else None


def _target(name: str, above: Collection[str], raw: Raw, *, elsewhere: bool) -> str:
    start = first_byte(raw)
    if start == b"[":
        return _in_list(raw) if name in ("link", "links") and not elsewhere else ""
    if start == b"{":
        return _in_object(name, above, raw, elsewhere=elsewhere)
    text = text_of(raw)
    is_token = name in _TOKENS or (name == "continue" and "metadata" in above)
    if name in _LINKS or (elsewhere and name in _NEXT) or (name == "nextresults" and "searchmetadata" in above):
        return text if _is_link(text) else ""
    # a number may be where this page has ended
    is_number = name == "nextoffset" and text.isdecimal()
    return text if is_token and not elsewhere and not is_number else ""


def _in_list(raw: Raw) -> str:
    try:
        return text_of(next_of(raw))
    except UnreadableAnswerError:
        return ""


def _in_object(name: str, above: Collection[str], raw: Raw, *, elsewhere: bool) -> str:
    """Return the cursor or address in an object named next, MediaWiki's `continue` or DynamoDB's last key."""
    keys = {plain(key): value for key, value in (keys_of(raw) or {}).items()}
    if name in _NEXT and "href" not in keys:
        known = {"startingafter"} if elsewhere else _CURSORS
        cursors = (text_of(value) for key, value in keys.items() if key in known)
        links = (text for key, value in keys.items() if key in _ADDRESSES and _is_link(text := text_of(value)))
        return next(filter(None, (*cursors, *links)), "")
    if name == "continue" and not above:
        return text_of(keys.get("continue", Raw(b"")))
    return bytes(raw).decode() if name == "lastevaluatedkey" and keys and not elsewhere else ""


def _is_link(text: str) -> bool:
    return text.startswith(("http://", "https://", "/", "?"))


def looks_like_cursor(page: Page, sent: Collection[str]) -> str:
    """Return the remark on what looks like a cursor where pages are not followed; empty text where nothing does.

    `sent` are the values of the request's parameters, which some APIs repeat.
    """
    is_record = page.records_path is None and page.document.keys is not None
    for path, raw in said(page.document, page.records_path) if page.items and not is_record else ():
        value = text_of(raw) if plain(path) in _LOOK_LIKE else ""
        if value and not value.isdecimal() and value not in sent:
            return f'"{path}" in the response looks like a cursor, and only one page was read: check paginator:'
    return ""


def by_headers(page: Page, signs: Signs, came: Came) -> str:
    """Return what a header says of more records than came in the list of one page; empty text where none does."""
    found = page.document.find(page.records_path) if page.records_path else None
    is_list = page.document.keys is None if found is None else first_byte(found) == b"["
    if not is_list or page.around is not None or signs.total or signs.more or came.pages > 1:
        return ""
    said_by = [(name, count(Raw(page.headers.get(name, "").encode()))) for name in _TOTAL_HEADERS]
    total = min(((number, name) for name, number in said_by if number is not None), default=None)
    if total and came.lacks(total[0]):
        return f'"{total[1]}" in the response says {total[0]:,} records, but {came.items:,} were read'
    return ""
