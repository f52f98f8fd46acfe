"""What a run would do: its tasks as Airflow has them, its window, what it waits for, what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.in_words import deadline_text
from elt_factory.config.models.source import Config, Source, TransformOnly
from elt_factory.config.models.table import Table
from elt_factory.core.window import Window, load_id
from elt_factory.describe.reading import asked
from elt_factory.describe.statements import contract_statement, load_statements
from elt_factory.describe.windows import deadline_of, moment_text
from elt_factory.warehouse.recording import Step

_KIND_OF_TASK = {
    "ExtractOperator": "extract",
    "SplitOperator": "extract",
    "PartOperator": "extract",
    "LoadOperator": "load",
    "QualityOperator": "quality",
    "VerifyOperator": "load",
}


@dataclass(frozen=True)
class TaskPlan:
    """A task of the DAG: `group` are the names of the groups that it appears in, `detail` what it is about."""

    task_id: str
    kind: str
    group: tuple[str, ...]
    upstream: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class TablePlan:
    """What a run does with one table."""

    name: str
    load_id: str
    reads: tuple[str, ...]
    window: Window
    contract: str
    statements: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """A run that is not there: of one config, for one window."""

    config: Config
    window: Window
    deadline: datetime | None
    tasks: tuple[TaskPlan, ...]
    tables: tuple[TablePlan, ...]

    @property
    def due(self) -> str:
        """When it must be done, in words."""
        spec = self.config.deadline
        if spec is None:
            return "none"
        if self.deadline is None:
            return deadline_text(spec, self.config.timezone)
        return moment_text(self.deadline, spec.timezone or self.config.timezone)

    @property
    def covers(self) -> str:
        """The window in the config's zone."""
        start, end = (moment_text(moment, self.config.timezone) for moment in (self.window.start, self.window.end))
        return f"{start} to {end}"


def plan(item: LoadedConfig, tables_of: Mapping[str, tuple[str, ...]], window: Window, warehouse: str) -> Plan:
    """Return the plan of a run. The DAG is built as Airflow's own processor builds it.

    Nothing is run and no one is asked.

    Args:
        item: The config.
        tables_of: Every source's tables by its name.
        window: What the run covers.
        warehouse: The kind of warehouse whose SQL it shows.

    Raises:
        ConfigError: the DAG cannot be built.
    """
    config, tasks = item.config, tasks_of(item, tables_of)
    return Plan(config, window, deadline_of(config, window), tasks, tuple(_tables(config, window, warehouse)))


def tasks_of(item: LoadedConfig, tables_of: Mapping[str, tuple[str, ...]]) -> tuple[TaskPlan, ...]:
    """Return the tasks of a config's DAG in their order. The DAG is built as Airflow's own processor builds it.

    Raises:
        ConfigError: the DAG cannot be built.
    """
    from elt_factory.dag.config_dag import dag_of

    ordered: Any = dag_of(item, tables_of).topological_sort()  # type: ignore[no-untyped-call]
    return tuple(_task(task, item.config) for task in ordered)


def _task(task: Any, config: Config) -> TaskPlan:
    groups = tuple(task.task_id.split(".")[:-1])
    return TaskPlan(task.task_id, _kind(task), groups, tuple(sorted(task.upstream_task_ids)), _detail(task, config))


def _kind(task: Any) -> str:
    # of a task that is mapped, the operator is what it is mapped to
    operator = getattr(task, "operator_class", type(task)).__name__
    if operator in _KIND_OF_TASK:
        return _KIND_OF_TASK[operator]
    for name in ("sensor", "job"):
        if hasattr(task, name):
            return name
    return "test" if "Test" in operator else "model" if operator.startswith("Dbt") else "other"


def _detail(task: Any, config: Config) -> str:
    kind = _kind(task)
    if kind in ("sensor", "job"):
        return str(getattr(task, kind).words)
    if kind == "extract" and not isinstance(config, TransformOnly):
        return _reads(task, config)
    if kind == "load":
        spec = config.all_tables[task.table]
        if spec.stored_in:
            return f"verify {'.'.join(spec.stored_in)}"
        return f"{spec.write_disposition} into {config.name}.{task.table}{_history(spec)}"
    if kind == "quality":
        count = config.checks_in(task.table, task.stages)
        return f"{count} check{'' if count == 1 else 's'}"
    return {"model": "dbt", "test": "dbt test"}.get(kind, "")


def _reads(task: Any, config: Source) -> str:
    split = config.all_tables[task.table].in_parts if task.task_id.endswith(".split") else None
    return f"at most {split.tasks} parts" if split else str(config.extract.connection or config.extract.type)


def _history(spec: Table) -> str:
    """Return what the rows of a history say, where the table is one."""
    if spec.write_disposition != "scd2":
        return ""
    if spec.incremental:
        return f": versions since {spec.incremental.cursor}; rows deleted in the source stay"
    return ": a full snapshot at the end of the window; missing rows end, unless a row is rejected"


def _tables(config: Config, window: Window, warehouse: str) -> Iterator[TablePlan]:
    if isinstance(config, TransformOnly):
        return
    for name, spec in config.all_tables.items():
        reads = window.reach_back(spec.incremental.time_lag if spec.incremental else timedelta())
        load = load_id(config.name, name, window)
        yield TablePlan(
            name=name,
            load_id=load,
            reads=tuple(asked(config, name, reads, load)),
            window=reads,
            contract=contract_statement(config, name),
            statements=tuple(load_statements(config, name, window, warehouse)),
        )
