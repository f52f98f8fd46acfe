"""What the shape of a JSON answer says of where its records are and how the next page is found."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from elt_factory.sources.rest_api.answer import steps
from elt_factory.sources.rest_api.paginators import link_with
from elt_factory.sources.rest_api.paging_model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)

_LISTS = ("results", "data", "items", "records", "rows", "entries", "values", "content", "objects")
_LINK = re.compile(r"_*next\w*", re.IGNORECASE)  # next, next_page_uri, nextRecordsUrl, __next
_CURSORS = (
    "next",
    "cursor",
    "next_cursor",
    "nextcursor",
    "next_page_token",
    "nextpagetoken",
    "next_token",
    "nexttoken",
    "continuation_token",
    "continuationtoken",
    "end_cursor",
    "endcursor",
    "after",
    "starting_after",
    "bookmark",
    "scroll_id",
    "after_cursor",
    "next_marker",
    "nextmarker",
    "marker",
    "next_offset",
    "continue",
)
_MORE = ("has_more", "hasmore", "more", "has_next", "hasnext", "has_next_page", "hasnextpage")
_IDS = ("id", "_id", "uuid", "key", "sid", "gid", "ref")
_AFTER = ("starting_after", "after", "after_id", "last_id", "since_id", "cursor")
_PARAMS = (
    "cursor",
    "after",
    "page_token",
    "pageToken",
    "starting_after",
    "start_cursor",
    "next_token",
    "token",
    "continuation_token",
    "offset",
)
_DEPTH = 4
# how an answer says the number of its page, and the parameter for another one
_PAGE_PARAMS = {
    "page_number": "page_number",
    "pagenumber": "pageNumber",
    "pagination.page": "pagination[page]",
    "search_criteria.current_page": "searchCriteria[currentPage]",
}


def records_paths(answer: Any) -> list[str | None]:
    """Where lists of objects are, the likeliest first; None is the answer itself."""
    if isinstance(answer, list):
        return [None]
    found = [(path, value) for path, value in walk(answer) if _is_records(value)]
    ranked = [path for path, _ in sorted(found, key=_likely)]
    # what the records of a JSON:API document refer to may be more than they are
    refers = isinstance(answer, Mapping) and isinstance(answer.get("data"), list) and "included" in ranked
    own: list[str | None] = [path for path in ranked if not refers or path != "included"]
    return own + (["included"] if refers and own else [])


def empty_lists(answer: Any) -> list[str]:
    """Where lists are that could hold records and have none, the likeliest first."""
    found = [(path, value) for path, value in walk(answer) if value == []]
    return [path for path, _ in sorted(found, key=lambda one: (_last(one[0]).lower() not in _LISTS, *_likely(one)))]


def walk(answer: Any, above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every dotted path of objects in objects, with what appears there."""
    if not isinstance(answer, Mapping) or depth >= _DEPTH:
        return
    for key, value in answer.items():
        # a path cannot say a key that ends in a backslash, since that would belong to the dot behind it
        if isinstance(key, str) and key and "\\" not in key:
            step = above + key.replace(".", r"\.")
            yield step, value
            yield from walk(value, f"{step}.", depth + 1)


def paginator_candidates(answer: Any, headers: Mapping[str, str], records: int) -> list[Paginator]:
    """Ways to the next page that the answer suggests, the surest first; each is to be tried."""
    found: list[Paginator] = []
    if link_with(headers.get("link", ""), "next"):
        found.append(HeaderLinkPaginator(type="header_link"))
    scalars = {path: value for path, value in walk(answer) if isinstance(value, (str, int)) and value not in ("", True)}
    found += [
        JsonLinkPaginator(type="json_link", next_url_path=path)
        for path, value in scalars.items()
        if isinstance(value, str) and _is_link(path, value)
    ]
    found += [
        JsonLinkPaginator(type="json_link", next_url_path=path) for path, value in walk(answer) if _has_next(value)
    ]
    found += [
        CursorPaginator(type="cursor", cursor_path=path, cursor_param=param)
        for path, value in scalars.items()
        if (_last(path).lower() in _CURSORS or path.startswith("continue.")) and not _is_link(path, str(value))
        for param in _cursor_params(_last(path))
    ]
    found += [
        # the place of the next page, in text, is no number of rows that were passed over
        CursorPaginator(type="cursor", cursor_path=path, cursor_param=_last(path))
        for path, value in scalars.items()
        if isinstance(value, str) and _last(path).lower() == "offset"
    ]
    return [*found, *_by_last_record(answer), *_counted(answer, records)]


def _by_last_record(answer: Any) -> list[Paginator]:
    """Return ways by the id of the last record, where the answer says that there are more."""
    paths = records_paths(answer)
    more = [path for path, value in walk(answer) if value is True and _last(path).lower() in _MORE]
    if not more or not paths or paths[0] is None:
        return []
    records = next(value for path, value in walk(answer) if path == paths[0])
    keys = [key for key in _IDS if key in records[-1]][:1]
    return [
        CursorPaginator(type="cursor", cursor_record=key, cursor_param=param, more=more[0])
        for key in keys
        for param in _AFTER
    ]


def _counted(answer: Any, records: int) -> list[Paginator]:
    if not records:
        return []
    said = {path.lower(): value for path, value in walk(answer)}
    names = {_last(path).lower() for path, _ in walk(answer)}
    ones = {_last(path).lower() for path, value in walk(answer) if value is not True and value in (1, "1")}
    # each API that says where it began says it by the name that it takes
    known = (
        ("maxResults", "startAt"),
        ("limit", "start"),
        ("count", "start"),
        ("$top", "$skip"),
        ("size", "from"),
        ("count", "startIndex"),
    )
    service_now, arcgis = ("sysparm_limit", "sysparm_offset"), ("resultRecordCount", "resultOffset")
    told = [pair for pair in known if pair[1].lower() in names]
    told += [arcgis] if "exceededtransferlimit" in names else []
    others = [
        ("limit", "offset"),
        ("limit", "skip"),
        ("per_page", "offset"),
        ("$limit", "$offset"),
        *known,
        service_now,
    ]
    pages = [name for path, name in _PAGE_PARAMS.items() if any(f".{one}".endswith(f".{path}") for one in said)]
    counted = [_pages(name, first) for name in pages for first in (1, 0)]
    counted += [_pages("page", first) for first in ((0, 1) if "totalpages" in names and "number" in names else (1, 0))]
    return [
        *(model for pair in told for model in _offsets(pair, records, ones)),
        *counted,
        *(model for pair in others if pair not in told for model in _offsets(pair, records, ones)),
    ]


def _pages(name: str, first: int) -> Paginator:
    return PageNumberPaginator(type="page_number", page_param=name, first_page=first)


def _offsets(pair: tuple[str, str], records: int, ones: Collection[str]) -> Iterator[Paginator]:
    """Yield pages by limit and offset; where the answer has its name with a 1, it may count from there."""
    for begin in ({"first_offset": 1}, {}) if pair[1].lower() in ones else ({},):
        yield OffsetPaginator(type="offset", limit=records, limit_param=pair[0], offset_param=pair[1], **begin)


def _has_next(value: Any) -> bool:
    """Whether a value is a list of links with relations, of which one is the next page."""
    links = [link for link in value if isinstance(link, Mapping)] if isinstance(value, list) else []
    return any(link.get("rel", link.get("relation")) == "next" for link in links)


def _cursor_params(key: str) -> list[str]:
    plain = key.removeprefix("next_") if not key.startswith("Next") else key.removeprefix("Next")
    paged = ["page[after]"] if key == "after_cursor" else []
    return list(dict.fromkeys([*paged, *([plain] if plain != "next" else []), *_PARAMS, key]))


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _likely(found: tuple[str, list[Any]]) -> tuple[int, int, int]:
    path, value = found
    name = _last(path).lower()
    return (-len(value) if name not in _LISTS else -len(value) * 10, path.count("."), len(path))


def _is_link(path: str, value: str) -> bool:
    looks = value.startswith(("http://", "https://", "/", "?"))
    parts = steps(path.lower())
    return looks and (bool(_LINK.fullmatch(_last(path))) or (parts[-1] == "href" and "next" in parts))


def _last(path: str) -> str:
    """Return the last word of a path: `nextLink` of `@odata.nextLink`."""
    return steps(path)[-1].rsplit(".", 1)[-1]
