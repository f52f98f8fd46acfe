"""Whether the values of a column's checks can be values of its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time

from elt_factory.config.checks import ColumnCheck
from elt_factory.config.errors import MistakeError, shown
from elt_factory.config.table import Column, Path

Value = str | int | float | bool
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")
_UNORDERED = ("boolean", "json", "binary")


def check_mistakes(columns: Mapping[str, Column], at: Path) -> Iterator[MistakeError]:
    """The checks of a table's columns that no value, or every value, of the column breaks.

    Args:
        columns: The columns by name.
        at: The path of the table.
    """
    for name, column in columns.items():
        if column.pii == "drop" or (column.type is None and column.pii is None):
            continue
        for index, check in enumerate(column.checks):
            yield from _hashed(name, column, check, (*at, "columns", name, "checks", index))


def _hashed(name: str, column: Column, check: ColumnCheck, at: Path) -> Iterator[MistakeError]:
    if column.pii != "hash":
        yield from _unfit(name, column, check, at)
        return
    for rule in ("between", "accepted_values"):
        if getattr(check, rule) is not None:
            message = f'"{name}" is hashed before it is checked, so {rule} can never pass'
            yield MistakeError(message, f"remove {rule} or pii", at=(*at, rule), code="conflict")


def _unfit(name: str, column: Column, check: ColumnCheck, at: Path) -> Iterator[MistakeError]:
    if column.type is None:
        return
    kind = column.type.name
    if check.between and kind in _UNORDERED:
        message = f'"{name}" is {kind}, which has no order'
        yield MistakeError(message, "remove between, or change the type", at=(*at, "between"), code="conflict")
        return
    for rule, values in (("between", check.between), ("accepted_values", check.accepted_values)):
        for place, value in enumerate(values or ()):
            if not _fits(kind, rule, value):
                message = f'invalid value {shown(value)}: "{name}" is of type {column.type}'
                yield MistakeError(message, _HINTS.get(kind, ""), at=(*at, rule, place), code="conflict")
                break


def _fits(kind: str, rule: str, value: Value) -> bool:
    # a range of whole numbers may end between two of them
    return _is_number(value) if kind == "integer" and rule == "between" else _FITS[kind](value)


def _is_number(value: Value) -> bool:
    """A number, or text that is one: warehouses read a literal as the column's type."""
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value.strip()))
    return not isinstance(value, bool)


def _is_whole(value: Value) -> bool:
    return _is_number(value) and float(value).is_integer()


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
    "float": _is_number,
    "decimal": _is_number,
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
