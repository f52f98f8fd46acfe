"""When a DAG runs: at times, every so often, or when the tables that it reads have loaded their window."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, shown
from elt_factory.config.models.base import Model
from elt_factory.config.models.cron import CRON_SCHEMA, Cron, plain_cron
from elt_factory.config.models.durations import PositiveDuration, format_duration
from elt_factory.config.models.schema_patterns import DAY, NOT_TOO_LONG, SOME_TIME, not_both
from elt_factory.config.models.values import Date, Flag

_WAYS = ("cron", "every", "assets")
_LONGEST_SEARCH = 100
BUSINESS_DAYS = range(5)


def _one_or_several(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


_ASSET = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$"


def _check_asset(value: Any) -> Any:
    if isinstance(value, str) and not re.match(_ASSET, value):
        hint = "write the name of a source, like flights, or of one of its tables, like flights.planes"
        raise MistakeError(f"invalid source or table {shown(value)}", hint, code="bad-name")
    return value


AssetName = Annotated[str, BeforeValidator(_check_asset), WithJsonSchema({"type": "string", "pattern": _ASSET})]


class Schedule(Model):
    """When runs start. Each run covers the time since the previous one; a single cron expression may replace it."""

    plain_key: ClassVar[str] = "cron"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "every": (SOME_TIME, NOT_TOO_LONG),
        "holidays": (rf"{DAY}$",),
    }
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both(*_WAYS),
        {"dependencies": {"business_days": ["cron"], "holidays": ["business_days"]}},
    )

    cron: Annotated[tuple[Cron, ...], BeforeValidator(_one_or_several)] | None = Field(
        None,
        min_length=1,
        description="Cron expression, or several: a run starts, and its window ends, at each of their times.",
        examples=[["0 6 * * *", "0 18 * * 1-5"]],
    )
    every: PositiveDuration | None = Field(
        None, description="Time between two runs, counted from midnight of start_date.", examples=["6h"]
    )
    assets: tuple[AssetName, ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Sources, or tables as source.table. A run starts for a window of the first once the loads of all of them "
            "cover it, in backfills too."
        ),
        examples=[["flights", "weather.observations"]],
    )
    business_days: Flag = Field(
        False,
        description="Whether to leave out times of `cron` on Saturdays, Sundays and holidays.",
        examples=[True],
    )
    holidays: tuple[Date, ...] = Field(
        (), description="Days that are not business days.", examples=[["2026-12-25", "2027-01-01"]]
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return {"cron": [plain_cron(given)]} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        named = [name for name in _WAYS if getattr(self, name) is not None]
        if not named:
            raise MistakeError("a schedule needs `cron`, `every` or `assets`", "write one of them", code="incomplete")
        if len(named) > 1:
            message = f"`{named[0]}` and `{named[1]}` exclude each other"
            raise MistakeError(message, "keep one of them", at=(named[1], KEY), code="conflict")
        if self.business_days and self.cron is None:
            message = f"`business_days` has no effect on `{named[0]}`"
            raise MistakeError(message, "write times with cron:", at=("business_days",), code="conflict")
        if self.holidays and not self.business_days:
            hint = "add business_days: true"
            raise MistakeError("`holidays` have no effect without `business_days`", hint, at=("holidays",))
        return self

    @model_validator(mode="after")
    def _comes(self) -> Self:
        if self.business_days and not any(map(self.is_business_day, self._first_days())):
            message = "no time of this schedule is on a business day"
            raise MistakeError(message, "remove `business_days`, or choose other days", at=("cron",), code="conflict")
        return self

    def _first_days(self) -> Iterator[date]:
        from croniter import croniter

        for expression in self.cron or ():
            times = croniter(expression, datetime(2024, 1, 1))  # noqa: DTZ001 - days of a calendar, in no zone
            for _ in range(_LONGEST_SEARCH):
                yield times.get_next(datetime).date()

    def is_business_day(self, day: date) -> bool:
        """Whether a day is from Monday to Friday and not a holiday."""
        return day.weekday() in BUSINESS_DAYS and day not in self.holidays

    @property
    def awaited(self) -> Mapping[str, tuple[str, ...]]:
        """The tables that it waits for, by source; none for all that a source loads."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.assets or ():
            source, _, table = name.partition(".")
            whole = not table or found.get(source) == ()
            found[source] = () if whole else (*found.get(source, ()), table)
        return found

    @property
    def single_cron(self) -> str | None:
        """The cron expression, where the schedule is that alone."""
        return self.cron[0] if self.cron and len(self.cron) == 1 and not self.business_days else None

    def __str__(self) -> str:
        """Return it for people."""
        if self.assets:
            return f"when {', '.join(self.assets)} have loaded a window"
        if self.every:
            return f"every {format_duration(self.every)}"
        days = " on business days" if self.business_days else ""
        return f"{', '.join(self.cron or ())}{days}"


def or_cron(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that a cron expression may appear where the mapping does."""
    schema["anyOf"].insert(0, {"type": "string", "pattern": CRON_SCHEMA})
