"""What Airflow's metadata database knows of DAGs: a few statements for all of them. Never called within a task."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.core.window import Window
from elt_factory.dag.task_notes import FAILURE, SEEN
from elt_factory.diagnosis.facts import Airflow, Components, DagFact, Failure, RunFact, TaskFact

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_RUNS = 30  # of a DAG, for how long they usually take
_WITH_TASKS = 4  # of them, the newest
_KILLED = "heartbeat timeout"

# states by how much they ask for a look; those that are not here come before what is done
_URGENT = (
    "failed",
    "up_for_retry",
    "upstream_failed",
    "running",
    "deferred",
    "up_for_reschedule",
    "success",
    "skipped",
)
_DONE = 2

Task = tuple[str, str, str, int]  # DAG, run, task, number of its part or -1


def read_airflow(session: Session, dag_ids: Collection[str]) -> dict[str, Airflow]:
    """Return what Airflow knows of each DAG; `dag` is None for one that it has never read."""
    components, errors = _components(session), _import_errors(session)
    runs = _runs(session, dag_ids)
    dags = _dags(session, dag_ids)
    found = {}
    for dag_id in dag_ids:
        dag = dags.get(dag_id)
        if dag is not None:
            dag = replace(dag, runs=runs.get(dag_id, ()), import_error=errors.get(dag_id, ""))
        elif dag_id in errors:
            dag = DagFact(paused=False, stale=True, next_run_at=None, import_error=errors[dag_id])
        found[dag_id] = Airflow(known=True, components=components, dag=dag)
    return found


def _components(session: Session) -> Components:
    from airflow.jobs.job import Job
    from sqlalchemy import func, select

    alive = select(Job.job_type, func.max(Job.latest_heartbeat)).where(Job.end_date.is_(None)).group_by(Job.job_type)
    found = {str(kind): _moment(beat) for kind, beat in session.execute(alive)}
    return Components(found.get("SchedulerJob"), found.get("TriggererJob"), found.get("DagProcessorJob"))


def _import_errors(session: Session) -> dict[str, str]:
    """Return the last line of each error by the name of the file: a stub is called as its YAML is."""
    from airflow.models.errors import ParseImportError
    from sqlalchemy import select

    found = session.execute(select(ParseImportError.filename, ParseImportError.stacktrace))
    return {Path(str(name)).stem.removesuffix(".yaml"): str(text or "") for name, text in found if name}


def _dags(session: Session, dag_ids: Collection[str]) -> dict[str, DagFact]:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    wanted = select(DagModel.dag_id, DagModel.is_paused, DagModel.is_stale, DagModel.next_dagrun_create_after).where(
        DagModel.dag_id.in_(dag_ids)
    )
    return {
        str(dag_id): DagFact(paused=bool(paused), stale=bool(stale), next_run_at=_moment(after))
        for dag_id, paused, stale, after in session.execute(wanted)
    }


def _runs(session: Session, dag_ids: Collection[str]) -> dict[str, list[RunFact]]:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    place = func.row_number().over(partition_by=DagRun.dag_id, order_by=DagRun.id.desc()).label("place")
    newest = select(DagRun.id.label("id"), place).where(DagRun.dag_id.in_(dag_ids)).subquery()
    wanted = (
        select(
            DagRun.dag_id,
            DagRun.run_id,
            DagRun.run_type,
            DagRun._state,  # noqa: SLF001 - the column: the property of that name is not one
            DagRun.data_interval_start,
            DagRun.data_interval_end,
            DagRun.queued_at,
            DagRun.start_date,
            DagRun.end_date,
            DagRun.conf,
            newest.c.place,
        )
        .join(newest, newest.c.id == DagRun.id)
        .where(newest.c.place <= MOST_RUNS)
        .order_by(DagRun.id.desc())
    )
    rows = session.execute(wanted).all()
    tasks = _tasks(session, {(row.dag_id, row.run_id) for row in rows if row.place <= _WITH_TASKS})
    found: dict[str, list[RunFact]] = defaultdict(list)
    for row in rows:
        found[row.dag_id].append(_run(row, tasks.get((row.dag_id, row.run_id), ())))
    return dict(found)


def _run(row: Any, tasks: Sequence[TaskFact]) -> RunFact:
    return RunFact(
        run_id=row.run_id,
        run_type=str(getattr(row.run_type, "value", row.run_type)),
        state=str(row[3]),
        window=_window(row.conf or {}, _moment(row.data_interval_start), _moment(row.data_interval_end)),
        queued_at=_moment(row.queued_at),
        started_at=_moment(row.start_date),
        ended_at=_moment(row.end_date),
        tasks=tasks,
    )


def _window(conf: Mapping[str, Any], start: datetime | None, end: datetime | None) -> Window | None:
    """Return the window of a run: that of its form where one was chosen; None where only the task works it out."""
    given = [conf.get("window_start"), conf.get("window_end")]
    if any(given) or start is None or end is None or start >= end:
        return None
    return Window(start, end)


def _tasks(session: Session, runs: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[TaskFact]]:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select, tuple_

    if not runs:
        return {}
    wanted = select(
        TaskInstance.dag_id,
        TaskInstance.run_id,
        TaskInstance.task_id,
        TaskInstance.map_index,
        TaskInstance.state,
        TaskInstance.try_number,
        TaskInstance.max_tries,
        TaskInstance.queued_dttm,
        TaskInstance.scheduled_dttm,
        TaskInstance.start_date,
        TaskInstance.end_date,
    ).where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(runs))
    notes, killed = _notes(session, runs), _killed(session, runs)
    found: dict[tuple[str, str], dict[str, TaskFact]] = defaultdict(dict)
    for row in session.execute(wanted):
        task = TaskFact(
            task_id=row.task_id,
            state=str(row.state or "none"),
            try_number=row.try_number,
            max_tries=row.max_tries,
            queued_at=_moment(row.queued_dttm or row.scheduled_dttm),
            started_at=_moment(row.start_date),
            ended_at=_moment(row.end_date),
        )
        key = (row.dag_id, row.run_id, row.task_id, row.map_index)
        noted = _with_notes(task, notes.get(key, {}))
        noted = replace(noted, killed=_was_killed(noted, killed.get(key)))
        of_run = found[key[:2]]
        of_run[row.task_id] = min(of_run.get(row.task_id, noted), noted, key=_urgency)
    return {run: list(tasks.values()) for run, tasks in found.items()}


def _urgency(task: TaskFact) -> int:
    """Return the place of a task among those that read the parts of one table: the first one stands for them all."""
    return _URGENT.index(task.state) if task.state in _URGENT else len(_URGENT) - _DONE


def _notes(session: Session, runs: Collection[tuple[str, str]]) -> dict[Task, dict[str, Mapping[str, Any]]]:
    from airflow.models.task_state_store import TaskStateStoreModel as Store
    from sqlalchemy import select, tuple_

    wanted = select(Store.dag_id, Store.run_id, Store.task_id, Store.map_index, Store.key, Store.value).where(
        tuple_(Store.dag_id, Store.run_id).in_(runs), Store.key.in_((FAILURE, SEEN))
    )
    found: dict[Task, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for dag_id, run_id, task_id, index, key, value in session.execute(wanted):
        note = json.loads(value)
        if isinstance(note, dict):
            found[dag_id, run_id, task_id, index][key] = note
    return dict(found)


def _with_notes(task: TaskFact, notes: Mapping[str, Mapping[str, Any]]) -> TaskFact:
    failure, seen = notes.get(FAILURE), notes.get(SEEN)
    if failure:
        kinds = tuple(map(str, failure.get("kinds", ())))
        task = replace(task, failure=Failure(kinds, str(failure.get("message", "")), int(failure.get("try", 0))))
    if seen:
        until = seen.get("until")
        moment = datetime.fromisoformat(str(until)) if until else None
        task = replace(task, seen=str(seen.get("message", "")), until=moment)
    return task


def _killed(session: Session, runs: Collection[tuple[str, str]]) -> dict[Task, int]:
    """Return the last try of tasks whose worker went without a word, as the scheduler has found."""
    from airflow.models.log import Log
    from sqlalchemy import func, select, tuple_

    wanted = (
        select(Log.dag_id, Log.run_id, Log.task_id, Log.map_index, func.max(Log.try_number))
        .where(Log.event == _KILLED, tuple_(Log.dag_id, Log.run_id).in_(runs))
        .group_by(Log.dag_id, Log.run_id, Log.task_id, Log.map_index)
    )
    return {
        (str(dag_id), str(run_id), str(task_id), -1 if index is None else int(index)): int(last or 0)
        for dag_id, run_id, task_id, index, last in session.execute(wanted)
    }


def _was_killed(task: TaskFact, last_killed: int | None) -> bool:
    """Whether the newest try that failed was killed: nothing of it was noted, and it had begun."""
    if task.state not in ("failed", "up_for_retry"):
        return False
    # Airflow counts the next try as soon as it is pending
    failed = task.try_number - (task.state == "up_for_retry")
    if last_killed is not None and last_killed >= failed:
        return True
    noted = task.failure is not None and task.failure.try_number >= failed
    return not noted and task.started_at is not None


def _moment(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
