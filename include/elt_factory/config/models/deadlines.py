"""When a run must finish, or a table be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.schema_patterns import SOME_TIME
from elt_factory.config.models.values import Share, TimeOfDay, TimeZone

Runs = Literal["scheduled", "manual", "backfill"]
RUNS: tuple[Runs, ...] = ("scheduled", "manual", "backfill")
_WAYS = ("by", "within", "within_usual")
_NONE = "a deadline needs `by`, `within` or `within_usual`"


class Deadline(Model):
    """When it must be done: by a time of day, this long after the run was queued, or against what is usual."""

    plain_key: ClassVar[str] = "within"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "within_usual": (SOME_TIME,),
        "warn_at": (r"^[0-9]{1,2}(\.[0-9]+)?\s*%$", SOME_TIME),
    }

    by: TimeOfDay | None = Field(None, description="Time of day after the end of the window.", examples=["06:00"])
    timezone: TimeZone | None = Field(
        None, description="Time zone of `by`. By default, that of the schedule.", examples=["America/New_York"]
    )
    within: PositiveDuration | None = Field(None, description="Time allowed after queueing.", examples=["2h"])
    within_usual: Share | None = Field(
        None,
        description=(
            "Time allowed after queueing, as a share of the median of the last 10 runs that succeeded. With fewer than "
            "5 of them there is no deadline yet."
        ),
        examples=["150%"],
    )
    warn_at: Share | None = Field(
        None,
        description=(
            "Share of the time allowed after which a warning is logged and kept in `_elt.quality_results`. With `by`, "
            "the time allowed begins at the end of the window."
        ),
        examples=["80%"],
    )
    runs: tuple[Runs, ...] | None = Field(
        None,
        min_length=1,
        description="Runs that have the deadline. By default all; with `by`, scheduled ones.",
        examples=[["scheduled", "manual"]],
    )

    @property
    def of_runs(self) -> tuple[Runs, ...]:
        """The runs that have it."""
        return self.runs or (("scheduled",) if self.by is not None else RUNS)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in _WAYS if getattr(self, name) is not None]
        if not given:
            raise MistakeError(_NONE, 'write by: "06:00" or within: 2h', code="incomplete")
        if len(given) > 1:
            hint = "keep one of them; write null to unset one that comes from the defaults"
            message = f"`{given[0]}` and `{given[1]}` exclude each other"
            raise MistakeError(message, hint, at=(given[1], KEY), code="conflict")
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.within_usual is not None and not self.within_usual:
            raise MistakeError("this allows no time at all", "write a share like 150%", at=("within_usual",))
        if self.warn_at is not None and not 0 < self.warn_at < 1:
            hint = "write a share above 0% and below 100%, like 80%"
            raise MistakeError("a warning at this share comes never, or with the miss", hint, at=("warn_at",))
        return self
