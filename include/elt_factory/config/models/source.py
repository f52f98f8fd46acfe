"""One config: a source with its tables, or a transform across sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config.errors import KEY, MistakeError, near_name, raise_found
from elt_factory.config.models import secrets
from elt_factory.config.models.alerts import Alerts
from elt_factory.config.models.base import Model
from elt_factory.config.models.budget import Budget
from elt_factory.config.models.checks import BEFORE, TABLE_CHECKS, CheckStage, TableCheck
from elt_factory.config.models.column_rules import column_mistakes
from elt_factory.config.models.compute import Compute, or_name
from elt_factory.config.models.deadlines import Deadline
from elt_factory.config.models.durations import PositiveDuration, format_duration
from elt_factory.config.models.pods import Pods
from elt_factory.config.models.remote_jobs import AfterJob, RemoteJob
from elt_factory.config.models.retention import Retention
from elt_factory.config.models.schedule import Schedule, or_cron
from elt_factory.config.models.sensors import STAGES, Sensor, Sensors, Setting, Stage
from elt_factory.config.models.table import Path, Table
from elt_factory.config.models.template_rules import template_mistakes
from elt_factory.config.models.templates import Verbatim
from elt_factory.config.models.values import (
    ConnectionId,
    Date,
    Flag,
    Name,
    ParamName,
    ParamValue,
    Text,
    TimeZone,
    Whole,
)
from elt_factory.core.kinds import Door


def _check_run_params(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_params(value))
    return value


RunParams = Annotated[dict[ParamName, ParamValue], AfterValidator(_check_run_params)]

_SCHEMA, _DATABASE = "the warehouse has a schema of that name", "DuckDB has a database of that name"
# DuckDB cannot tell a schema from a database; the file data/warehouse.duckdb is one that is called warehouse
RESERVED_NAMES: Mapping[str, str] = {
    "information_schema": _SCHEMA,
    "pg_catalog": _SCHEMA,
    "system": _DATABASE,
    "temp": _DATABASE,
    "warehouse": _DATABASE,
}


class Retries(Model):
    """How often and how fast to retry transient failures."""

    plain_key: ClassVar[str] = "count"

    count: Whole = Field(3, ge=0, le=20, description="Retries after the first attempt.", examples=[5])
    delay: PositiveDuration = Field(
        "1m",
        validate_default=True,
        description="Delay before the first retry. It doubles with each retry.",
        examples=["30s"],
    )
    max_delay: PositiveDuration = Field(
        "30m",
        validate_default=True,
        description="Maximum delay between retries.",
        examples=["1h"],
    )

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.delay > self.max_delay:
            longest = format_duration(self.max_delay)
            message = f"delay is longer than max_delay ({longest})"
            hint = f"write max_delay: {format_duration(self.delay)} or more"
            raise MistakeError(message, hint, at=("delay",), code="conflict")
        return self


class Dbt(Model):
    """dbt models of this config."""

    plain_key: ClassVar[str] = "select"

    select: Text = Field(description="dbt selector.", examples=["tag:flights"])
    exclude: Verbatim | None = Field(
        None, description="dbt selector of the nodes to exclude.", examples=["tag:nightly"]
    )
    tests: Literal["after_each", "after_all", "build", "none"] = Field(
        "after_each",
        description=(
            "When dbt tests run: in a task after each model (after_each), in one task after all models (after_all), "
            "in the model's own task (build), or never (none)."
        ),
        examples=["after_all"],
    )
    tasks: Literal["per_model", "watched", "one"] = Field(
        "per_model",
        description=(
            "per_model runs and retries each model separately, starting dbt for each. watched starts dbt once for all; "
            "each model's task watches its own result and is retried alone. one runs all in one task."
        ),
        examples=["watched"],
    )
    executable: Text | None = Field(
        None,
        description=(
            "Path of a dbt to start as a separate process, such as dbt 2; the deployment must list it in "
            "ELT_DBT_EXECUTABLES. If unset, dbt runs within its task."
        ),
        examples=["/opt/dbt/bin/dbt"],
    )


class Transform(Model):
    """Transformation to run once the data is loaded."""

    dbt: Dbt | None = Field(None, description="dbt models to run, one task each.", examples=[{"select": "tag:flights"}])


class Pipeline(Model):
    """Settings of every config."""

    version: Literal[1] = Field(1, description="Version of the config language.", examples=[1])
    name: Name = Field(description="Name of the source and of its DAG. Unique.", examples=["flights"])
    description: str = Field("", description="Human-readable description.", examples=["Departures from New York"])
    owner: str = Field("airflow", min_length=1, description="Owner shown in Airflow.", examples=["data-platform"])
    tags: tuple[str, ...] = Field((), description="Tags shown in Airflow.", examples=[["travel"]])
    schedule: Schedule | None = Field(
        None,
        description=(
            "Cron expression, or a mapping with several, an interval, or what must be loaded. Each run covers the time "
            "since the previous one. If unset, runs are manual."
        ),
        examples=["0 3 * * *", {"every": "6h"}, {"assets": ["flights", "weather"]}],
        json_schema_extra=or_cron,
    )
    timezone: TimeZone = Field(
        "UTC", description="Time zone of the schedule and of dates.", examples=["America/New_York"]
    )
    start_date: Date = Field(date(2020, 1, 1), description="First day with data.", examples=["2013-01-01"])
    end_date: Date | None = Field(
        None,
        description="Last day with data: no run begins its window after it. If unset, runs continue.",
        examples=["2013-01-07"],
    )
    catchup: Flag = Field(
        False, description="Whether to run the intervals between start_date and now.", examples=[True]
    )
    deadline: Deadline | None = Field(None, description="Time by which a run must finish.", examples=[{"by": "06:00"}])
    retries: Retries = Field(Retries(), description="How tasks are retried.", examples=[{"count": 5, "delay": "30s"}])
    params: RunParams = Field(
        {},
        description="Values for templates. The trigger form can override them for one run, with the same types.",
        examples=[{"region": "EMEA", "seats": 0}],
    )
    sensors: Sensors = Field(Sensors(), description="Conditions to wait for.", examples=[{"before_extract": []}])
    transform: Transform = Field(
        Transform(), description="Transformation to run after the loads.", examples=[{"dbt": {"select": "tag:flights"}}]
    )
    quality: dict[Name, tuple[TableCheck, ...]] = Field(
        {},
        description="Checks per table.",
        examples=[{"flights": [{"row_count": {"min": 1}}]}],
    )
    after: tuple[AfterJob, ...] = Field(
        (),
        description="Jobs of other systems to start once tables are loaded, transformed and checked, one by one.",
        examples=[[{"tableau": {"site_id": "6f1b", "workbook_id": "a3c9"}, "connection": "tableau_server"}]],
    )
    alerts: Alerts = Field(
        Alerts(),
        description="Which events are reported, and where.",
        examples=[{"on": ["failure"], "to": ["slack_data"]}],
    )
    warehouse: Compute | None = Field(
        None,
        description=(
            "Snowflake virtual warehouse: one name for all steps, or one per step. By default, that of the connection. "
            "Ignored by DuckDB."
        ),
        examples=["LOADING", {"load": "LOADING", "transform": "TRANSFORMING"}],
        json_schema_extra=or_name,
    )
    budget: Budget | None = Field(
        None,
        description="What the source may cost in a day or month. Each run looks before it reads anything.",
        examples=[{"credits": 2.5, "per": "day", "severity": "error"}],
    )
    pods: Pods | None = Field(
        None,
        description=(
            "Memory, cores, image and nodes of the pods of each step's tasks, with the KubernetesExecutor: for all "
            "steps, or per step. Ignored by other executors."
        ),
        examples=[{"extract": {"memory": "4Gi", "cpu": 2}}],
    )

    retention: Retention = Field(
        Retention(),
        description="How long to keep data that no load needs any more.",
        examples=[{"landing": "90d", "rejects": "90d"}],
    )

    environments: dict[Name, dict[str, Any]] = Field(
        {},
        description="Overrides per installation, by name. ELT_ENVIRONMENT selects one.",
        examples=[{"prod": {"deadline": {"within": "1h"}}}],
    )

    @property
    def all_tables(self) -> Mapping[str, Table]:
        """The tables this config loads, by name; none for a transform across sources."""
        return {}

    @property
    def remote_job(self) -> RemoteJob | None:
        """The job of another system that loads the tables by itself; None where ELT Factory loads them."""
        return None

    def place_of(self, table: str) -> tuple[str, str]:
        """Return the schema and the name of a table in the warehouse."""
        return self.all_tables[table].stored_in or (self.name, table)

    def checks_in(self, table: str, stages: Sequence[CheckStage]) -> int:
        """Return how many checks of a table run in some stages; those of its columns come before a transform."""
        of_columns = sum(len(column.checks) for column in self.all_tables[table].columns.values())
        of_table = sum(check.stage in stages for check in self.quality.get(table, ()))
        return of_table + (of_columns if BEFORE in stages else 0)

    @property
    def timetable(self) -> Schedule | None:
        """The schedule, where it is one of times, which end the windows of its runs."""
        return self.schedule if self.schedule and not self.schedule.assets else None

    def with_parents(self, table: str) -> Sequence[str]:
        """Return a table and those that it is read with, without which it cannot be read."""
        found = [table]
        for name in found:
            found += [parent for parent in self.all_tables[name].parents if parent not in found]
        return found

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        raise_found(
            [
                *_name_mistakes(self),
                *_run_mistakes(self),
                *_table_mistakes(self),
                *column_mistakes(self.all_tables, self.quality),
                *template_mistakes(self.all_tables, self.params),
            ]
        )
        return self


def _name_mistakes(config: Pipeline) -> Iterator[MistakeError]:
    if config.name in RESERVED_NAMES:
        yield MistakeError(
            f'"{config.name}" is reserved: {RESERVED_NAMES[config.name]}',
            "choose another name",
            at=("name",),
            code="bad-name",
        )


def _run_mistakes(config: Pipeline) -> Iterator[MistakeError]:
    """Yield what can never run, or would wait for itself."""
    if config.end_date is not None and config.end_date < config.start_date:
        message = f"{config.end_date} is before start_date {config.start_date}: nothing would run"
        yield MistakeError(message, "use a day on or after start_date", at=("end_date",), code="conflict")
    if config.catchup and config.timetable is None:
        hint = "add a schedule:, or remove `catchup`"
        message = f"`catchup` has no effect {'on `assets`' if config.schedule else 'without a schedule'}"
        yield MistakeError(message, hint, at=("catchup",), code="conflict")
    if config.schedule and config.name in config.schedule.awaited:
        hint = "name the sources that it reads from"
        at = ("schedule", "assets", list(config.schedule.awaited).index(config.name))
        yield MistakeError("a config cannot wait for itself", hint, at=at, code="conflict")
    for stage in STAGES:
        for index, sensor in enumerate(getattr(config.sensors, stage)):
            yield from _sensor_mistakes(config, sensor, stage, ("sensors", stage, index))


def _sensor_mistakes(config: Pipeline, sensor: Sensor, stage: Stage, path: Path) -> Iterator[MistakeError]:
    if sensor.awaited and sensor.awaited.source == config.name:
        hint = "name another source, or use a freshness sensor in before_transform"
        at = (*path, sensor.kind, "name")
        yield MistakeError("a source cannot wait for itself", hint, at=at, code="conflict")
    folder = getattr(getattr(config, "extract", None), "folder", None)
    for mistake in sensor.mistakes(Setting(stage, config.all_tables, folder, config.name)):
        yield MistakeError(mistake.message, mistake.hint, at=(*path, *mistake.at), code=mistake.code)


def _table_mistakes(config: Pipeline) -> Iterator[MistakeError]:
    """Yield checks that name a table that the config does not load, or a business date that it does not have."""
    for name, checks in config.quality.items():
        if name not in config.all_tables:
            yield _no_table(config, name, ("quality", name, KEY))
            continue
        for index, check in enumerate(checks):
            for mistake in TABLE_CHECKS.get(check.kind).mistakes(check.spec, name, config.all_tables):
                at = ("quality", name, index, check.kind, *mistake.at)
                yield MistakeError(mistake.message, mistake.hint, at=at, code=mistake.code)


def _no_table(config: Pipeline, name: str, at: tuple[str | int, ...]) -> MistakeError:
    hint = near_name(name, config.all_tables) or "this config has no tables"
    return MistakeError(f'unknown table "{name}"', hint, at=at, code="unknown-table")


class Extract(Model):
    """How a source is reached. Each kind of source has its own, with the kind's name as `type`."""

    type: str
    connection: ConnectionId | None = None


class Source(Pipeline):
    """Tables to load, from one source."""

    extract: Extract
    tables: Mapping[str, Table]

    @property
    def all_tables(self) -> Mapping[str, Table]:
        """The tables this config loads, by name."""
        return self.tables


class TransformOnly(Pipeline):
    """A transform across sources: no tables of its own."""

    transform: Transform = Field(
        description="Transformation to run when the sources are ready.",
        examples=[{"dbt": {"select": "tag:departures"}}],
    )


Config = Source | TransformOnly
SOURCES: Door[Any] = Door(
    "elt_factory.sources",
    {
        name: f"elt_factory.sources.{name}.kind:KIND"
        for name in (
            "rest_api",
            "sql",
            "files",
            "dynamodb",
            "mongodb",
            "singer",
            "airbyte",
            "dlt",
            "python",
            "remote_job",
        )
    },
    takes="elt_factory.sources.kind:SourceKind",
)
