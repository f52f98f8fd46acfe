"""Values of database drivers as text that the contract reads back, in Arrow columns that are never inferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec
import pyarrow as pa

from elt_factory.config.models.values import ColumnType


def text_column(values: Sequence[object], kind: ColumnType | None = None) -> pa.Array:
    r"""Return a column of text of the same length; None stays None.

    `kind` is the column's type: bytes in a column of another type are written as `\x00ff`, which only text takes for
    one of its values; text and numbers in a binary column become the hex digits of their text.
    """
    found = set(map(type, values))
    if kind is not None and kind.name == "binary":
        values = [_binary_text(value) for value in values]
    elif kind is not None and found & _BYTES:
        values = [f"\\x{_hex(value)}" if isinstance(value, _BYTE_KINDS) else as_text(value) for value in values]
    elif kind is not None and kind.name == "decimal" and float in found:
        scale = kind.scale or 0
        values = [_shown(value, scale) if isinstance(value, float) else as_text(value) for value in values]
    elif not found <= _TEXT_ALREADY:
        values = [as_text(value) for value in values]
    return pa.array(values, pa.string())


def as_text(value: object) -> str | None:
    """Write one value as text.

    Bytes as hex digits, booleans as true and false, times and their differences in ISO 8601, floats with all their
    digits, lists and mappings as JSON.
    """
    if value is None:
        return None
    return _TEXT.get(type(value), str)(value)


def _binary_text(value: object) -> str | None:
    if value is None:
        return None
    return _hex(value) if isinstance(value, _BYTE_KINDS) else str(as_text(value)).encode().hex()


def _hex(value: bytes | bytearray | memoryview) -> str:
    return value.hex()


def _shown(value: float, scale: int) -> str:
    """Return a double that stands for a decimal, with the digits that it can keep: 23.2, not 23.200000000000003.

    Of a large one that is too few digits for its scale, where the double has them.
    """
    shown = f"{value:.{_DECIMAL_DIGITS}g}"
    is_near = not isfinite(value) or abs(Decimal(shown) - Decimal(value)) * 2 < Decimal(10) ** -scale
    return shown if is_near else f"{value:.{scale}f}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _iso(value: date | datetime | time) -> str:
    return value.isoformat()


def _duration(value: timedelta) -> str:
    """Write a duration as PostgreSQL does: `P1DT2H3.5S`, `PT-1.5S`, `PT0S`; each part has the sign."""
    sign = "-" if value < timedelta() else ""
    whole = abs(value)
    hours, rest = divmod(whole.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{whole.microseconds:06}".rstrip("0") if whole.microseconds else ""
    parts = {"H": str(hours or ""), "M": str(minutes or ""), "S": f"{seconds}{fraction}" if seconds or fraction else ""}
    clock = "".join(f"{sign}{number}{unit}" for unit, number in parts.items() if number)
    days = f"{sign}{whole.days}D" if whole.days else ""
    return f"P{days}{'T' if clock else ''}{clock}" if days or clock else "PT0S"


# Arrow takes bytes for text too, as if they were UTF-8
_TEXT_ALREADY = {str, type(None)}
_BYTE_KINDS = (bytes, bytearray, memoryview)
_BYTES = set(_BYTE_KINDS)
_DECIMAL_DIGITS = 15
_TEXT: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    bytes: bytes.hex,
    bytearray: bytearray.hex,
    memoryview: memoryview.hex,
    float: repr,
    date: _iso,
    datetime: _iso,
    time: _iso,
    timedelta: _duration,
    dict: _json,
    list: _json,
    tuple: _json,
}
