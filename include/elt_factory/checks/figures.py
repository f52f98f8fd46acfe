"""A check of one figure of a column, as its sum or mean, over the rows of a load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from elt_factory.checks.against import Against, judged, limit_words
from elt_factory.checks.history import Figure
from elt_factory.checks.kind import WHERE, Checking, ColumnCheckKind, Outcome, Scanned
from elt_factory.checks.values import NOT_A_NUMBER, hashed, not_a_number
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.table import Column


def figure_kind(metric: str, aggregate: Callable[[str], str], description: str) -> ColumnCheckKind:
    """Return the kind of check of a figure.

    Args:
        metric: Its name, in the YAML, in `_elt.metrics` and in messages.
        aggregate: The SQL of the figure, of that of a value.
        description: What must hold, in one sentence.
    """

    def look(rule: Against, name: str, checking: Checking) -> Scanned | None:
        rows = checking.rows
        if rows is None:
            return None

        def judge(values: Sequence[Any]) -> Outcome:
            found = None if values[0] is None else float(values[0])
            figure = Figure(name, metric, found, where=rows.where)
            before = checking.history().of(figure, rule.compared_with) if rule.within is not None else []
            known = [earlier.value for earlier in before if earlier.value is not None]
            return Outcome(judged(f"the {metric}", found, rule, known), figures=(figure,))

        value = rows.column(name) if name in rows.columns else "CAST(NULL AS DOUBLE)"
        # a DOUBLE, as what is kept: a sum of DECIMALs may have more digits than a number of the warehouse
        return Scanned((f"CAST({aggregate(rows.only(value))} AS DOUBLE)",), judge)

    def mistakes(_: Against, name: str, column: Column) -> Iterator[MistakeError]:
        yield from hashed(metric, name, column)
        yield from not_a_number(metric, name, column)

    return ColumnCheckKind(
        name=metric,
        model=Against,
        description=description,
        examples=({"within": "20%", "of": "same_weekday"},),
        words=limit_words,
        label=lambda _: metric,
        look=look,
        options=frozenset({WHERE}),
        mistakes=mistakes,
        schemas=dict.fromkeys(NOT_A_NUMBER, False),
        compares=True,
    )
