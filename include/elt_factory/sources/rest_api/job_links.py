"""The links to the results of a job, in the response that says that it is done."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, UnreadableAnswerError, find_in, first_byte, items_of
from elt_factory.sources.rest_api.records_model import EACH


def links_at(document: Document, path: str) -> Iterator[str]:
    """Yield the links at a path; null and empty lists are none.

    Raises:
        UnreadableAnswerError: something else is there, or nothing.
    """
    found = [document.at(None)]
    for number, step in enumerate(path.split(EACH)):
        if number:
            found = [item for raw in found if not _is_null(raw) for item in items_of(raw)]
        below = step.strip(".")
        if below:
            found = [_at(raw, below, path) for raw in found]
    for raw in found:
        yield from _links(raw, path)


def _at(raw: Raw, below: str, path: str) -> Raw:
    found = find_in(raw, below)
    if found is None:
        raise UnreadableAnswerError(f'result: "{path}" is not in the response: no "{below}"')
    return found


def _links(raw: Raw, path: str) -> Iterator[str]:
    first = first_byte(raw)
    if first == b'"':
        yield msgspec.json.decode(raw, type=str)
    elif first == b"[":
        for item in items_of(raw):
            yield from _links(item, path)
    elif not _is_null(raw):
        raise UnreadableAnswerError(f'result: "{path}" holds {bytes(raw)[:80].decode(errors="replace")}, not a link')


def _is_null(raw: Raw) -> bool:
    return bytes(raw) == b"null"
