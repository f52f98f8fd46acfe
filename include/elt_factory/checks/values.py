"""Whether the values of a check can be values of its column's type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import get_args

from elt_factory.config.errors import MistakeError, shown
from elt_factory.config.models.schema_patterns import CLOCK, DAY, Schema
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import TypeName

Value = str | int | float | bool
_NUMBERS: tuple[TypeName, ...] = ("integer", "float", "decimal")
NOT_TEXT: tuple[TypeName, ...] = tuple(name for name in get_args(TypeName) if name != "text")
NOT_A_NUMBER: tuple[TypeName, ...] = tuple(name for name in get_args(TypeName) if name not in _NUMBERS)
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")


def hashed(rule: str, name: str, column: Column) -> Iterator[MistakeError]:
    """Yield the mistake of a check that compares values of a column that is hashed before it is checked."""
    if column.pii == "hash":
        message = f'"{name}" is hashed before it is checked, so {rule} can never pass'
        yield MistakeError(message, f"remove {rule} or pii", code="conflict")


def not_text(rule: str, name: str, column: Column) -> Iterator[MistakeError]:
    """Yield the mistake of a check of text for a column of another type."""
    if column.type and column.type.name in NOT_TEXT and not column.pii:
        message = f'"{name}" is of type {column.type}, and {rule} is for text'
        yield MistakeError(message, f"remove {rule}, or change the type", code="conflict")


def not_a_number(rule: str, name: str, column: Column) -> Iterator[MistakeError]:
    """Yield the mistake of a check of numbers for a column of another type."""
    if column.type and column.type.name in NOT_A_NUMBER and not column.pii:
        message = f'"{name}" is of type {column.type}, and {rule} is for numbers'
        yield MistakeError(message, f"remove {rule}, or change the type", code="conflict")


def unfit(
    values: Sequence[Value], name: str, column: Column, fits: Callable[[str, Value], bool] | None = None
) -> Iterator[MistakeError]:
    """Yield the first value that the column cannot have; nothing where its type is not declared."""
    if column.type is None or column.pii:
        return
    kind = column.type.name
    for place, value in enumerate(values):
        if not (fits or can_be)(kind, value):
            message = f'invalid value {shown(value)}: "{name}" is of type {column.type}'
            yield MistakeError(message, _HINTS.get(kind, ""), at=(place,), code="conflict")
            return


def can_be(kind: str, value: Value) -> bool:
    """Tell whether a value can be one of a column of this type."""
    return _FITS[kind](value)


def is_number(value: Value) -> bool:
    """Tell whether it is a number, or text that is one: warehouses read a literal as the column's type."""
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value.strip()))
    return not isinstance(value, bool)


def _is_whole(value: Value) -> bool:
    return is_number(value) and float(value).is_integer()


def _is_boolean(value: Value) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))


def _is_text(value: Value) -> bool:
    return isinstance(value, str)


def _is_moment(value: Value) -> bool:
    return isinstance(value, str) and _reads(datetime.fromisoformat, value)


def _is_day(value: Value) -> bool:
    return isinstance(value, str) and _reads(date.fromisoformat, value.strip()[:10])


def _is_clock(value: Value) -> bool:
    return isinstance(value, str) and _reads(time.fromisoformat, value)


def _is_anything(_: Value) -> bool:
    return True


def _reads(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value.strip())
    except ValueError:
        return False
    return True


_FITS: Mapping[str, Callable[[Value], bool]] = {
    "text": _is_text,
    "integer": _is_whole,
    "float": is_number,
    "decimal": is_number,
    "boolean": _is_boolean,
    "date": _is_day,
    "time": _is_clock,
    "timestamp": _is_moment,
    "datetime": _is_moment,
    "json": _is_anything,
    "binary": _is_anything,
}
_HINTS: Mapping[str, str] = {
    "text": "put it in quotes, or change the type",
    "integer": "write a whole number, or change the type",
    "float": "write a number, or change the type",
    "decimal": "write a number, or change the type",
    "boolean": "write true or false, or change the type",
    "date": "write a date like 2013-01-31, or change the type",
    "time": 'write a time like "06:00", or change the type',
    "timestamp": "write a time like 2013-01-31T06:00:00Z, or change the type",
    "datetime": "write a time like 2013-01-31T06:00:00, or change the type",
}

# what an editor underlines: values that a column of a type cannot have, variables apart
_NUMERIC: Schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$|\$\{"}]
}
_WHOLE: Schema = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*[-+]?[0-9]+(\.0*)?\s*$|\$\{"}]}
_FLAG: Schema = {
    "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": r"^([tT][rR][uU][eE]|[fF][aA][lL][sS][eE])$|\$\{"}]
}
_DATED: Schema = {"type": "string", "pattern": rf"^\s*{DAY[1:]}|\$\{{"}
_CLOCKED: Schema = {"type": "string", "pattern": rf"^\s*{CLOCK}|\$\{{"}
SCHEMAS: Mapping[TypeName, Schema] = {
    "text": {"type": "string"},
    "integer": _WHOLE,
    "float": _NUMERIC,
    "decimal": _NUMERIC,
    "boolean": _FLAG,
    "date": _DATED,
    "time": _CLOCKED,
    "timestamp": _DATED,
    "datetime": _DATED,
}
