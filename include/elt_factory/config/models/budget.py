"""What a source may cost in a day or month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of, not_both
from elt_factory.config.models.values import Number

Unit = Literal["credits", "seconds"]
Period = Literal["day", "month"]


class Budget(Model):
    """What a source may cost in a day or month; each run looks before it reads anything."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        any_of("credits", "seconds"),
        not_both("credits", "seconds"),
    )

    credits: Number | None = Field(
        None,
        gt=0,
        description="Snowflake credits of its statements. On DuckDB, which has none, this is ignored.",
        examples=[2.5],
    )
    seconds: Number | None = Field(
        None,
        gt=0,
        description="Seconds of its loads, each from the start of reading to the commit, checks and dbt models.",
        examples=[3600],
    )
    per: Period = Field(
        "day", description="Period, which begins at midnight in the time zone of the schedule.", examples=["month"]
    )
    severity: Literal["warn", "error"] = Field(
        "warn",
        description="warn reports that the budget is used up and continues; error also fails the run before it reads.",
        examples=["error"],
    )

    @property
    def unit(self) -> Unit:
        """What is counted."""
        return "credits" if self.credits is not None else "seconds"

    @property
    def limit(self) -> float:
        """How much of it."""
        return float(self.credits or self.seconds or 0)

    @property
    def words(self) -> str:
        """The budget in words."""
        then = "runs fail" if self.severity == "error" else "a warning"
        return f"{self.limit:g} {self.unit} a {self.per}, then {then}"

    def began(self, now: datetime, zone: str) -> datetime:
        """Return when the period that a moment is in began."""
        here = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        return here if self.per == "day" else here.replace(day=1)

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.credits is None and self.seconds is None:
            raise MistakeError(
                "a budget needs `credits` or `seconds`", "write credits: 2.5", at=(KEY,), code="incomplete"
            )
        if self.credits is not None and self.seconds is not None:
            raise MistakeError(
                "a budget is either `credits` or `seconds`", "remove one of them", at=("seconds",), code="conflict"
            )
        return self
