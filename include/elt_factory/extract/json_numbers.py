"""Numbers as JSON has them, with all their digits."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def json_number(text: str) -> msgspec.Raw:
    """Return a number as it is written: a float would not have its 38 digits."""
    shown = text if _NUMBER.fullmatch(text) else format(Decimal(text), "f")
    return msgspec.Raw(shown.encode())
