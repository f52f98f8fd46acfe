"""Items of DynamoDB as JSON: numbers with all their digits, bytes as hex digits, sets as sorted lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def as_json(item: Mapping[str, Any]) -> bytes:
    """Return an item as one line of JSON."""
    return msgspec.json.encode({name: _plain(value) for name, value in item.items()})


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    return _KINDS[kind](inner)


def _number(text: str) -> msgspec.Raw:
    """Return a number as it is written: a float would not have its 38 digits."""
    shown = text if _NUMBER.fullmatch(text) else format(Decimal(text), "f")
    return msgspec.Raw(shown.encode())


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _number,
    "B": lambda value: bytes(value).hex(),
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": lambda value: {name: _plain(inner) for name, inner in value.items()},
    "L": lambda value: [_plain(inner) for inner in value],
    "SS": sorted,
    "NS": lambda value: [_number(text) for text in sorted(value, key=Decimal)],
    "BS": lambda value: sorted(bytes(one).hex() for one in value),
}
