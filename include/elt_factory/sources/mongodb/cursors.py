"""The documents of a window or range: MongoDB compares values of one type alone, and finds no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import near_name
from elt_factory.config.models.table import Incremental, source_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.bounds import Bound, bounds, check_cursor
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest

with needs("mongodb", "a source of type mongodb"):
    from bson import Decimal128, Int64, ObjectId

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

_OPERATORS: Mapping[str, str] = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
Condition = Mapping[str, Any]


@dataclass(frozen=True)
class _Kind:
    """A type that a cursor may have: here, what `$type` calls it, and its value of a bound that is text."""

    type: ColumnType
    alias: str
    of_text: Callable[[str], Any]


def _number(text: str) -> int | float:
    """Return the value of a bound: documents may have whole numbers and fractions in one field."""
    try:
        return int(text)
    except ValueError:
        return float(text)


_INTEGER = _Kind(ColumnType("integer"), "number", _number)
_KINDS: Mapping[type, _Kind] = {
    datetime: _Kind(ColumnType("timestamp"), "date", datetime.fromisoformat),
    int: _INTEGER,
    Int64: _INTEGER,
    float: _Kind(ColumnType("float"), "number", float),
    Decimal128: _Kind(ColumnType.parse("decimal"), "number", Decimal128),
    str: _Kind(ColumnType("text"), "string", str),
    ObjectId: _Kind(ColumnType("text"), "objectId", ObjectId),
}


@dataclass(frozen=True)
class Part:
    """What a load reads, and in which order; how many documents have no cursor value, None without a cursor."""

    condition: Condition
    sort: str | None = None
    null_cursors: int | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)


def all_of(*conditions: Condition) -> dict[str, Any]:
    """Return the condition that all of them hold."""
    given = [condition for condition in conditions if condition]
    return {"$and": given} if given else {}


def part_of(
    collection: Collection[dict[str, Any]],
    session: ClientSession | None,
    request: ReadRequest,
    chosen: Condition,
    label: TableLabel,
) -> Part:
    """Return the part that a load reads of the documents that are chosen.

    Raises:
        BadRequestError: no document has the cursor, or it is of a type that does not grow.
        BadDataError: some documents have a cursor of another type, which would never be found.
    """
    table = request.source.all_tables[request.table]
    if table.incremental is None:
        return Part(chosen)
    name = source_name(table.incremental.cursor)
    null, there = {name: None}, {name: {"$ne": None}}
    first = collection.find_one(all_of(chosen, there), {name: 1}, session=session)
    if first is None:
        _check_empty(collection.find_one(chosen, session=session), name, label)
        return Part(chosen, null_cursors=0)
    kind = _kind_of(first.get(name), table.incremental, label)
    unlike = {name: {"$ne": None, "$not": {"$type": kind.alias}}}
    odd = collection.find_one(all_of(chosen, unlike), {name: 1}, session=session)
    if odd is not None:
        text = f"the cursor {name} holds {odd.get(name)!r} in a document, where others have a {kind.alias}"
        raise label.error(BadDataError, text, "correct it, or leave it out with filter:")
    ends = [_condition(name, end, kind) for end in bounds(request, table.incremental, kind.type)]
    inside = all_of(there, *ends)
    wanted = {"$or": [inside, null]} if table.null_cursor == "include" else inside
    nulls = collection.count_documents(all_of(chosen, null), session=session)
    return Part(all_of(chosen, wanted), name, nulls, {table.incremental.cursor: kind.type})


def _check_empty(some: Mapping[str, Any] | None, name: str, label: TableLabel) -> None:
    if some is not None:
        text = f'no document has the field "{name}" of incremental.cursor'
        raise label.error(BadRequestError, text, near_name(name, some))


def _kind_of(value: object, incremental: Incremental, label: TableLabel) -> _Kind:
    name, initial = incremental.cursor, incremental.initial
    kind = _KINDS.get(type(value))
    if kind is None:
        text = f"the cursor {name} is a {type(value).__name__}, which does not grow with every change"
        raise label.error(BadRequestError, text, "choose a date, a number, a text or an ObjectId")
    check_cursor(incremental, [name], {name: kind.type}, label)
    if (kind.alias != "number" and isinstance(initial, int)) or (kind.alias == "number" and isinstance(initial, date)):
        text = f"initial is {initial}, but the cursor {name} is a {kind.alias}"
        raise label.error(BadRequestError, text, "write an initial of its type")
    return kind


def _condition(name: str, end: Bound, kind: _Kind) -> Condition:
    value = kind.of_text(end.value) if isinstance(end.value, str) else end.value
    return {name: {_OPERATORS[end.operator]: value}}
