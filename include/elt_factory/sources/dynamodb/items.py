"""Items of DynamoDB as JSON: numbers with all their digits, bytes as hex digits, sets as sorted lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from elt_factory.config.models.values import ColumnType
from elt_factory.extract.json_numbers import Digits, json_number


def as_json(item: Mapping[str, Any]) -> bytes:
    """Return an item as one line of JSON."""
    return msgspec.json.encode({name: _plain(value) for name, value in item.items()})


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    return _KINDS[kind](inner)


class Numbers:
    """The attributes of items whose values are all numbers, with the digits that these have."""

    def __init__(self) -> None:
        self._digits: dict[str, Digits] = {}
        self._others: set[str] = set()

    def see(self, item: Mapping[str, Any]) -> None:
        """Take an item into account."""
        for name, value in item.items():
            if "N" in value:
                self._digits.setdefault(name, Digits()).see(Decimal(value["N"]))
            elif "NULL" not in value:
                self._others.add(name)

    def add(self, other: Numbers) -> None:
        """Take what another has seen into account."""
        self._others |= other._others
        for name, digits in other._digits.items():
            self._digits.setdefault(name, Digits()).add(digits)

    def types(self) -> dict[str, ColumnType]:
        """Return the types of those with digits after the point; whole numbers are found in the data."""
        found = {name: digits.type() for name, digits in self._digits.items() if digits.after > 0}
        return {name: kind for name, kind in found.items() if kind and name not in self._others}


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
