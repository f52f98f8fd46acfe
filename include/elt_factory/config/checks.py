"""Quality checks as a YAML file writes them: each a mapping with one key, its rule, and a severity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from elt_factory.config.base import Model
from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.limits import Freshness
from elt_factory.config.values import ColumnName, Condition, Scalar, Share, Whole

Severity = Literal["warn", "error"]


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
    """Whether the ends of a range stand in the wrong order; numbers in quotes are compared as numbers."""
    try:
        return float(low) > float(high)
    except ValueError:
        return bool(low > high)


Range = Annotated[tuple[Scalar, Scalar], BeforeValidator(_check_range)]


def require_one(what: str, parts: Mapping[str, object]) -> None:
    """MistakeError when not exactly one of the parts of a check or sensor is set."""
    found = [name for name, part in parts.items() if part is not None]
    if not found:
        raise MistakeError(
            f"a {what} needs one rule of {', '.join(parts)}", "add one, or remove the entry", code="incomplete"
        )
    if len(found) > 1:
        message = f"a {what} takes exactly one of {', '.join(parts)}; got {' and '.join(found)}"
        raise MistakeError(message, "write a list entry for each", at=(found[-1], KEY), code="conflict")


class Check(Model):
    """One rule; `error` stops what is downstream, `warn` is recorded and shown."""

    severity: Severity = Field(
        "error",
        description="warn records a failure; error fails the task and blocks everything downstream.",
        examples=["warn"],
    )

    @property
    def rule(self) -> str:
        """The name of the rule that is set."""
        return next(name for name in self._rules() if getattr(self, name) is not None)

    @classmethod
    def _rules(cls) -> tuple[str, ...]:
        return tuple(name for name in cls.model_fields if name not in ("severity", "column"))

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        require_one("check", {name: getattr(self, name) for name in self._rules()})
        return self


class ColumnCheck(Check):
    """A rule for the values of one column, over the rows of the load."""

    not_null: Literal[True] | None = Field(None, description="Every row has a value.", examples=[True])
    unique: Literal[True] | None = Field(None, description="No value is repeated in the table.", examples=[True])
    between: Range | None = Field(None, description="Allowed range, both ends included.", examples=[[0, 6000]])
    accepted_values: tuple[Scalar, ...] | None = Field(
        None, min_length=1, description="Allowed values.", examples=[["EWR", "JFK", "LGA"]]
    )


class RowCount(Model):
    """How many rows a load has: absolute, or against the loads before."""

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


class TableCheck(Check):
    """A rule for a table after the transform."""

    row_count: RowCount | None = Field(
        None,
        description="Limits on the number of rows of the load.",
        examples=[{"within": "20%", "of": "trailing_7_runs"}],
    )
    freshness: Freshness | None = Field(
        None, description="Limits on the age of the table.", examples=[{"business_date_within": "26h"}]
    )
    unique: tuple[ColumnName, ...] | None = Field(
        None,
        min_length=1,
        description="Columns whose combination of values is unique in the table.",
        examples=[["origin", "time_hour"]],
    )
    expression: Condition | None = Field(
        None,
        description="SQL condition that must hold for every row of the load.",
        examples=["arr_delay >= -120"],
    )
