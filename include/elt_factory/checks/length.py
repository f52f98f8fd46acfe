"""Text has a number of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.checks.values import NOT_TEXT, hashed, not_text
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import Whole


class Length(Model):
    """Number of characters of a text."""

    plain_key: ClassVar[str] = "max"
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (any_of("min", "max"),)

    min: Whole | None = Field(None, ge=0, description="Minimum.", examples=[2])
    max: Whole | None = Field(None, ge=0, description="Maximum.", examples=[6])

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        if self.min is None and self.max is None:
            raise MistakeError("length needs a limit", "write min or max", code="incomplete")
        if self.min is not None and self.max is not None and self.min > self.max:
            message = f"empty range: min {self.min} is greater than max {self.max}"
            raise MistakeError(message, "swap min and max", at=("max",), code="conflict")
        return self


def _condition(_rows: LoadedRows, column: str, rule: Length) -> str:
    length = f"length(CAST({column} AS VARCHAR))"
    limits = [f"{length} >= {rule.min}"] if rule.min is not None else []
    limits += [f"{length} <= {rule.max}"] if rule.max is not None else []
    return f"({' AND '.join(limits)})"


def _words(rule: Length) -> str:
    limits = (("min", rule.min), ("max", rule.max))
    return ", ".join(f"{name} {limit}" for name, limit in limits if limit is not None)


def _label(rule: Length) -> str:
    return f"length {_words(rule)}"


def _mistakes(_rule: Length, name: str, column: Column) -> Iterator[MistakeError]:
    yield from hashed("length", name, column)
    yield from not_text("length", name, column)


KIND = ColumnCheckKind(
    name="length",
    model=Length,
    description="Number of characters of every value.",
    examples=({"min": 2, "max": 6},),
    words=_words,
    label=_label,
    condition=_condition,
    mistakes=_mistakes,
    schemas=dict.fromkeys(NOT_TEXT, False),
    compares=True,
)
