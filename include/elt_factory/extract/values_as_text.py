"""Values of database drivers as text that the contract reads back, in Arrow columns that are never inferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import msgspec
import pyarrow as pa


def text_column(values: Sequence[object]) -> pa.Array:
    """Return a column of text of the same length; None stays None."""
    if not set(map(type, values)) <= _TEXT_ALREADY:
        values = [as_text(value) for value in values]
    return pa.array(values, pa.string())


def as_text(value: object) -> str | None:
    """Write one value as text.

    Bytes as hex digits, booleans as true and false, times in ISO 8601, floats with all their digits, lists and mappings
    as JSON.
    """
    if value is None:
        return None
    return _TEXT.get(type(value), str)(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _iso(value: date | datetime | time) -> str:
    return value.isoformat()


# Arrow takes bytes for text too, as if they were UTF-8
_TEXT_ALREADY = {str, type(None)}
_TEXT: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    bytes: bytes.hex,
    bytearray: bytearray.hex,
    memoryview: memoryview.hex,
    float: repr,
    date: _iso,
    datetime: _iso,
    time: _iso,
    dict: _json,
    list: _json,
    tuple: _json,
}
