"""Values are among those that are listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.checks.values import SCHEMAS, Value, hashed, unfit
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import Scalar


def _condition(rows: LoadedRows, column: str, values: tuple[Value, ...]) -> str:
    return f"({column} IN ({', '.join(map(rows.dialect.literal, values))}))"


def _words(values: tuple[Value, ...]) -> str:
    return f"[{', '.join(map(str, values))}]"


def _label(values: tuple[Value, ...]) -> str:
    return f"in {', '.join(map(str, values))}"


def _mistakes(values: tuple[Value, ...], name: str, column: Column) -> Iterator[MistakeError]:
    yield from hashed("accepted_values", name, column)
    yield from unfit(values, name, column)


KIND = ColumnCheckKind(
    name="accepted_values",
    model=Annotated[tuple[Scalar, ...], Field(min_length=1)],
    description="Allowed values.",
    examples=(["EWR", "JFK", "LGA"],),
    words=_words,
    label=_label,
    condition=_condition,
    mistakes=_mistakes,
    schemas={kind: {"items": schema} for kind, schema in SCHEMAS.items()},
    compares=True,
)
