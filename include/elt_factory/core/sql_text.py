"""The two smallest pieces of SQL text, the same in every dialect we write: a quoted name and an escaped value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any

from elt_factory.core.window import iso_utc

# DuckDB takes a folder named `key=value` for a column unless told otherwise: a path holds no values here
LITERAL_PATHS = "hive_partitioning = false"

Value = str | int | float | bool | Decimal | date | datetime | None


def identifier(name: str) -> str:
    """Return a name in double quotes, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Names in double quotes, separated by commas."""
    return ", ".join(identifier(name) for name in names)


def text_literal(text: str) -> str:
    """Text as a literal in single quotes, for dialects where a backslash is an ordinary character."""
    return "'" + text.replace("'", "''") + "'"


def text_list(texts: Iterable[str]) -> str:
    """Texts as a DuckDB list of literals."""
    return f"[{', '.join(text_literal(text) for text in texts)}]"


def file_list(files: Iterable[str]) -> str:
    """File names as a DuckDB list of literals, each for the file of that very name and for no other it would match."""
    return text_list(re.sub(r"([*?\[])", r"[\1]", name) for name in files)


def literal(value: Value) -> str:
    """Return a value as SQL text. Instants are written in UTC with their type.

    No session setting changes them.
    """
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return text_literal(str(value))


def instant(value: datetime) -> str:
    """Return an instant as a literal of a type with time zone."""
    return f"CAST({text_literal(iso_utc(value))} AS TIMESTAMP WITH TIME ZONE)"


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"CAST('{value}' AS DOUBLE)"


def _moment(value: datetime) -> str:
    return instant(value) if value.tzinfo else f"TIMESTAMP {text_literal(value.isoformat(sep=' '))}"


# the first kind that fits decides: True is also an int, a datetime also a date
_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (NoneType, lambda _: "NULL"),
    (bool, lambda value: str(value).upper()),
    (int, str),
    (Decimal, lambda value: format(value, "f")),
    (float, _float),
    (datetime, _moment),
    (date, lambda value: f"DATE {text_literal(value.isoformat())}"),
)
