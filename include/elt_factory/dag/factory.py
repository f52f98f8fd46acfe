"""A config becomes a DAG: pure, no I/O beyond its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, TaskGroup, TriggerRule

from elt_factory.config.models.checks import AFTER, BEFORE, CHECKS, QUALITY, CheckStage
from elt_factory.config.models.sensors import SENSORS, Sensor
from elt_factory.config.models.source import Config, Source, TransformOnly
from elt_factory.dag.alerts import on_failure, on_retry, on_run_failure, on_success
from elt_factory.dag.asset_events import asset_of, windows_of
from elt_factory.dag.deadlines import deadline_alerts
from elt_factory.dag.documentation import dag_document
from elt_factory.dag.form import form
from elt_factory.dag.operators import ExtractOperator, LoadOperator, QualityOperator
from elt_factory.dag.parts import EXTRACT
from elt_factory.dag.pods import pod_of
from elt_factory.dag.retry import retry_arguments
from elt_factory.dag.sensors import ReadySensor
from elt_factory.dag.source_dag import SourceDag
from elt_factory.dag.splitting import split_extract
from elt_factory.dag.task_notes import keep_failure
from elt_factory.dag.timetables import no_one, schedule_of

BUDGET = "budget"
# Every task that opens the warehouse takes a slot of this pool: one where it is a DuckDB file, many on Snowflake.
WAREHOUSE_POOL = "warehouse"


def build_dag(
    config: Config, tables_of: Mapping[str, tuple[str, ...]], clock_of: Callable[[str], Config | None] = no_one
) -> SourceDag:
    """Return the DAG of a config.

    Args:
        config: The config, valid.
        tables_of: Every source's tables by its name, for the sensors that wait for other sources.
        clock_of: The config whose times are those of a source, for a schedule by assets.
    """
    dag = SourceDag(
        dag_id=config.name,
        description=config.description or None,
        schedule=schedule_of(config, tables_of, clock_of),
        start_date=datetime(
            config.start_date.year, config.start_date.month, config.start_date.day, tzinfo=ZoneInfo(config.timezone)
        ),
        catchup=config.catchup,
        **_concurrency(config),
        tags=sorted({"elt", *config.tags}),
        deadline=deadline_alerts(config) or None,
        on_success_callback=on_success(config),
        on_failure_callback=on_run_failure(config),
        doc_md=dag_document(config),
        default_args=_default_arguments(config),
        auto_register=False,  # a DAG that fails half-way must not be seen half-built
    )
    dag.config = config
    with dag:
        _chain(
            [
                _budget(config),
                _sensor_group(config, "before_extract", tables_of),
                _remote_job(config),
                _table_groups(config),
                _check_group(config),
                _sensor_group(config, "before_transform", tables_of),
                _transform_group(dag, config),
                _quality_group(config),
                _after_group(config),
            ]
        )
    dag.ask(form(config))
    return dag


def _concurrency(config: Config) -> dict[str, Any]:
    """One run at a time where a run begins at the cursor that the one before it leaves; else as many as Airflow allows.

    A run that waits for data of tomorrow must not keep an operator's run of last week from starting.
    """
    if any(table.counts_on for table in config.all_tables.values()):
        return {"max_active_runs": 1}
    return {}


def _default_arguments(config: Config) -> dict[str, Any]:
    alert, again = on_failure(config), on_retry(config)
    return {
        "owner": config.owner,
        **retry_arguments(config.retries),
        "on_failure_callback": [keep_failure, alert] if alert else [keep_failure],
        "on_retry_callback": [keep_failure, again] if again else [keep_failure],
    }


def _budget(config: Config) -> BaseOperator | None:
    """Return the task that looks whether the budget is used up, before anything is waited for or read."""
    if config.budget is None:
        return None
    from elt_factory.dag.budgets import BudgetOperator

    return BudgetOperator(task_id=BUDGET, config=config, budget=config.budget, pool=WAREHOUSE_POOL)


def _sensor_group(config: Config, stage: str, tables_of: Mapping[str, tuple[str, ...]]) -> TaskGroup | None:
    sensors: tuple[Sensor, ...] = getattr(config.sensors, stage)
    if not sensors:
        return None
    names = _sensor_names(sensors)
    with TaskGroup(stage) as group:
        for name, sensor in zip(names, sensors, strict=True):
            awaited = _awaited_tables(sensor, tables_of)
            ReadySensor(
                task_id=name,
                config=config,
                sensor=sensor,
                tables=awaited,
                # a table that the form left out is skipped; the run continues without it
                trigger_rule=TriggerRule.NONE_FAILED,
                **_at_warehouse(config, sensor, awaited),
            )
    return group


def _at_warehouse(config: Config, sensor: Sensor, awaited: tuple[str, ...]) -> dict[str, Any]:
    """Return what a sensor that asks the warehouse needs: a slot of its pool for the look on a worker, its assets."""
    if sensor.awaited is None:
        return {}
    source = sensor.awaited.source or config.name
    return {"pool": WAREHOUSE_POOL, "inlets": [asset_of(source, table) for table in awaited]}


def _awaited_tables(sensor: Sensor, tables_of: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the tables to wait for; another source's config is looked at only where the sensor does not name them."""
    awaited = sensor.awaited
    if awaited is None:
        return ()
    return awaited.tables or tables_of.get(awaited.source, ())


def _sensor_names(sensors: tuple[Sensor, ...]) -> list[str]:
    """Task ids out of what is waited for, numbered only where two would be the same."""
    abouts = [(sensor.kind, SENSORS.get(sensor.kind).about(sensor.spec)) for sensor in sensors]
    return _numbered([f"{kind}_{about}" if about else kind for kind, about in abouts])


def _numbered(wanted: Sequence[str]) -> list[str]:
    names: list[str] = []
    for name in wanted:
        twins = sum(1 for other in names if other == name or other.startswith(f"{name}_"))
        names.append(f"{name}_{twins + 1}" if twins else name)
    return names


def _table_groups(config: Config) -> TaskGroup | None:
    if isinstance(config, TransformOnly):
        return None
    if config.remote_job is not None:
        return _verified_tables(config)
    extracts: dict[str, Any] = {}
    with TaskGroup("tables") as group:
        for table in config.tables:
            with TaskGroup(table):
                if config.tables[table].in_parts:
                    extracts[table] = split_extract(config, table)
                else:
                    extracts[table] = ExtractOperator(
                        task_id=EXTRACT, config=config, table=table, **pod_of(config.pods, "extract")
                    )
                outlets = [asset_of(config.name, table), windows_of(config.name, table)]
                load = LoadOperator(
                    task_id="load",
                    config=config,
                    table=table,
                    pool=WAREHOUSE_POOL,
                    outlets=outlets,
                    **pod_of(config.pods, "load"),
                )
                extracts[table] >> load
        for table, spec in config.tables.items():
            for parent in spec.parents:
                # a parent that the form left out is skipped: the child fails and says so
                extracts[table].trigger_rule = TriggerRule.NONE_FAILED
                extracts[parent] >> extracts[table]
    return group


def _remote_job(config: Config) -> BaseOperator | None:
    """Return the task of the job that loads the tables, where another system does."""
    if config.remote_job is None:
        return None
    from elt_factory.dag.remote_jobs import JOB, RemoteJobOperator

    return RemoteJobOperator(task_id=JOB, config=config, job=config.remote_job)


def _verified_tables(config: Source) -> TaskGroup:
    from elt_factory.dag.remote_jobs import VerifyOperator

    with TaskGroup("tables") as group:
        for table in config.tables:
            with TaskGroup(table):
                outlets = [asset_of(config.name, table), windows_of(config.name, table)]
                VerifyOperator(task_id="load", config=config, table=table, pool=WAREHOUSE_POOL, outlets=outlets)
    return group


def _after_group(config: Config) -> TaskGroup | None:
    """Start jobs of other systems when all else is done, one after the other."""
    if not config.after:
        return None
    from elt_factory.dag.remote_jobs import RemoteJobOperator

    with TaskGroup("after") as group:
        tasks = [
            RemoteJobOperator(
                task_id=name, config=config, job=job, trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
            )
            for name, job in zip(_numbered([job.kind for job in config.after]), config.after, strict=True)
        ]
        for earlier, later in pairwise(tasks):
            earlier >> later
    return group


def _transform_group(dag: SourceDag, config: Config) -> TaskGroup | None:
    if config.transform.dbt is None:
        return None
    # Cosmos and what it brings cost a second: only configs with dbt pay
    from elt_factory.dag.transform import dbt_group

    compute = config.warehouse.transform if config.warehouse else None
    group = dbt_group(dag, config.name, config.transform.dbt, WAREHOUSE_POOL, compute)
    if pod := pod_of(config.pods, "transform"):
        for task in group.iter_tasks():
            if isinstance(task, BaseOperator):
                task.executor_config = pod["executor_config"]
    for root in group.get_roots():
        if isinstance(root, BaseOperator):
            root.trigger_rule = TriggerRule.NONE_FAILED
    return group


def _check_group(config: Config) -> TaskGroup | None:
    """Check what is loaded before a transform takes it: one that fails leaves the last good marts as they are."""
    if config.transform.dbt is None:
        return None
    checked = [table for table in config.all_tables if config.checks_in(table, (BEFORE,))]
    return _checks(config, CHECKS, checked, (BEFORE,)) if checked else None


def _quality_group(config: Config) -> TaskGroup | None:
    """Check what is left to check: dependent sources wait for this group, so every table has a task in it."""
    if isinstance(config, TransformOnly):
        return None
    stages: tuple[CheckStage, ...] = (AFTER,) if config.transform.dbt else (BEFORE, AFTER)
    return _checks(config, QUALITY, list(config.tables), stages)


def _checks(config: Config, name: str, tables: Sequence[str], stages: Sequence[CheckStage]) -> TaskGroup:
    with TaskGroup(name) as group:
        for table in tables:
            QualityOperator(
                task_id=table,
                config=config,
                table=table,
                stages=stages,
                pool=WAREHOUSE_POOL,
                trigger_rule=TriggerRule.NONE_FAILED,
                **pod_of(config.pods, "quality"),
            )
    return group


def _chain(stages: list[TaskGroup | BaseOperator | None]) -> None:
    """Each stage after the one before it; a stage that a config does not have is left out."""
    present = [stage for stage in stages if stage is not None]
    for earlier, later in pairwise(present):
        earlier >> later
