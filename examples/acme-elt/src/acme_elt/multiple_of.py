"""A check of a column: its values are multiples of a number."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from elt_factory.checks.counting import LoadedRows, breaking_rows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.config.models.values import Whole


def _statement(rows: LoadedRows, column: str, number: int) -> str:
    return breaking_rows(rows, f"(mod({column}, {rows.dialect.literal(number)}) = 0)")


KIND = ColumnCheckKind(
    name="multiple_of",
    model=Annotated[Whole, Field(gt=0)],
    description="Values are multiples of this number.",
    examples=(5,),
    words=str,
    label=lambda number: f"multiple of {number}",
    statement=_statement,
    schemas=dict.fromkeys(("text", "boolean", "date", "time", "timestamp", "datetime", "json", "binary"), False),
)
