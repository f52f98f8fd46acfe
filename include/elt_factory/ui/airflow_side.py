"""What Airflow's own database says of DAGs, for all of them in two queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


_SILENT = timedelta(minutes=2)  # as Airflow's own page judges it, with some patience


@dataclass(frozen=True)
class Dag:
    """A DAG as Airflow knows it: when it runs next, and since when a run is under way."""

    paused: bool = False
    next_run_at: datetime | None = None
    next_window_end: datetime | None = None
    running_since: datetime | None = None
    running_window_end: datetime | None = None


def scheduler_runs(session: Session, now: datetime) -> bool:
    """Whether a scheduler has given a sign of life a moment ago: without one no run begins."""
    from airflow.jobs.job import Job
    from sqlalchemy import func, select

    alive = select(func.max(Job.latest_heartbeat)).where(Job.job_type == "SchedulerJob", Job.end_date.is_(None))
    beat = session.scalar(alive)
    if beat is None:
        return False
    return now - (beat if beat.tzinfo else beat.replace(tzinfo=UTC)) < _SILENT


def all_dags(session: Session) -> Mapping[str, Dag]:
    """Return every DAG that Airflow has, by its id."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    columns = (
        DagModel.dag_id,
        DagModel.is_paused,
        DagModel.next_dagrun_create_after,
        DagModel.next_dagrun_data_interval_end,
    )
    found = {name: Dag(bool(paused), at, end) for name, paused, at, end in session.execute(select(*columns))}
    running = select(DagRun.dag_id, DagRun.queued_at, DagRun.data_interval_end).where(
        DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING))
    )
    for name, queued, end in session.execute(running.order_by(DagRun.queued_at.desc())):
        if name in found:
            found[name] = replace(found[name], running_since=queued, running_window_end=end)
    return found
