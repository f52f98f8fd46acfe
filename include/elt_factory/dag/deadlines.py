"""Deadlines (what Airflow 2 called SLAs): when a run must be done, and what happens when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import (
    BaseDeadlineReference,
    DeadlineAlert,
    DeadlineReference,
    deadline_reference,
)

from elt_factory.config.models.source import Config
from elt_factory.core.window import iso_utc

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.core.sql_text import Value
    from elt_factory.warehouse.base import Warehouse


@deadline_reference()
@dataclass
class TimeOfDayDeadline(BaseDeadlineReference):
    """The first time of day `by` in `zone` after the end of a scheduled run's data interval.

    Runs by hand and backfills have none: they are late by nature and no one waits for them at that hour.
    """

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}
    by: str = "06:00:00"
    zone: str = "UTC"

    def serialize_reference(self) -> dict[str, Any]:
        """Return the reference as Airflow stores it."""
        return {"reference_type": self.reference_name, "by": self.by, "zone": self.zone}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> TimeOfDayDeadline:
        """Return the reference from what Airflow stored."""
        return cls(by=reference_data["by"], zone=reference_data["zone"])

    def _evaluate_with(self, *, session: Session, **kwargs: Any) -> datetime | None:
        from airflow.models import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        run = session.scalar(select(DagRun).where(DagRun.dag_id == kwargs["dag_id"], DagRun.run_id == kwargs["run_id"]))
        if run is None or run.run_type in (DagRunType.MANUAL, DagRunType.BACKFILL_JOB):
            return None
        return next_time_of_day(run.data_interval_end or run.run_after, time.fromisoformat(self.by), self.zone)


def next_time_of_day(after: datetime, by: time, zone: str) -> datetime:
    """Return the first instant not before `after` at which clocks in `zone` show `by`."""
    day = after.astimezone(ZoneInfo(zone)).date()
    # compared as instants: within one zone Python compares what clocks show, which an hour in autumn shows twice
    moments = (datetime.combine(day + timedelta(days=ahead), by, ZoneInfo(zone)).astimezone(UTC) for ahead in (0, 1, 2))
    return next(moment for moment in moments if moment >= after)


def deadline_alerts(config: Config) -> list[DeadlineAlert]:
    """Return the deadline of a config as Airflow knows it; none where none is written."""
    deadline = config.deadline
    if deadline is None:
        return []
    # in the triggerer: on the executor (SyncCallback) Airflow 3.3 refuses a callback every stored connection
    callback = AsyncCallback(miss, kwargs={"source": config.name, "to": list(_listeners(config))})
    reference: BaseDeadlineReference = DeadlineReference.DAGRUN_QUEUED_AT
    if deadline.by is not None:
        reference = TimeOfDayDeadline(by=deadline.by.isoformat(), zone=deadline.timezone or config.timezone)
    interval = deadline.within or timedelta()
    return [DeadlineAlert(name=f"{config.name} deadline", reference=reference, interval=interval, callback=callback)]


async def miss(source: str, to: list[str], context: Mapping[str, Any]) -> None:
    """Record a missed deadline and send the alert, off the triggerer's event loop, which other triggers share."""
    await asyncio.to_thread(record_miss, source, to, context)


def record_miss(source: str, to: list[str], context: Mapping[str, Any]) -> None:
    """Tell who wants to know of a missed deadline, and write it to `_elt.deadline_misses`.

    Args:
        source: The config's name.
        to: Connections of the listeners.
        context: What the scheduler gives a callback: `dag_run`, the run as the REST API shows it, and `deadline`
            with its `deadline_time`, a datetime or, when it was sent over a wire, text.
    """
    from elt_factory.alerts.kind import Message
    from elt_factory.dag.alerts import send
    from elt_factory.dag.runtime import warehouse

    run_id, due = str(context["dag_run"]["dag_run_id"]), _moment(context["deadline"]["deadline_time"])
    text = f"{source} missed its deadline {iso_utc(due)} in run {run_id}"
    logging.getLogger(__name__).error(text)
    # first of all: the warehouse may be what is late
    send(to, Message(source, "deadline_missed", text))
    row: dict[str, Value] = {"source": source, "run_id": run_id, "deadline": due, "noticed_at": datetime.now(UTC)}
    with warehouse() as opened:
        _write_down(opened, row)


def _write_down(opened: Warehouse, row: Mapping[str, Value]) -> None:
    """One row however often it is written: a triggerer that restarts calls again."""
    from elt_factory.warehouse import audit

    opened.prepare()
    d = opened.dialect
    same = " AND ".join(f"{d.name(name)} = {d.literal(row[name])}" for name in ("source", "run_id", "deadline"))
    # to append is enough, and locks nothing
    known = f"SELECT 1 FROM {audit.relation('deadline_misses').sql(d)} WHERE {same}"
    opened.execute(f"{audit.insert_row(d, 'deadline_misses', row)} WHERE NOT EXISTS ({known})")


def _listeners(config: Config) -> tuple[str, ...]:
    return tuple(route.to for route in config.alerts.hears("deadline_missed", config.owner))


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
