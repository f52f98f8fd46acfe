"""What is said of lists within records: has_more or a total next to one that the API has cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Raw

from elt_factory.sources.rest_api.answer import find_in, first_byte, items_of, keys_of, steps
from elt_factory.sources.rest_api.records_model import EACH
from elt_factory.sources.rest_api.signs import SIZES, about, plain, sign

# a plain total may be one of money or of pieces, unless the object speaks of pages
_COUNTS = frozenset(
    {"totalcount", "totalresults", "totalrecords", "totalelements", "totalrows", "totalhits", "odatacount"}
)
_OF_PAGES = SIZES | {"startat", "offset", "skip"}


def cut_off(around: Sequence[Raw], path: str) -> str:
    """Return what an element says of more records in it than came; empty text where none says so.

    Args:
        around: The elements that the first `[*]` of a path goes through.
        path: The path.
    """
    elements, rest = around, path.split(EACH)[1:]
    for number, step in enumerate(rest):
        below = step.strip(".")
        way = steps(below) if below else ()
        # what an element says by its own keys is data
        if len(way) > 1:
            found = next(filter(None, (_said(element, way, below) for element in elements)), "")
            if found:
                return found
        if number < len(rest) - 1:
            elements = [inner for element in elements for inner in _inner(element, below)]
    return ""


def _inner(element: Raw, below: str) -> Sequence[Raw]:
    found = find_in(element, below) if below else element
    if found is None:
        return ()
    return items_of(found) if first_byte(found) == b"[" else list((keys_of(found) or {}).values())


def _said(element: Raw, way: Sequence[str], below: str) -> str:
    """Return what the objects on the way to the list of an element say against its end."""
    holder = (keys_of(element) or {}).get(way[0])
    keys = keys_of(holder) if holder is not None else None
    if not keys:
        return ""
    said = list(about(keys, way[1:], f"{way[0]}."))
    of_pages = any(plain(name) in _OF_PAGES for name, _ in said)
    for name, kind, value in _signs(said):
        if kind == "more" and value is True:
            return f'"{name}" within a record says there are more: the API has cut off its list'
        if kind == "total" and (of_pages or plain(name) in _COUNTS):
            found = find_in(element, below)
            came = len(items_of(found)) if found is not None and first_byte(found) == b"[" else None
            if came is not None and isinstance(value, int) and value > came:
                return f'"{name}" within a record says {value:,}, but {came:,} came: the API has cut off its list'
    return ""


def _signs(said: Sequence[tuple[str, Raw]]) -> Iterator[tuple[str, str, object]]:
    for name, raw in said:
        if found := sign(plain(name), raw):
            yield name, *found
