"""What an answer says about the end of the pages: has_more, totals, a next link. The end is checked against that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, first_byte, keys_of, steps
from elt_factory.sources.rest_api.paginators import Ask, Page, link_with, next_of, number_of
from elt_factory.sources.rest_api.paging_model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePage,
)

# names without signs and in small letters
_MORE = frozenset(
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
        "hasmoredata",
        "morepages",
        "morerecords",
        "moreresult",
        "moreitemsincollection",
        "exceededtransferlimit",
        "istruncated",
        "truncated",
    }
)
_LAST = frozenset({"last", "islast", "lastpage", "islastpage", "endofstream"})
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
        "totalnumber",
        "totalsetsize",
        "odatacount",
        "numfound",
        "numbermatched",
        "nbhits",
    }
)
_PAGES = frozenset(
    {"totalpages", "totalpage", "pagecount", "pagestotal", "numpages", "nbpages", "numberofpages", "lastpage", "pages"}
)
_NEXT = re.compile(
    r"(odata)?next((page|results?|records?|continuation)?(url|uri|link|href|path|token|cursor|marker)|page|results)?|"
    r"continue|(continuation|pagination)token|lastevaluatedkey"
)
# what these hold is the place of the next page only as a text: as a number, it may be where this one has ended
_NEXT_TEXT = frozenset({"nextoffset", "nextstart"})
_LINKS = frozenset({"link", "links"})
# names of cursors that some APIs send on the last page, too
_CURSORS = frozenset({"cursor", "after", "aftercursor", "endcursor", "bookmark", "marker", "offset"})
_TOTAL_HEADERS = ("x-total-count", "x-total", "x-wp-total")
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
        "searchmetadata",
        "additionaldata",
        "info",
        "pages",
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


def signs_of(document: Document, records: str | None) -> Signs:
    """Return what an answer says of the pages: at its top, around its records, and in objects that speak of pages."""
    found: dict[str, tuple[str, object]] = {}
    # `total_transactions` next to `transactions`
    of_records = f"total{plain(records)}" if records else ""
    for path, raw in _said(document, records):
        name = plain(path)
        kind_and_value = sign("total" if name == of_records else name, raw)
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


def contradiction(model: Paginator, asked: Ask, early: Signs, last: Page, came: Came) -> str:
    """Return what the first and the last answer say against the end of the pages; empty text where they say nothing."""
    late = signs_of(last.document, last.records_path)
    if late.more is not None and late.more[1]:
        return f'the pages ended, but "{late.more[0]}" in the last response says there are more'
    # rows may come and go while they are read
    totals = [said for signs in (early, late) for said in (signs.total, signs.least) if said] + _in_headers(last)
    total = min(totals, key=lambda said: said[1], default=None)
    if total and came.lacks(total[1]):
        return f'"{total[0]}" in the response says {total[1]:,} records, but {came.items:,} were read'
    number = min((signs.pages for signs in (early, late) if signs.pages), key=lambda said: said[1], default=None)
    if number and number[1] > came.pages:
        return f'"{number[0]}" in the response says {number[1]:,} pages, but {came.pages:,} were read'
    if late.more is not None or isinstance(model, OffsetPaginator | PageNumberPaginator):
        return ""
    return _another_way_on(model, asked, last, late)


def _in_headers(page: Page) -> list[tuple[str, int]]:
    """Return the totals that headers say; those of an object that is itself the record are of something else."""
    is_list = page.document.keys is None or page.records_path is not None
    said = [(name, page.headers.get(name, "")) for name in _TOTAL_HEADERS] if is_list else []
    return [(name, int(value)) for name, value in said if value.isdecimal()]


def _another_way_on(model: Paginator, asked: Ask, last: Page, signs: Signs) -> str:
    own = (path_of(model) or "").replace("\\.", ".")
    is_own = signs.following is not None and f"{own}.".startswith(f"{signs.following[0]}.")
    if signs.following and not is_own and signs.following[1] not in _asked_for(asked):
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


def not_sent(model: Paginator, page: Page) -> str:
    """Return the remark on what looks like a cursor where pages are not followed; empty text where nothing does."""
    if not isinstance(model, SinglePage) or not page.items:
        return ""
    for path, raw in _said(page.document, page.records_path):
        value = _target(raw) if plain(path) in _CURSORS and first_byte(raw) == b'"' else ""
        if value and not value.isdecimal():
            return f'"{path}" in the response looks like a cursor, and only one page was read: check paginator:'
    return ""


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


def _said(document: Document, records: str | None) -> Iterator[tuple[str, Raw]]:
    way = steps(records) if records else []
    yield from about(document.keys or {}, way, "", 0)


def about(keys: Mapping[str, Raw], way: Sequence[str], above: str, depth: int = 0) -> Iterator[tuple[str, Raw]]:
    """Yield the values of an object, of objects on a way in it, and of those that speak of pages, by their paths."""
    for name, raw in keys.items():
        on_the_way = bool(way) and name == way[0]
        if first_byte(raw) == b"{" and depth < _DEPTH and (on_the_way or plain(name) in _ABOUT):
            yield from about(keys_of(raw) or {}, way[1:] if on_the_way else (), f"{above}{name}.", depth + 1)
        yield f"{above}{name}", raw


def sign(name: str, raw: Raw) -> tuple[str, object] | None:
    """Return what a value says of the end of pages, by its plain name: the kind of sign and its value."""
    start = first_byte(raw)
    if start in b"tf":
        said = bytes(raw) == b"true"
        if name in _MORE:
            return "more", said
        return ("more", not said) if name in _LAST else None
    if name in _TOTAL and start == b"{":
        return _total_in(raw)
    if name in _TOTAL | _PAGES and (number := _count(raw)) is not None:
        return ("total" if name in _TOTAL else "pages"), number
    return _following(name, raw)


def _count(raw: Raw) -> int | None:
    return int(float(bytes(raw))) if first_byte(raw).isdigit() else number_of(raw)


def _following(name: str, raw: Raw) -> tuple[str, object] | None:
    if name in _LINKS and first_byte(raw) == b"[":
        target = next_of(raw)
    elif _NEXT.fullmatch(name) or (name in _NEXT_TEXT and first_byte(raw) == b'"'):
        target = _target(raw)
    else:
        return None
    return ("following", target) if target else None


def _total_in(raw: Raw) -> tuple[str, object] | None:
    """Return a total that is an object, as Elasticsearch has it: its `relation` says whether there may be more."""
    keys = keys_of(raw) or {}
    value, is_exact = bytes(keys.get("value", Raw(b""))), bytes(keys.get("relation", Raw(b'"eq"'))) == b'"eq"'
    return ("total" if is_exact else "least", int(value)) if value.isdigit() else None


def _target(raw: Raw) -> str:
    """Return the cursor or address that a key named next holds, also as `{"href": ...}` or `{"after": ...}`."""
    if (keys := keys_of(raw)) is not None:
        return next(filter(None, map(_target, keys.values())), "")
    if first_byte(raw) == b'"':
        return msgspec.json.decode(raw, type=str)
    text = bytes(raw).decode()
    return text if text.isdecimal() and text != "0" else ""


def _asked_for(asked: Ask) -> set[str]:
    return {*map(str, asked.params.values()), asked.link or ""}


def plain(path: str) -> str:
    """Return the last name of a path in small letters, without signs."""
    return _SIGNS.sub("", path.rsplit(".", 1)[-1].lower()) if not path.startswith("@") else _SIGNS.sub("", path.lower())
