"""Items of DynamoDB as JSON: numbers with all their digits, bytes as hex digits, sets as sorted lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from elt_factory.extract.json_numbers import json_number


def as_json(item: Mapping[str, Any]) -> bytes:
    """Return an item as one line of JSON."""
    return msgspec.json.encode({name: _plain(value) for name, value in item.items()})


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    return _KINDS[kind](inner)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": json_number,
    "B": lambda value: bytes(value).hex(),
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": lambda value: {name: _plain(inner) for name, inner in value.items()},
    "L": lambda value: [_plain(inner) for inner in value],
    "SS": sorted,
    "NS": lambda value: [json_number(text) for text in sorted(value, key=Decimal)],
    "BS": lambda value: sorted(bytes(one).hex() for one in value),
}
