"""From when the deadline of a run counts, asked by the scheduler when it makes the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.deadline import BaseDeadlineReference, deadline_reference

from elt_factory.config.models.deadlines import RUNS

if TYPE_CHECKING:
    from airflow.models import DagRun
    from sqlalchemy.orm import Session

_ALL = ",".join(RUNS)
_KINDS = {"scheduled": "scheduled", "asset_triggered": "scheduled", "manual": "manual", "backfill": "backfill"}
_HISTORY, _ENOUGH = 10, 5
_LONG_PAST = timedelta(days=1)


@deadline_reference()
@dataclass
class TimeOfDayDeadline(BaseDeadlineReference):
    """The first time of day `by` in `zone` after the end of a scheduled run's data interval, or a share of the way.

    For a run by hand or of a backfill, which are late by nature, the first one after it was queued.
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}
    by: str = "06:00:00"
    zone: str = "UTC"
    share: float = 1.0
    runs: str = "scheduled"

    def serialize_reference(self) -> dict[str, Any]:
        """Return the reference as Airflow stores it."""
        kept = {name: getattr(self, name) for name in ("by", "zone", "share", "runs")}
        return {"reference_type": self.reference_name, **kept}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> TimeOfDayDeadline:
        """Return the reference from what Airflow stored."""
        return cls(**{name: value for name, value in reference_data.items() if name in cls.__dataclass_fields__})

    def _evaluate_with(self, *, session: Session, **kwargs: Any) -> datetime | None:
        run = _run_with(session, kwargs, self.runs)
        if run is None:
            return None
        created = run.queued_at or datetime.now(UTC)
        is_scheduled = _KINDS[_type_of(run)] == "scheduled"
        counted = (run.data_interval_end or run.run_after) if is_scheduled else created
        due = next_time_of_day(counted, time.fromisoformat(self.by), self.zone)
        if due <= created and not _is_awaited(run, due, created, session):
            return None
        return due - (1 - self.share) * (due - counted)


@deadline_reference()
@dataclass
class QueuedDeadline(BaseDeadlineReference):
    """When a run was queued, for some kinds of runs; with `usual`, that share of what runs took lately is added."""

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}
    usual: float = 0.0
    runs: str = _ALL

    def serialize_reference(self) -> dict[str, Any]:
        """Return the reference as Airflow stores it."""
        return {"reference_type": self.reference_name, "usual": self.usual, "runs": self.runs}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> QueuedDeadline:
        """Return the reference from what Airflow stored."""
        return cls(usual=reference_data["usual"], runs=reference_data["runs"])

    def _evaluate_with(self, *, session: Session, **kwargs: Any) -> datetime | None:
        run = _run_with(session, kwargs, self.runs)
        if run is None:
            return None
        queued = run.queued_at or datetime.now(UTC)
        if not self.usual:
            return queued
        took = _lately(run.dag_id, session)
        return queued + timedelta(seconds=self.usual * median(took)) if len(took) >= _ENOUGH else None


def next_time_of_day(after: datetime, by: time, zone: str) -> datetime:
    """Return the first instant not before `after` at which clocks in `zone` show `by`."""
    day = after.astimezone(ZoneInfo(zone)).date()
    # compared as instants: within one zone Python compares what clocks show, which an hour in autumn shows twice
    moments = (datetime.combine(day + timedelta(days=ahead), by, ZoneInfo(zone)).astimezone(UTC) for ahead in (0, 1, 2))
    return next(moment for moment in moments if moment >= after)


def _run_with(session: Session, kwargs: dict[str, Any], runs: str) -> DagRun | None:
    """Return the run, where runs of its kind have the deadline."""
    from airflow.models import DagRun
    from sqlalchemy import select

    run = session.scalar(select(DagRun).where(DagRun.dag_id == kwargs["dag_id"], DagRun.run_id == kwargs["run_id"]))
    return run if run is not None and _KINDS.get(_type_of(run)) in runs.split(",") else None


def _type_of(run: DagRun) -> str:
    return str(getattr(run.run_type, "value", run.run_type))


def _is_awaited(run: DagRun, due: datetime, created: datetime, session: Session) -> bool:
    """Whether a run that began after its deadline is late: not the first after the DAG was unpaused, nor catching up.

    A run that follows the one of the interval before it was scheduled without a pause, so something held it up.
    """
    from airflow.models import DagRun
    from sqlalchemy import select

    if created - due > _LONG_PAST or run.data_interval_start is None:
        return False
    before = select(DagRun.id).where(
        DagRun.dag_id == run.dag_id,
        DagRun.run_type == run.run_type,
        DagRun.data_interval_end == run.data_interval_start,
    )
    return session.scalar(before) is not None


def _lately(dag_id: str, session: Session) -> list[float]:
    """Return how many seconds the last runs that succeeded took from when they were queued."""
    from airflow.models import DagRun
    from sqlalchemy import select

    ended = select(DagRun.queued_at, DagRun.end_date).where(
        DagRun.dag_id == dag_id,
        DagRun.state == "success",
        DagRun.queued_at.is_not(None),
        DagRun.end_date.is_not(None),
    )
    found = session.execute(ended.order_by(DagRun.end_date.desc()).limit(_HISTORY)).all()
    return [(end - queued).total_seconds() for queued, end in found if queued and end]
