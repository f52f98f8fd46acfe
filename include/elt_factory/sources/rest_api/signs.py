"""What an answer says about the end of the pages: has_more, totals, a next link. The end is checked against that."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, UnreadableAnswerError, first_byte, keys_of, steps
from elt_factory.sources.rest_api.paginators import Page, link_with
from elt_factory.sources.rest_api.paging_model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)

# names without signs and in small letters
MORE = frozenset(
    {
        "hasmore",
        "hasnext",
        "hasnextpage",
        "more",
        "moreresults",
        "moreavailable",
        "hasmoreitems",
        "hasmorepages",
        "hasmoreresults",
        "hasmorerecords",
        "morepages",
        "istruncated",
        "truncated",
    }
)
_LAST = frozenset({"last", "islast", "lastpage", "islastpage"})
_TOTAL = frozenset(
    {
        "total",
        "totalcount",
        "totalresults",
        "totalrecords",
        "totalitems",
        "totalelements",
        "totalrows",
        "totalhits",
        "odatacount",
        "numfound",
    }
)
_PAGES = frozenset({"totalpages", "pagecount", "pagestotal", "numpages", "numberofpages", "lastpage", "pages"})
_NEXT = frozenset(
    {
        "next",
        "nexturl",
        "nextpage",
        "nextpageurl",
        "nextlink",
        "nexthref",
        "nextcursor",
        "nextpagetoken",
        "nexttoken",
        "continuationtoken",
        "odatanextlink",
    }
)
# objects of an answer that speak of the pages
_ABOUT = frozenset(
    {
        "meta",
        "metadata",
        "pagination",
        "paging",
        "page",
        "pager",
        "pageinfo",
        "links",
        "cursor",
        "cursors",
        "responsemetadata",
        "paginginfo",
        "paginationinfo",
        "resultinfo",
    }
)
SIZES = frozenset(
    {
        "limit",
        "perpage",
        "pagesize",
        "size",
        "maxresults",
        "top",
        "first",
        "take",
        "pagelimit",
        "maxrecords",
    }
)
_DEPTH = 4
_MOST_DIGITS = 18
_MOST_PLACES = 10
_SIGNS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class Signs:
    """What an answer says: each with the name it says it by."""

    more: tuple[str, bool] | None = None
    total: tuple[str, int] | None = None
    least: tuple[str, int] | None = None
    pages: tuple[str, int] | None = None
    following: tuple[str, str] | None = None


@dataclass(frozen=True)
class Came:
    """What was read: records, the items that the API counts (the records, or what they are in), and pages."""

    rows: int
    items: int
    pages: int

    def lacks(self, total: int) -> bool:
        """Whether a total is of more than came; one of the records in the items is a total, too."""
        return total > self.items and total != self.rows


def signs_of(document: Document, records: str | None, aside: str | None = None) -> Signs:
    """Return what an answer says of the pages: at its top, around its records, and in objects that speak of pages.

    `aside` is the path of what is not a way to another page: the table's own token.
    """
    found: dict[str, tuple[str, object]] = {}
    for path, raw in said(document, records):
        kind_and_value = None if path == aside else sign(plain(path), raw)
        if kind_and_value is not None:
            kind, value = kind_and_value
            found.setdefault(kind, (path, value))
    # an object that is itself the record may have a total of its own
    allowed = ("more", "following") if records is None else ("more", "total", "least", "pages", "following")
    return Signs(**{kind: found[kind] for kind in allowed if kind in found})  # type: ignore[arg-type]


def says_complete(page: Page, items: int) -> bool:
    """Whether an answer says that no more is to come than that many items."""
    signs = signs_of(page.document, page.records_path)
    if signs.more is not None:
        return not signs.more[1]
    return signs.total is not None and signs.total[1] <= items


def says_last(page: Page) -> bool | None:
    """Whether an answer says, as by `has_more`, that it is the last; None where it says nothing of the kind."""
    more = signs_of(page.document, page.records_path).more
    return None if more is None else not more[1]


def contradiction(model: Paginator, sent: Collection[str], early: Signs, late: Signs, last: Page, came: Came) -> str:
    """Return what the first and the last answer say against the end of the pages; empty text where they say nothing.

    `sent` are values of the last request: an answer that repeats one does not lead to another page by it.
    """
    if late.more is not None and late.more[1]:
        return f'the pages ended, but "{late.more[0]}" in the last response says there are more'
    # rows may come and go while they are read
    totals = [found for signs in (early, late) for found in (signs.total, signs.least) if found]
    total = min(totals, key=lambda found: found[1], default=None)
    if total and came.lacks(total[1]):
        return f'"{total[0]}" in the response says {total[1]:,} records, but {came.items:,} were read'
    number = min((signs.pages for signs in (early, late) if signs.pages), key=lambda found: found[1], default=None)
    if number and number[1] > came.pages:
        return f'"{number[0]}" in the response says {number[1]:,} pages, but {came.pages:,} were read'
    if late.more is not None or isinstance(model, OffsetPaginator | PageNumberPaginator):
        return ""
    return _another_way_on(model, sent, last, late)


def _another_way_on(model: Paginator, sent: Collection[str], last: Page, signs: Signs) -> str:
    own = (path_of(model) or "").replace("\\.", ".")
    is_own = signs.following is not None and f"{own}.".startswith(f"{signs.following[0]}.")
    if signs.following and not is_own and signs.following[1] not in sent:
        return (
            f'the pages ended, but "{signs.following[0]}" in the last response points to another page: check paginator:'
        )
    if not isinstance(model, HeaderLinkPaginator) and link_with(last.headers.get("link", ""), "next"):
        return "the pages ended, but the last response's Link header points to another page: use paginator: header_link"
    return ""


def never_there(model: Paginator, pages_with_path: int, items: int) -> str:
    """Return the remark on a cursor or link whose place is on no page; empty text where it was on one, or has none."""
    path = path_of(model)
    if path is None or pages_with_path or not items:
        return ""
    return f'"{path}" is on no page, so only the first page was read: check the path in paginator:'


def path_of(model: Paginator) -> str | None:
    """Where a paginator looks in the answer."""
    if isinstance(model, CursorPaginator):
        return None if model.cursor_header or model.cursor_record else model.cursor_path
    return model.next_url_path if isinstance(model, JsonLinkPaginator) else None


def full_by(params: Mapping[str, object], items: int) -> str:
    """Return the parameter by which a page of that many items is full, as in `limit=100`; empty text for none."""
    for name, value in params.items():
        if plain(name) in SIZES and str(value) == str(items):
            return f"{name}={value}"
    return ""


def said(document: Document, records: str | None, also: Collection[str] = ()) -> Iterator[tuple[str, Raw]]:
    """Yield what an answer says outside of its records, by its paths; `also` are more names of objects to look into."""
    way = steps(records) if records else []
    if document.keys is not None:
        yield from about(document.keys, way, "", also=also)
    elif way:
        # records at a place in a list: what is next to them
        for place, raw in enumerate(document.items(document.body)[:_MOST_PLACES]):
            below = way[1:] if str(place) == way[0] else ()
            if below or str(place) != way[0]:
                yield from about(_keys(raw), below, f"{place}.", also=also)


def about(
    keys: Mapping[str, Raw], way: Sequence[str], above: str, depth: int = 0, also: Collection[str] = ()
) -> Iterator[tuple[str, Raw]]:
    """Yield the values of an object, of objects on a way in it, and of those that speak of pages, by their paths.

    What the way leads to is data, also where it is an object.
    """
    for name, raw in keys.items():
        on_the_way = bool(way) and name == way[0]
        if on_the_way and len(way) == 1:
            continue
        speaks = on_the_way or plain(name) in _ABOUT or plain(name) in also
        if first_byte(raw) == b"{" and depth < _DEPTH and speaks:
            yield from about(_keys(raw), way[1:] if on_the_way else (), f"{above}{name}.", depth + 1, also)
        yield f"{above}{name}", raw


def _keys(raw: Raw) -> Mapping[str, Raw]:
    try:
        return keys_of(raw) or {}
    except UnreadableAnswerError:
        return {}


def sign(name: str, raw: Raw) -> tuple[str, object] | None:
    """Return what a value says of the end of pages, by its plain name: the kind of sign and its value."""
    start = first_byte(raw)
    if start in b"tf":
        is_true = bytes(raw) == b"true"
        if name in MORE:
            return "more", is_true
        return ("more", not is_true) if name in _LAST else None
    if name in _NEXT:
        target = _target(raw)
        return ("following", target) if target else None
    if name in _TOTAL and start == b"{":
        return _total_in(raw)
    if name in _TOTAL | _PAGES and (number := count(raw)) is not None:
        return ("total" if name in _TOTAL else "pages"), number
    return None


def count(raw: Raw) -> int | None:
    """Return a whole number, which may be written as `57.0`; None for all else, also for one in quotes."""
    text = bytes(raw)
    if text.isdigit():
        return int(text) if len(text) <= _MOST_DIGITS else None
    number = float(text) if first_byte(raw).isdigit() else 0.5
    return int(number) if number.is_integer() else None


def _total_in(raw: Raw) -> tuple[str, object] | None:
    """Return a total that is an object, as Elasticsearch has it: its `relation` says whether there may be more."""
    keys = _keys(raw)
    value, is_exact = count(keys.get("value", Raw(b""))), bytes(keys.get("relation", Raw(b'"eq"'))) == b'"eq"'
    return None if value is None else ("total" if is_exact else "least", value)


def _target(raw: Raw) -> str:
    """Return the cursor or address that a key named next holds, also as `{"href": ...}`."""
    if first_byte(raw) == b"{":
        raw = _keys(raw).get("href") or Raw(b"null")
    if first_byte(raw) == b'"':
        return text_of(raw)
    text = bytes(raw).decode()
    return text if text.isdecimal() and text != "0" else ""


def text_of(raw: Raw) -> str:
    """Return a text; empty text for all else, and for one that is not JSON."""
    try:
        return msgspec.json.decode(raw, type=str) if first_byte(raw) == b'"' else ""
    except (msgspec.DecodeError, UnicodeError):
        return ""


def plain(path: str) -> str:
    """Return the last name of a path in small letters, without signs."""
    return _SIGNS.sub("", path.rsplit(".", 1)[-1].lower()) if not path.startswith("@") else _SIGNS.sub("", path.lower())
