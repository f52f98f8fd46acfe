"""Documents of MongoDB as JSON: plain values where JSON or text has them exactly, else MongoDB's extended JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from elt_factory.config.models.values import ColumnType
from elt_factory.core.extras import needs
from elt_factory.extract.json_numbers import Digits, json_number

with needs("mongodb", "a source of type mongodb"):
    from bson import Binary, Decimal128, Int64, ObjectId, json_util
    from bson.binary import UUID_SUBTYPE
    from bson.errors import BSONError

_ENCODER = msgspec.json.Encoder()
# the encoder writes them: dates have the zone UTC
_AS_THEY_ARE = frozenset({str, int, bool, type(None), datetime})
_CANONICAL = json_util.CANONICAL_JSON_OPTIONS
# what a field is whose values are all of one kind; a number may have another kind in the next document
_TYPES: Mapping[type, ColumnType] = {
    **dict.fromkeys((str, ObjectId), ColumnType("text")),
    datetime: ColumnType("timestamp"),
    bool: ColumnType("boolean"),
    **dict.fromkeys((dict, list), ColumnType("json")),
    bytes: ColumnType("binary"),
}
_BYTES = frozenset({bytes, Binary})


class Kinds:
    """What the fields of documents hold, by the types that MongoDB keeps with each value."""

    def __init__(self) -> None:
        self._seen: dict[str, set[type]] = {}
        self._digits: dict[str, Digits] = {}

    def see(self, document: Mapping[str, Any]) -> None:
        """Take a document into account."""
        for name, value in document.items():
            if value is not None:
                self._seen.setdefault(name, set()).add(UUID if _is_uuid(value) else type(value))
            if type(value) is Decimal128:
                self._digits.setdefault(name, Digits()).see(value.to_decimal())

    def types(self) -> dict[str, ColumnType]:
        """Return the types of the fields whose values all have one."""
        found = {name: {self._type(name, kind) for kind in kinds} for name, kinds in self._seen.items()}
        return {name: kind for name, kinds in found.items() if len(kinds) == 1 for kind in kinds if kind}

    def mixed(self) -> frozenset[str]:
        """Return the fields that have bytes and text: as text alone, both could be the same value."""
        return frozenset(name for name, kinds in self._seen.items() if str in kinds and kinds & _BYTES)

    def _type(self, name: str, kind: type) -> ColumnType | None:
        return self._digits[name].type() if kind is Decimal128 else _TYPES.get(kind)


def as_json(document: Mapping[str, Any], mixed: frozenset[str] = frozenset()) -> bytes:
    r"""Return a document as one line of JSON; bytes in a field that has text, too, are written as `\x00ff`."""
    members = _members(document)
    for name in mixed.intersection(document):
        value = document[name]
        if isinstance(value, bytes) and not _is_uuid(value):
            members[name] = f"\\x{value.hex()}"
    return _ENCODER.encode(members)


def plain(value: Any) -> Any:
    """Return a value as JSON has it.

    An ObjectId and a UUID as their text, a date in UTC to the millisecond, a Decimal128 with all its digits, bytes as
    hex digits, a number that is none as NaN, Infinity, -Infinity; what only MongoDB has, and a date that no calendar
    has, as extended JSON.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    return _KINDS.get(type(value), _extended)(value)


def _members(document: Mapping[str, Any]) -> dict[str, Any]:
    # most values need no call
    return {name: value if type(value) in _AS_THEY_ARE else plain(value) for name, value in document.items()}


def _float(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal128) -> Any:
    exact = value.to_decimal()
    return json_number(str(value)) if exact.is_finite() else str(value)


def _is_uuid(value: Any) -> bool:
    return type(value) is Binary and value.subtype == UUID_SUBTYPE and len(value) == 16  # noqa: PLR2004 - bytes of it


def _binary(value: Binary) -> str:
    return str(value.as_uuid()) if _is_uuid(value) else value.hex()


def _extended(value: Any) -> Any:
    try:
        found = json_util.default(value, _CANONICAL)
    except (TypeError, BSONError):
        return str(value)
    return plain(found)


_KINDS: Mapping[type, Callable[[Any], Any]] = {
    Int64: int,
    float: _float,
    ObjectId: str,
    Decimal128: _decimal,
    Binary: _binary,
    bytes: bytes.hex,
    dict: _members,
    list: lambda value: [plain(inner) for inner in value],
}
