"""Wait until a time of day, on a business day where that is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schedule import BUSINESS_DAYS
from elt_factory.config.models.schema_patterns import CLOCK, DAY, any_of
from elt_factory.config.models.values import Date, Flag, TimeOfDay, TimeZone
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import iso_utc
from elt_factory.sensors.kind import Look, SensorKind

_LONGEST_PAUSE = 366  # days


class TimeReached(Model):
    """Wait until a time of day, on the day on which the window ends or the business day after it."""

    plain_key: ClassVar[str] = "not_before"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"not_before": (rf"^{CLOCK}$",), "holidays": (rf"{DAY}$",)}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        any_of("not_before", "business_days"),
        {"dependencies": {"holidays": ["business_days"]}},
    )

    not_before: TimeOfDay | None = Field(None, description="Time of day. By default, midnight.", examples=["06:00"])
    timezone: TimeZone | None = Field(
        None, description="Time zone of the clock. By default, that of the config.", examples=["America/New_York"]
    )
    business_days: Flag = Field(
        False,
        description="Whether to wait on Saturdays, Sundays and holidays for the next business day.",
        examples=[True],
    )
    holidays: tuple[Date, ...] = Field(
        (), description="Days that are not business days.", examples=[["2026-12-25", "2027-01-01"]]
    )

    @model_validator(mode="after")
    def _something_to_wait_for(self) -> Self:
        if self.not_before is None and not self.business_days:
            hint = 'write not_before: "06:00" or business_days: true'
            raise MistakeError("there is no time to wait for", hint, code="incomplete")
        if self.holidays and not self.business_days:
            hint = "add business_days: true"
            raise MistakeError("`holidays` have no effect without `business_days`", hint, at=("holidays",))
        return self

    def counts(self, day: date) -> bool:
        """Whether the wait may end on a day."""
        return not self.business_days or (day.weekday() in BUSINESS_DAYS and day not in self.holidays)


def _poke(spec: TimeReached, look: Look) -> Verdict:
    moment = _moment(spec, look.window.end, spec.timezone or look.config.timezone)
    now = datetime.now(UTC)
    message = f"{look.config.name}: it is {iso_utc(now.replace(microsecond=0))}, and {iso_utc(moment)} is waited for"
    if now < moment:
        return Verdict(False, message, next_look=moment)
    return Verdict(True, f"{look.config.name}: {iso_utc(moment)} is past")


def _moment(spec: TimeReached, end: datetime, zone: str) -> datetime:
    """Return the instant at which the clock shows the time, on the first day that counts from a window's end on."""
    first = end.astimezone(ZoneInfo(zone)).date()
    days = (first + timedelta(days=ahead) for ahead in range(_LONGEST_PAUSE))
    day = next(filter(spec.counts, days), first)
    return datetime.combine(day, spec.not_before or time(), ZoneInfo(zone)).astimezone(UTC)


def _words(spec: TimeReached) -> str:
    zone = f" {spec.timezone}" if spec.timezone else ""
    at = f"not before {spec.not_before:%H:%M}{zone}" if spec.not_before else "a day"
    return f"{at}, on business days" if spec.business_days else at


def _about(_: TimeReached) -> str:
    return ""


KIND = SensorKind(
    name="time",
    model=TimeReached,
    description="Wait until a time of day, on business days where that is asked.",
    examples=({"not_before": "06:00"},),
    poke=_poke,
    words=_words,
    about=_about,
)
