"""Require a value in every row."""

from __future__ import annotations

from typing import Literal

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import ColumnCheckKind


def _condition(_rows: LoadedRows, column: str, _: Literal[True]) -> str:
    return f"({column} IS NOT NULL)"


def _words(_: Literal[True]) -> str:
    return ""


def _label(_: Literal[True]) -> str:
    return "not null"


KIND = ColumnCheckKind(
    name="not_null",
    model=Literal[True],
    description="Require a value in every row.",
    examples=(True,),
    words=_words,
    label=_label,
    condition=_condition,
)
