"""What a run waits for. Each sensor is a mapping with one key, its kind, and how long to wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import PositiveDuration, format_duration
from elt_factory.config.models.one_kind import OneKind
from elt_factory.config.models.schema_patterns import NOT_TOO_LONG, SOME_TIME
from elt_factory.core.kinds import Door

if TYPE_CHECKING:
    from elt_factory.config.models.table import Table

Stage = Literal["before_extract", "before_transform"]
OnTimeout = Literal["fail", "skip", "continue"]
STAGES: tuple[Stage, ...] = ("before_extract", "before_transform")
_BUILT_IN = ("http", "file", "sql", "freshness", "source", "asset", "dag", "time", "python")
SENSORS: Door[Any] = Door(
    "elt_factory.sensors",
    {name: f"elt_factory.sensors.{name}:KIND" for name in _BUILT_IN},
    takes="elt_factory.sensors.kind:SensorKind",
)


@dataclass(frozen=True)
class Awaited:
    """Tables of the warehouse that a sensor waits for.

    Args:
        source: The config that loads them; "" for the sensor's own.
        tables: Their names; none for all that the source loads.
        business_date_within: How late their business date may be, where that is looked at.
    """

    source: str
    tables: tuple[str, ...]
    business_date_within: timedelta | None = None


@dataclass(frozen=True)
class Setting:
    """Where a sensor is in its config: what a kind may judge it by. `folder` is that of the config's own files."""

    stage: Stage
    tables: Mapping[str, Table]
    folder: str | None = None
    name: str = ""


class Sensor(OneKind):
    """A condition to wait for."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "timeout": (SOME_TIME, NOT_TOO_LONG),
        "poke_interval": (SOME_TIME, NOT_TOO_LONG),
    }

    door: ClassVar[Door[Any]] = SENSORS
    called: ClassVar[str] = "sensor"

    timeout: PositiveDuration = Field(
        "6h",
        validate_default=True,
        description="Longest time to wait; `on_timeout` says what follows.",
        examples=["2h"],
    )
    on_timeout: OnTimeout = Field(
        "fail",
        description=(
            "What a timeout does: fail the task, skip what comes after it in the run, or continue with a warning in "
            "the log and in `_elt.quality_results`."
        ),
        examples=["continue"],
    )
    poke_interval: PositiveDuration = Field(
        "1m",
        validate_default=True,
        description="Pause after the first check. It doubles up to ten times that, at most 15m.",
        examples=["5m"],
    )

    @property
    def awaited(self) -> Awaited | None:
        """The tables of the warehouse that it waits for; None for one that asks something else."""
        found: Awaited | None = SENSORS.get(self.kind).awaits(self.spec)
        return found

    @property
    def words(self) -> str:
        """What it waits for, for people."""
        return str(SENSORS.get(self.kind).words(self.spec))

    def mistakes(self, setting: Setting) -> Iterator[MistakeError]:
        """Yield what cannot be true of it in its config; the places are below the sensor."""
        for mistake in SENSORS.get(self.kind).mistakes(self.spec, setting):
            yield MistakeError(mistake.message, mistake.hint, at=(self.kind, *mistake.at), code=mistake.code)

    @model_validator(mode="after")
    def _looks_twice(self) -> Self:
        # the default looks every minute: a shorter timeout alone means that it looks once
        if "poke_interval" in self.model_fields_set and self.poke_interval > self.timeout:
            message = f"poke_interval exceeds the timeout of {format_duration(self.timeout)}, so the sensor checks once"
            raise MistakeError(
                message, "write a timeout longer than poke_interval", at=("poke_interval",), code="conflict"
            )
        return self


class Sensors(Model):
    """Conditions to wait for, before extract or before transform."""

    before_extract: tuple[Sensor, ...] = Field(
        (),
        description="Sensors that run before anything is read.",
        examples=[[{"http": {"connection": "flights_api", "path": "/health"}}]],
    )
    before_transform: tuple[Sensor, ...] = Field(
        (), description="Sensors that run after the loads and before dbt.", examples=[[{"source": {"name": "fleet"}}]]
    )
