"""Number of rows of a load: absolute, relative to earlier loads, or to what the source itself counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.checks.against import check_limits
from elt_factory.checks.counting import LoadedRows, counted_rows
from elt_factory.checks.history import RUNS, Figure, chosen_by
from elt_factory.checks.kind import WHERE, Checking, Look, Outcome, Scanned, TableCheckKind
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.values import Share, Whole
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict

_MANY = 2000  # loads among which those of a weekday are looked for


class RowCount(Model):
    """Number of rows of a load: absolute, or relative to earlier loads."""

    plain_key: ClassVar[str] = "min"
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        any_of("min", "max", "within"),
        {"dependencies": {"of": ["within"]}},
    )

    min: Whole | None = Field(None, ge=0, description="Minimum.", examples=[1])
    max: Whole | None = Field(None, ge=0, description="Maximum.", examples=[1_000_000])
    within: Share | None = Field(None, description="Largest deviation from the mean of `of`.", examples=["20%"])
    of: Literal["trailing_7_runs", "trailing_30_runs", "same_weekday", "source"] | None = Field(
        None,
        description=(
            "What `within` compares with: the last 7 loads, the last 30, the last 4 of the same weekday, or the number "
            "of rows that the source itself counts in the window (`sql`; `rest_api` with `total` in its paginator), "
            "or that its files declare or have (`files`). "
            "Default: trailing_7_runs."
        ),
        examples=["same_weekday"],
    )

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        check_limits(self, "row_count")
        return self

    @property
    def compared_with(self) -> Literal["trailing_7_runs", "trailing_30_runs", "same_weekday", "source"]:
        """What `within` compares with."""
        return self.of or "trailing_7_runs"


def _look(rule: RowCount, checking: Checking) -> Look:
    from elt_factory.warehouse import state

    if checking.rows is not None and checking.rows.where:
        return _some_rows(rule, checking, checking.rows)
    count = state.load_size(checking.warehouse, checking.request.load_id)
    return Outcome(_absolute(rule, count) or _of_source(rule, count, checking) or _of_loads(rule, count, checking))


def _some_rows(rule: RowCount, checking: Checking, rows: LoadedRows) -> Scanned:
    """Count the rows of `where`; what earlier loads had of them was measured then."""

    def judge(values: Sequence[Any]) -> Outcome:
        count = int(values[0])
        figure = Figure("", "rows", count, where=rows.where)
        before: list[int] = []
        if rule.within is not None and rule.compared_with != "source":
            earlier = checking.history().of(figure, rule.compared_with)
            before = [int(known.value) for known in earlier if known.value is not None]
        return Outcome(_absolute(rule, count) or _compared(rule, count, before), figures=(figure,))

    return Scanned((counted_rows(rows),), judge)


def _absolute(rule: RowCount, count: int) -> Verdict | None:
    if rule.min is not None and count < rule.min:
        return Verdict(False, f"the load has {amount(count, 'row')}; the minimum is {rule.min}")
    if rule.max is not None and count > rule.max:
        return Verdict(False, f"the load has {amount(count, 'row')}; the maximum is {rule.max}")
    return None if rule.within is not None else Verdict(True, f"the load has {amount(count, 'row')}")


def _of_source(rule: RowCount, count: int, checking: Checking) -> Verdict | None:
    if rule.compared_with != "source" or rule.within is None:
        return None
    from elt_factory.warehouse import state

    ask = checking.request.source_count
    there = ask() if ask else None
    if there is None:
        return Verdict(True, f"the load has {amount(count, 'row')}; the source cannot say how many it has")
    # what was read and is not in the table is counted as rejects, duplicates and so on, by each load
    _, read = state.rejected_of(checking.warehouse, checking.request.load_id)
    holds = abs(read - there) <= rule.within * there
    message = f"the load read {amount(read, 'row')}; the source has {there}"
    return Verdict(holds, f"{message}; the allowed deviation is {rule.within * 100:g}%")


def _of_loads(rule: RowCount, count: int, checking: Checking) -> Verdict:
    from elt_factory.warehouse import state

    request, compared = checking.request, rule.compared_with
    if compared == "source":
        return Verdict(True, f"the load has {amount(count, 'row')}")
    limit = _MANY if compared == "same_weekday" else RUNS[compared]
    sizes = state.load_sizes(checking.warehouse, request.config.name, request.table, request.window.start, limit)
    chosen = chosen_by(compared, request.window.start, request.config.timezone, [start for start, _ in sizes])
    return _compared(rule, count, [sizes[place][1] for place in chosen])


def _compared(rule: RowCount, count: int, before: Sequence[int]) -> Verdict:
    if not before or rule.within is None:
        return Verdict(True, f"the load has {amount(count, 'row')}; no earlier load to compare with")
    mean = sum(before) / len(before)
    previous = amount(len(before), "load has", "loads have")
    message = f"the load has {amount(count, 'row')}; the previous {previous} {mean:.0f} on average"
    allowed = f"the allowed deviation is {rule.within * 100:g}%"
    return Verdict(abs(count - mean) <= rule.within * mean, f"{message}; {allowed}")


def _words(rule: RowCount) -> str:
    named = (("min", rule.min), ("max", rule.max))
    limits = [f"{name} {limit:,}" for name, limit in named if limit is not None]
    if rule.within is not None:
        limits.append(f"within {rule.within * 100:g}% of {rule.compared_with.replace('_', ' ')}")
    return ", ".join(limits)


def _label(_: RowCount) -> str:
    return "row count"


KIND = TableCheckKind(
    name="row_count",
    model=RowCount,
    description="Limits on the number of rows of the load.",
    examples=({"within": "20%", "of": "trailing_7_runs"},),
    words=_words,
    label=_label,
    look=_look,
    options=frozenset({WHERE}),
)
