"""The records of an answer, wherever and in whatever shape they are; each keeps its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import (
    Document,
    UnreadableAnswerError,
    find_in,
    first_byte,
    items_of,
    keys_of,
)
from elt_factory.sources.rest_api.fields import Fields, quoted
from elt_factory.sources.rest_api.records_model import EACH, Records

_SHOWN = 80


class Found(NamedTuple):
    """Records, and the elements that they are in, where the path goes through those by `[*]`."""

    records: Sequence[Raw]
    around: Sequence[Raw] | None = None


def records_of(document: Document, at: Records | None) -> Found:
    """Return the records of an answer.

    Raises:
        UnreadableAnswerError: there is nothing where they should be, or something else.
    """
    if at is None:
        return Found(document.records(None))
    return _within(document, at) if at.path and EACH in at.path else Found(_listed(document, at))


def _listed(document: Document, at: Records) -> Sequence[Raw]:
    """Return the records of the list, or in the object, at a path."""
    raw = _at(document, at)
    if raw is None:
        return []
    if at.key:
        return list(_values(at, raw))
    if at.one:
        return _only(at, raw)
    if first_byte(raw) != b"[":
        raise UnreadableAnswerError(f"{_named(at)} holds {_shown(raw)}, which is not a list{_instead(raw)}")
    found = document.items(raw)
    return _from_lists(document, at, found) if at.columns else found


def _within(document: Document, at: Records) -> Found:
    """Return the records below the elements of the first list or object that a path goes through."""
    first, *rest = (at.path or "").split(EACH)
    top = _at(document, at.model_copy(update={"path": first.strip(".") or None}))
    around = list(_elements(at, top)) if top is not None else []
    found: Sequence[Raw] = list(_through(at, around, rest))
    if at.key:
        found = [record for raw in found for record in (_values(at, raw) if _may_have_keys(raw) else (raw,))]
    return Found(_from_lists(document, at, _rows_in(found)) if at.columns else found, around)


def flattened(records: Sequence[Raw], columns: Mapping[str, str]) -> Sequence[Raw]:
    """Return the records with values from inside of others as fields of their own, where they are.

    Raises:
        UnreadableAnswerError: a record has a field of that name already.
    """
    return [_flattened(record, columns) for record in records] if columns else records


def _flattened(record: Raw, columns: Mapping[str, str]) -> Raw:
    found = {column: find_in(record, path) for column, path in columns.items()}
    there = {column: bytes(raw) for column, raw in found.items() if raw is not None}
    return Fields(there, "flatten").before(record) if there else record


def _at(document: Document, at: Records) -> Raw | None:
    """Return what the path leads to; None where that is nothing, and may be."""
    try:
        raw = document.at(at.path)
    except UnreadableAnswerError as error:
        if at.optional and document.keys is not None:
            return None
        raise UnreadableAnswerError(f"{error}{_MAY_BE_MISSING}" if document.keys is not None else str(error)) from None
    if bytes(memoryview(raw)[:4]) != b"null":
        return raw
    if at.optional:
        return None
    raise UnreadableAnswerError(f"{_named(at)} holds null, which is not a list{_MAY_BE_MISSING}")


_MAY_BE_MISSING = "; if that means no records, write records: {path: ..., optional: true}"


def _through(at: Records, around: Sequence[Raw], rest: Sequence[str]) -> Iterator[Raw]:
    """Yield the records below each of some elements, by the rest of the path."""
    found = list(around)
    for step in rest:
        below = step.strip(".")
        if below:
            reached = [(raw, _below(raw, below)) for raw in found]
            found = [raw for _, raw in reached if raw is not None]
            if not at.optional:
                yield from (_lost(above, below) for above, raw in reached if raw is None)
        if step is not rest[-1]:
            found = [inner for raw in found for inner in _elements(at, raw)]
    for raw in found:
        # the last step may lead to one record, or to a list of them
        if first_byte(raw) == b"[" and not (at.columns or at.key):
            yield from items_of(raw)
        elif not at.optional or bytes(raw) != b"null":
            yield raw


def _below(raw: Raw, path: str) -> Raw | None:
    found = find_in(raw, path)
    return None if found is None or bytes(found) == b"null" else found


def _lost(element: Raw, below: str) -> Raw:
    """Return a line for an element that has no record: the contract rejects it, and it is not lost."""
    text = f'no "{below}" in {_shown(element)}{_MAY_BE_MISSING}'
    return Raw(msgspec.json.encode(text))


def _may_have_keys(raw: Raw) -> bool:
    # null without `optional` and the line of an element that is lost are for the contract to reject
    return first_byte(raw) in (b"{", b"[")


def _rows_in(found: Sequence[Raw]) -> list[Raw]:
    """Return rows that are lists; the last step of a path leads to one of them, or to a list of them."""
    return [row for raw in found for row in (items_of(raw) if _is_list_of_lists(raw) else (raw,))]


def _is_list_of_lists(raw: Raw) -> bool:
    items = items_of(raw) if first_byte(raw) == b"[" else ()
    return bool(items) and all(first_byte(item) == b"[" for item in items)


def _elements(at: Records, raw: Raw) -> Sequence[Raw]:
    if first_byte(raw) == b"[":
        return items_of(raw)
    keys = keys_of(raw)
    if keys is None and bytes(raw) != b"null":
        raise UnreadableAnswerError(f"{_named(at)} goes through {_shown(raw)}, which is neither a list nor an object")
    return list((keys or {}).values())


def _values(at: Records, raw: Raw) -> Iterator[Raw]:
    keys = keys_of(raw)
    # some languages write an empty object as an empty list
    if keys is None and first_byte(raw) == b"[" and not items_of(raw):
        return
    if keys is None:
        raise UnreadableAnswerError(f"{_named(at)} holds {_shown(raw)}, which is not an object with a record per key")
    for name, value in keys.items():
        own = {str(at.key): quoted(name)}
        if at.value and first_byte(value) != b"{":
            yield Raw(b"{" + quoted(str(at.key)) + b":" + quoted(name) + b"," + quoted(at.value) + b":" + value + b"}")
        else:
            yield Fields(own, "records: key").before(value)


def _only(at: Records, raw: Raw) -> list[Raw]:
    if first_byte(raw) != b"{":
        raise UnreadableAnswerError(f"{_named(at)} holds {_shown(raw)}, which is not an object")
    return [raw]


def _from_lists(document: Document, at: Records, rows: Sequence[Raw]) -> list[Raw]:
    """Return records with the names of the columns; a row of another length is a line that the contract rejects."""
    names = [quoted(name) + b":" for name in _columns(document, at)]
    records = []
    for row in rows:
        values = items_of(row) if first_byte(row) == b"[" else ()
        fits = len(values) == len(names)
        pairs = b",".join(name + bytes(value) for name, value in zip(names, values, strict=False)) if fits else b""
        records.append(Raw(b"{" + pairs + b"}") if fits else row)
    return records


def _columns(document: Document, at: Records) -> Sequence[str]:
    if not isinstance(at.columns, str):
        return at.columns or ()
    raw = document.find(at.columns)
    if raw is None or first_byte(raw) != b"[":
        raise UnreadableAnswerError(f'records: "{at.columns}" (columns) is not a list in the response')
    try:
        # some say more of a column than its name
        return [_name(entry) for entry in msgspec.json.decode(raw)]
    except (msgspec.DecodeError, TypeError, StopIteration) as error:
        raise UnreadableAnswerError(f'records: cannot read column names at "{at.columns}": {error}') from None


def _name(entry: object) -> str:
    if isinstance(entry, dict):
        return str(next(entry[key] for key in ("name", "id", "key", "label", "title") if key in entry))
    return str(entry)


def _named(at: Records) -> str:
    return f'records: "{at.path}"' if at.path else "the response"


def _instead(raw: Raw) -> str:
    if first_byte(raw) != b"{":
        return ""
    return "; for one record write {path: ..., one: true}, for a record per key {path: ..., key: <column>}"


def _shown(raw: Raw) -> str:
    text = bytes(raw).decode(errors="replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
