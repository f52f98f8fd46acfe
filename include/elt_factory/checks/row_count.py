"""Number of rows of a load: absolute, or relative to earlier loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.checks.kind import Checking, Outcome, TableCheckKind
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.values import Share, Whole
from elt_factory.core.verdict import Verdict

_TRAILING = {"trailing_7_runs": 7, "trailing_30_runs": 30}


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
    of: Literal["trailing_7_runs", "trailing_30_runs"] | None = Field(
        None,
        description="Loads that `within` compares with. Default: trailing_7_runs.",
        examples=["trailing_30_runs"],
    )

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        if self.min is None and self.max is None and self.within is None:
            raise MistakeError("row_count needs a limit", "write min, max or within", code="incomplete")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise MistakeError(
                f"empty range: min {self.min} is greater than max {self.max}",
                "swap min and max",
                at=("max",),
                code="conflict",
            )
        if self.within is None and self.of is not None:
            hint = "add within: 20%, or remove `of`"
            raise MistakeError("`of` has no effect without `within`", hint, at=("of",))
        return self

    @property
    def compared_with(self) -> Literal["trailing_7_runs", "trailing_30_runs"]:
        """The loads that `within` compares with."""
        return self.of or "trailing_7_runs"


def _look(rule: RowCount, checking: Checking) -> Outcome:
    return Outcome(_verdict(rule, checking))


def _verdict(rule: RowCount, checking: Checking) -> Verdict:
    from elt_factory.warehouse import state

    warehouse, request = checking.warehouse, checking.request
    count = state.load_size(warehouse, request.load_id)
    if rule.min is not None and count < rule.min:
        return Verdict(False, f"the load has {count} rows; the minimum is {rule.min}")
    if rule.max is not None and count > rule.max:
        return Verdict(False, f"the load has {count} rows; the maximum is {rule.max}")
    if rule.within is None:
        return Verdict(True, f"the load has {count} rows")
    before = state.load_sizes(
        warehouse, request.config.name, request.table, request.window.start, _TRAILING[rule.compared_with]
    )
    if not before:
        return Verdict(True, f"the load has {count} rows; no earlier load to compare with")
    mean = sum(before) / len(before)
    message = f"the load has {count} rows; the previous {len(before)} have {mean:.0f} on average"
    return Verdict(abs(count - mean) <= rule.within * mean, f"{message}; the allowed deviation is {rule.within:.0%}")


def _words(rule: RowCount) -> str:
    named = (("min", rule.min), ("max", rule.max))
    limits = [f"{name} {limit:,}" for name, limit in named if limit is not None]
    if rule.within is not None:
        limits.append(f"within {rule.within:.0%} of {rule.compared_with.replace('_', ' ')}")
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
)
