"""The facts about one table, as they are when they are gathered. Nothing here reads, judges or formats anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from elt_factory.config.errors import Problem
from elt_factory.config.models.checks import CHECKS, QUALITY
from elt_factory.config.models.source import Config
from elt_factory.core.window import Window

Step = Literal[
    "budget", "before_extract", "extract", "load", "checks", "before_transform", "transform", "quality", "after"
]
_STEPS: Mapping[str, Step] = {
    "budget": "budget",
    "before_extract": "before_extract",
    CHECKS: "checks",
    "before_transform": "before_transform",
    QUALITY: "quality",
    "job": "extract",
    "after": "after",
}
RUNNING = ("scheduled", "queued", "running", "restarting")
WAITING = ("up_for_reschedule", "deferred")


@dataclass(frozen=True)
class LoadFact:
    """One load: the newest commit of a window. `failed`: it had too many rejects, and changed nothing."""

    load_id: str
    run_id: str
    window: Window
    started_at: datetime | None
    loaded_at: datetime
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    rows: int  # that the window has in the table: loaded, or there already in the same version
    bytes: int
    business_date: datetime | None
    full_refresh: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a task failed: the class of the exception and its ancestors, and its message without secrets."""

    kinds: tuple[str, ...]
    message: str
    try_number: int

    @property
    def line(self) -> str:
        """The message in a line."""
        return " ".join(self.message.split())


@dataclass(frozen=True)
class TaskFact:
    """A task instance of a run. `seen` is what a sensor saw last, `killed` whether its worker went without a word."""

    task_id: str
    state: str
    try_number: int = 0
    max_tries: int = 0
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: Failure | None = None
    killed: bool = False
    seen: str = ""
    until: datetime | None = None

    @property
    def step(self) -> Step:
        """The step of the pipeline that the task is of."""
        group, _, rest = self.task_id.partition(".")
        if group == "tables":
            return "extract" if rest.endswith((".extract", ".split")) else "load"
        return _STEPS.get(group, "transform")

    @property
    def table(self) -> str:
        """The table that the task is of; "" for one of all tables."""
        parts = self.task_id.split(".")
        return parts[1] if parts[0] in ("tables", CHECKS, QUALITY) and len(parts) > 1 else ""


@dataclass(frozen=True)
class RunFact:
    """A run of a DAG; `window` is None where Airflow knows none of some width."""

    run_id: str
    run_type: str
    state: str
    window: Window | None
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    tasks: Sequence[TaskFact] = ()
    # what is left out: the tasks of runs before the newest ones


@dataclass(frozen=True)
class DagFact:
    """A DAG as Airflow knows it, with its runs, the newest first."""

    paused: bool
    stale: bool
    next_run_at: datetime | None
    runs: Sequence[RunFact] = ()
    import_error: str = ""

    @property
    def in_force(self) -> bool:
        """Whether Airflow starts its runs by itself."""
        return not self.paused


@dataclass(frozen=True)
class Components:
    """When the parts of Airflow last gave a sign of life; None for one that never did."""

    scheduler: datetime | None = None
    triggerer: datetime | None = None
    dag_processor: datetime | None = None


@dataclass(frozen=True)
class Airflow:
    """What Airflow says of one config: `known` is False where its database could not be read, and `why` says why."""

    known: bool
    components: Components = Components()
    dag: DagFact | None = None
    connections: frozenset[str] = frozenset()
    why: str = ""


@dataclass(frozen=True)
class Reader:
    """A config whose transform reads the table, and when its dbt models last ran."""

    config: str
    waits: bool  # a sensor of it waits for this table's source
    paused: bool
    scheduled: bool
    started_at: datetime | None = None  # of the newest transform that succeeded
    ended_at: datetime | None = None
    window: Window | None = None
    busy: bool = False  # a run is under way that has not transformed yet


@dataclass(frozen=True)
class CheckFact:
    """A check, a dbt test or a dbt model that did not pass in the newest run of the table's source."""

    kind: str
    name: str
    status: Literal["warned", "failed"]
    message: str
    run_id: str
    checked_at: datetime


@dataclass(frozen=True)
class DriftFact:
    """A column that changed in the source."""

    column: str
    change: str
    old_type: str | None
    type: str | None
    changed_at: datetime


@dataclass(frozen=True)
class RejectFact:
    """The open rejects of a load."""

    load_id: str
    rows: int
    reason: str
    rejected_at: datetime


@dataclass(frozen=True)
class WarehouseProblem:
    """Why the warehouse could not be read: as `Failure`, of a task that would have opened it."""

    kinds: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Facts:
    """All that was gathered about one table.

    A config without tables, a transform across sources, has one entry with an empty `table`; `inputs` are then the
    facts of the tables that it reads. Moments know their zone.

    Args:
        now: When the facts were gathered.
        source: The config's name.
        table: The table's name; "" for a config that loads none, or cannot be read.
        config: The config; None where it is broken, or gone.
        problems: What is wrong in its file.
        file: Its file, for people.
        expected: The window that should be loaded by now, by the schedule; None without one.
        due: When that window should have been loaded, by the deadline, else by the table's own habit.
        loads: The newest loads that hold, the newest window last.
        last: The newest commit, a failed one too.
        business_date: The newest business date of the table as it is.
        rows: The rows of the table as it is; None where there is no table.
        rejects: Open rejects.
        drift: Changes of columns by the newest loads.
        checks: What did not pass in the newest run that checked the table.
        misses: Deadlines that were missed, the newest first.
        readers: The configs whose transform reads the table.
        airflow: What Airflow says of the config.
        warehouse: Why the warehouse could not be read; None where it could.
        inputs: The facts of the tables that a transform reads.
        asked_at: When the warehouse was asked for what it says here; None where that was just now.
    """

    now: datetime
    source: str
    table: str
    config: Config | None
    airflow: Airflow
    problems: Sequence[Problem] = ()
    file: str = ""
    expected: Window | None = None
    due: datetime | None = None
    loads: Sequence[LoadFact] = ()
    last: LoadFact | None = None
    business_date: datetime | None = None
    rows: int | None = None
    rejects: Sequence[RejectFact] = ()
    drift: Sequence[DriftFact] = ()
    checks: Sequence[CheckFact] = ()
    misses: Sequence[datetime] = ()
    readers: Sequence[Reader] = ()
    warehouse: WarehouseProblem | None = None
    inputs: Sequence[Facts] = field(default_factory=tuple)
    asked_at: datetime | None = None

    @property
    def label(self) -> str:
        """The table's full name."""
        return f"{self.source}.{self.table}" if self.table else self.source

    @cached_property
    def newest(self) -> LoadFact | None:
        """The load that was committed last and holds."""
        return max(self.loads, key=lambda load: load.loaded_at, default=None)

    @cached_property
    def loaded_up_to(self) -> datetime | None:
        """The end of the last window that is loaded."""
        return max((load.window.end for load in self.loads), default=None)

    @property
    def current(self) -> bool:
        """Whether the window that should be loaded by now is; of a transform without tables, whether it has run."""
        reached = self.loaded_up_to if self.table else self._run_up_to
        return self.expected is None or (reached is not None and reached >= self.expected.end)

    @cached_property
    def _run_up_to(self) -> datetime | None:
        dag = self.airflow.dag
        good = (run for run in dag.runs if run.state == "success") if dag else ()
        return max((run.window.end for run in good if run.window), default=None)

    @cached_property
    def run(self) -> RunFact | None:
        """The newest run that was to load the table, or for a transform across sources the newest one."""
        dag = self.airflow.dag
        runs = [run for run in dag.runs if run.tasks and self._concerns(run)] if dag else []
        forward = [run for run in runs if run.run_type != "backfill"]
        return next(iter(forward or runs), None)

    def _concerns(self, run: RunFact) -> bool:
        mine = [task for task in run.tasks if task.table == self.table and task.step in ("extract", "load")]
        return not self.table or not mine or any(task.state not in ("skipped", "removed") for task in mine)

    @cached_property
    def tasks(self) -> Sequence[TaskFact]:
        """The tasks of that run that the table depends on: its own, and those of all tables."""
        run = self.run
        return [task for task in run.tasks if task.table in ("", self.table)] if run else []

    @property
    def late_by(self) -> timedelta:
        """How long ago the expected window should have been loaded; nothing where it is, or is not due yet."""
        if self.current or self.due is None or self.run_since is not None:
            return timedelta()
        return max(self.now - self.due, timedelta())

    @cached_property
    def run_since(self) -> RunFact | None:
        """A run that has succeeded for the expected window since the warehouse was asked, which does not have it."""
        dag, expected, asked = self.airflow.dag, self.expected, self.asked_at
        if dag is None or expected is None or asked is None or self.current:
            return None
        good = (run for run in dag.runs if run.state == "success" and run.ended_at and run.ended_at > asked)
        return next((run for run in good if run.window and run.window.end >= expected.end), None)
