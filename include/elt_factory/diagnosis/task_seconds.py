"""The seconds that tasks took, as Airflow has them: of each task the last try that has ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from elt_factory.diagnosis.facts import Step, TaskFact

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Took:
    """A task of a run that has ended, and its seconds."""

    source: str
    run_id: str
    step: Step
    table: str
    day: date
    seconds: float


def of_newest_runs(session: Session, source: str, most: int) -> tuple[int, list[Took]]:
    """Return how many runs a source has, up to `most` of the newest, and what their tasks took."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    newest = select(DagRun.run_id).where(DagRun.dag_id == source).order_by(DagRun.id.desc()).limit(most)
    runs = list(session.scalars(newest))
    return len(runs), list(_took(session, TaskInstance.dag_id == source, TaskInstance.run_id.in_(runs)))


def since(session: Session, sources: Collection[str], moment: datetime) -> list[Took]:
    """Return what the tasks of sources took that began at a moment or later."""
    from airflow.models.taskinstance import TaskInstance

    return list(_took(session, TaskInstance.dag_id.in_(sources), TaskInstance.start_date >= moment))


def _took(session: Session, *conditions: Any) -> Iterator[Took]:
    from airflow.models.taskinstance import TaskInstance as Instance
    from sqlalchemy import select

    wanted = select(Instance.dag_id, Instance.task_id, Instance.run_id, Instance.start_date, Instance.end_date)
    for source, task_id, run_id, start, end in session.execute(wanted.where(*conditions)):
        if start and end:
            task = TaskFact(str(task_id), "")
            seconds = (end - start).total_seconds()
            yield Took(str(source), str(run_id), task.step, task.table, start.astimezone(UTC).date(), seconds)
