"""Values lie in a range, both ends included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.checks.values import SCHEMAS, Value, can_be, hashed, is_number, unfit
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import Scalar, TypeName

_UNORDERED: tuple[TypeName, ...] = ("boolean", "json", "binary")


def _check_range(value: object) -> object:
    """Two scalars of one kind, the lower first."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:  # noqa: PLR2004 - a range has two ends
        raise MistakeError("expected [min, max]", "write them as a list: [0, 6000]")
    low, high = value
    numbers = [isinstance(end, (int, float)) and not isinstance(end, bool) for end in value]
    if not all(numbers) and not all(isinstance(end, str) for end in value):
        raise MistakeError("the ends of a range must be of one type", "write two numbers or two texts")
    if _order(low, high):
        raise MistakeError(f"empty range: {low} is greater than {high}", f"write the lower end first: [{high}, {low}]")
    return value


def _order(low: Any, high: Any) -> bool:
    """Whether the ends of a range appear in the wrong order; numbers in quotes are compared as numbers."""
    try:
        return float(low) > float(high)
    except ValueError:
        return bool(low > high)


Range = Annotated[tuple[Scalar, Scalar], BeforeValidator(_check_range)]


def _condition(rows: LoadedRows, column: str, ends: tuple[Value, Value]) -> str:
    low, high = map(rows.dialect.literal, ends)
    return f"({column} BETWEEN {low} AND {high})"


def _words(ends: tuple[Value, Value]) -> str:
    return f"[{ends[0]}, {ends[1]}]"


def _label(ends: tuple[Value, Value]) -> str:
    return f"between {ends[0]} and {ends[1]}"


def _mistakes(ends: tuple[Value, Value], name: str, column: Column) -> Iterator[MistakeError]:
    yield from hashed("between", name, column)
    if column.type and column.type.name in _UNORDERED and not column.pii:
        message = f'"{name}" is {column.type.name}, which has no order'
        yield MistakeError(message, "remove between, or change the type", code="conflict")
        return
    yield from unfit(ends, name, column, _can_end)


def _can_end(kind: str, value: Value) -> bool:
    # a range of whole numbers may end between two of them
    return is_number(value) if kind == "integer" else can_be(kind, value)


KIND = ColumnCheckKind(
    name="between",
    model=Range,
    description="Allowed range, both ends included.",
    examples=([0, 6000],),
    words=_words,
    label=_label,
    condition=_condition,
    mistakes=_mistakes,
    schemas={
        **{kind: {"items": schema} for kind, schema in SCHEMAS.items()},
        "integer": {"items": SCHEMAS["float"]},
        **dict.fromkeys(_UNORDERED, False),
    },
    schema={
        "anyOf": [
            {"items": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"\$\{"}]}},
            {"items": SCHEMAS["text"]},
        ]
    },
    compares=True,
)
