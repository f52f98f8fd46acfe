"""Numbers as JSON has them, with all their digits."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from elt_factory.config.models.values import MAX_PRECISION, ColumnType

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def json_number(text: str) -> msgspec.Raw:
    """Return a number as it is written: a float would not have its 38 digits."""
    shown = text if _NUMBER.fullmatch(text) else format(Decimal(text), "f")
    return msgspec.Raw(shown.encode())


class Digits:
    """How many digits the exact numbers of a field have before the point and after it."""

    def __init__(self) -> None:
        self.before = self.after = 0

    def see(self, number: Decimal) -> None:
        """Take a number into account; one that is none has no digits."""
        _, digits, exponent = number.as_tuple()
        if isinstance(exponent, int):
            self.before = max(self.before, len(digits) + exponent)
            self.after = max(self.after, -exponent)

    def add(self, other: Digits) -> None:
        """Take what another has seen into account."""
        self.before, self.after = max(self.before, other.before), max(self.after, other.after)

    def type(self) -> ColumnType | None:
        """Return the decimal that has all of them, and room for later ones; None where none has.

        Found in the data it would be a float, and amounts inexact.
        """
        usual = ColumnType.parse("decimal")
        after = max(self.after, usual.scale)
        return ColumnType("decimal", MAX_PRECISION, after) if self.before + after <= MAX_PRECISION else None
