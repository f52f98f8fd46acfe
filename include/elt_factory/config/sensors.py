"""What a run waits for. Each sensor is a mapping with one key, its kind, and how long to wait."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config import secrets
from elt_factory.config.base import Model
from elt_factory.config.checks import Freshness, require_one
from elt_factory.config.errors import MistakeError, raise_found
from elt_factory.config.templates import Verbatim
from elt_factory.config.values import (
    ConnectionId,
    Duration,
    FilePattern,
    Name,
    PlainQuery,
    PositiveDuration,
    format_duration,
)


def _check_path(value: str) -> str:
    raise_found(secrets.in_path(value))
    return value


OpenPath = Annotated[Verbatim, AfterValidator(_check_path)]


class HttpReady(Model):
    """A URL answers with a 2xx status."""

    connection: ConnectionId = Field(description="Airflow connection of the server.", examples=["flights_api"])
    path: OpenPath = Field("/", description="Path to request.", examples=["/health"])


class FileReady(Model):
    """Files that match a pattern are there."""

    connection: ConnectionId | None = Field(
        None, description="Airflow connection of type fs.", examples=["weather_files"]
    )
    path: FilePattern = Field(description="Name pattern, as in a table's `path`.", examples=["weather_%Y-%m.csv"])


class SqlReady(Model):
    """A query's first value is true."""

    connection: ConnectionId = Field(description="Airflow connection of the database.", examples=["fleet_db"])
    query: PlainQuery = Field(
        description="Query whose first value must be true.", examples=["select count(*) > 0 from planes"]
    )


class SourceReady(Model):
    """Another source's load for this window is committed, and its business date is fresh enough."""

    name: Name = Field(description="Name of the source.", examples=["fleet"])
    tables: tuple[Name, ...] = Field((), description="Tables to wait for. By default, all.", examples=[["planes"]])
    business_date_within: Duration | None = Field(
        None,
        description="Largest gap between its newest business date and the end of the window.",
        examples=["26h"],
    )


class TableFresh(Freshness):
    """One of this source's tables is fresh."""

    table: Name = Field(description="Name of the table.", examples=["flights"])


class Sensor(Model):
    """One thing to wait for."""

    http: HttpReady | None = Field(
        None, description="Wait until a URL responds.", examples=[{"connection": "flights_api", "path": "/health"}]
    )
    file: FileReady | None = Field(
        None, description="Wait until files exist.", examples=[{"path": "weather_%Y-%m.csv"}]
    )
    sql: SqlReady | None = Field(
        None,
        description="Wait until a query returns true.",
        examples=[{"connection": "fleet_db", "query": "select count(*) > 0 from planes"}],
    )
    freshness: TableFresh | None = Field(
        None,
        description="Wait until a table of this source is fresh.",
        examples=[{"table": "flights", "business_date_within": "26h"}],
    )
    source: SourceReady | None = Field(
        None, description="Wait until another source has loaded this window.", examples=[{"name": "fleet"}]
    )
    timeout: PositiveDuration = Field(
        "6h",
        validate_default=True,
        description="Time to wait before the sensor fails.",
        examples=["2h"],
    )
    poke_interval: PositiveDuration = Field(
        "1m",
        validate_default=True,
        description="Pause after the first check. It doubles up to ten times that, at most 15m.",
        examples=["5m"],
    )

    @property
    def kind(self) -> str:
        """The kind that is set: http, file, sql, freshness or source."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def spec(self) -> Any:
        """The model of the kind that is set."""
        return getattr(self, self.kind)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        require_one("sensor", {kind: getattr(self, kind) for kind in _KINDS})
        # the default looks every minute: a shorter timeout alone means that it looks once
        if "poke_interval" in self.model_fields_set and self.poke_interval > self.timeout:
            message = f"poke_interval exceeds the timeout of {format_duration(self.timeout)}, so the sensor checks once"
            raise MistakeError(
                message, "write a timeout longer than poke_interval", at=("poke_interval",), code="conflict"
            )
        return self


_KINDS = ("http", "file", "sql", "freshness", "source")


class Sensors(Model):
    """What to wait for, and before what."""

    before_extract: tuple[Sensor, ...] = Field(
        (),
        description="Sensors that run before anything is read.",
        examples=[[{"http": {"connection": "flights_api", "path": "/health"}}]],
    )
    before_transform: tuple[Sensor, ...] = Field(
        (), description="Sensors that run after the loads and before dbt.", examples=[[{"source": {"name": "fleet"}}]]
    )
