"""Text matches a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.checks.values import NOT_TEXT, hashed, not_text
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import Text

# what neither RE2, DuckDB's, nor Snowflake's POSIX expressions know
_LOOKS_AROUND = re.compile(r"(?<!\\)(?:\\\\)*\((\?(?:[=!>]|<[=!]|P[=>]|\())")
_REFERS_BACK = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise MistakeError(f"invalid regular expression: {error.msg}", "correct it, or put it in quotes") from None
    if found := _LOOKS_AROUND.search(pattern):
        message = f"warehouses have no expressions with ({found[1]}"
        raise MistakeError(message, "write it without, or use an expression with several conditions")
    if _REFERS_BACK.search(pattern):
        raise MistakeError("warehouses have no back references", "write it without, or use an expression")
    return pattern


Pattern = Annotated[Text, AfterValidator(_check_pattern)]


def _condition(rows: LoadedRows, column: str, pattern: str) -> str:
    return f"({rows.dialect.matches(column, rows.dialect.literal(pattern))})"


def _words(pattern: str) -> str:
    return pattern


def _label(pattern: str) -> str:
    return f"matches {pattern}"


def _mistakes(_pattern: str, name: str, column: Column) -> Iterator[MistakeError]:
    yield from hashed("regex", name, column)
    yield from not_text("regex", name, column)


KIND = ColumnCheckKind(
    name="regex",
    model=Pattern,
    description="Regular expression that is found in every value. ^ and $ make it the whole value.",
    examples=("^N[0-9A-Z]{1,5}$",),
    words=_words,
    label=_label,
    condition=_condition,
    mistakes=_mistakes,
    schemas=dict.fromkeys(NOT_TEXT, False),
    compares=True,
)
