"""A load has the columns and types of the load before it."""

from __future__ import annotations

from typing import Literal

from elt_factory.checks.kind import Checking, Outcome, TableCheckKind
from elt_factory.core.verdict import Verdict
from elt_factory.warehouse import state


def _look(_: Literal[True], checking: Checking) -> Outcome:
    request = checking.request
    changes = state.schema_changes(checking.warehouse, request.config.name, request.table, request.load_id)
    message = "; ".join(changes) if changes else "the schema is unchanged"
    return Outcome(Verdict(not changes, message))


def _words(_: Literal[True]) -> str:
    return ""


def _label(_: Literal[True]) -> str:
    return "schema unchanged"


KIND = TableCheckKind(
    name="schema_unchanged",
    model=Literal[True],
    description="Require the columns and types of the load before: none new, none missing, none of another type.",
    examples=(True,),
    words=_words,
    label=_label,
    look=_look,
)
