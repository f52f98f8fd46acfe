"""A figure of a load against limits, and against the same figure of earlier loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from elt_factory.checks.history import Compared
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.values import Number, Share
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict


class Against(Model):
    """Limits of a figure: absolute, or relative to earlier loads."""

    plain_key: ClassVar[str] = "within"
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        any_of("min", "max", "within"),
        {"dependencies": {"of": ["within"]}},
    )

    min: Number | None = Field(None, description="Minimum.", examples=[0])
    max: Number | None = Field(None, description="Maximum.", examples=[6000])
    within: Share | None = Field(None, description="Largest deviation from the mean of `of`.", examples=["20%"])
    of: Compared | None = Field(
        None,
        description=(
            "Loads that `within` compares with: the last 7, the last 30, or the last 4 of the same weekday. "
            "Default: trailing_7_runs."
        ),
        examples=["same_weekday"],
    )

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        check_limits(self, "the check")
        return self

    @property
    def compared_with(self) -> Compared:
        """The loads that `within` compares with."""
        return self.of or "trailing_7_runs"


def check_limits(rule: Any, what: str) -> None:
    """Refuse limits that say nothing, or that nothing fulfils.

    Raises:
        MistakeError: there is no limit, an empty range, or `of` without `within`.
    """
    if rule.min is None and rule.max is None and rule.within is None:
        raise MistakeError(f"{what} needs a limit", "write min, max or within", code="incomplete")
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        raise MistakeError(
            f"empty range: min {rule.min} is greater than max {rule.max}",
            "swap min and max",
            at=("max",),
            code="conflict",
        )
    if rule.within is None and rule.of is not None:
        hint = "add within: 20%, or remove `of`"
        raise MistakeError("`of` has no effect without `within`", hint, at=("of",))


def limit_words(rule: Any) -> str:
    """Return the limits in words."""
    named = (("min", rule.min), ("max", rule.max))
    limits = [f"{name} {number_words(limit)}" for name, limit in named if limit is not None]
    if rule.within is not None:
        limits.append(f"within {rule.within * 100:g}% of {(rule.of or 'trailing_7_runs').replace('_', ' ')}")
    return ", ".join(limits)


def judged(what: str, value: float | None, rule: Against, before: Sequence[float]) -> Verdict:
    """Return whether a figure is within its limits; `what` names it in the message."""
    if value is None:
        return Verdict(True, f"{what} has no value")
    return next(_judged(what, value, rule, before))


def _judged(what: str, value: float, rule: Against, before: Sequence[float]) -> Iterator[Verdict]:
    said = f"{what} is {number_words(value)}"
    if rule.min is not None and value < rule.min:
        yield Verdict(False, f"{said}; the minimum is {number_words(rule.min)}")
    if rule.max is not None and value > rule.max:
        yield Verdict(False, f"{said}; the maximum is {number_words(rule.max)}")
    if rule.within is None:
        yield Verdict(True, said)
    elif not before:
        yield Verdict(True, f"{said}; no earlier load to compare with")
    else:
        mean = sum(before) / len(before)
        loads = f"the previous {amount(len(before), 'load has', 'loads have')} {number_words(mean)} on average"
        holds = abs(value - mean) <= rule.within * abs(mean)
        yield Verdict(holds, f"{said}; {loads}; the allowed deviation is {rule.within * 100:g}%")


def number_words(value: float) -> str:
    """Return a number as people read it: 4 digits of a fraction, and no zeros at its end."""
    return f"{value:,.4f}".rstrip("0").rstrip(".")
