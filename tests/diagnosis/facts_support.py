"""Facts of a table as they are on a day when all is well, and with one thing changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from elt_factory.config.loading import load_text
from elt_factory.core.window import Window, load_id
from elt_factory.diagnosis.facts import (
    Airflow,
    Components,
    DagFact,
    Facts,
    Failure,
    LoadFact,
    Reader,
    RunFact,
    TaskFact,
)

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)
ORDERS = """\
name: orders
owner: sales
schedule: "0 3 * * *"
start_date: 2025-01-01
deadline: {within: 2h}
extract: {type: files, folder: inbox}
tables:
  orders:
    path: orders_%Y-%m-%d.csv
    primary_key: [id]
    write_disposition: merge
    business_date: ordered_at
    columns: {ordered_at: {type: timestamp}}
transform: {dbt: {select: "tag:orders"}}
"""
CONFIG = load_text(Path("dag_configs/orders.yaml"), ORDERS, Path("dag_configs")).config


def window_of(now: datetime) -> Window:
    """The window of the last run that has begun by then."""
    end = now.replace(hour=3, minute=0, second=0, microsecond=0)
    end -= DAY if end > now else timedelta()
    return Window(end - DAY, end)


def a_load(end: datetime, **changes: Any) -> LoadFact:
    """A load of a day, six minutes after its end."""
    window = Window(end - DAY, end)
    weekend = window.start.weekday() >= 5
    wobble = Random(end.toordinal()).uniform(0.95, 1.05)
    count = int((600 if weekend else 1_000) * wobble)
    fact = LoadFact(
        load_id=load_id("orders", "orders", window),
        run_id=f"scheduled__{end.isoformat()}",
        window=window,
        started_at=end + timedelta(minutes=5),
        loaded_at=end + timedelta(minutes=6, seconds=30 * wobble),
        rows_read=count,
        rows_loaded=count,
        rows_rejected=0,
        rows=count,
        bytes=100 * count,
        business_date=end - timedelta(minutes=10 * wobble),
    )
    return replace(fact, **changes)


def loads_until(now: datetime, days: int = 60) -> list[LoadFact]:
    """The loads of the last days, the newest last."""
    end = window_of(now).end
    return [a_load(end - DAY * back) for back in reversed(range(days))]


def a_task(task_id: str, state: str = "success", at: datetime = NOW, **changes: Any) -> TaskFact:
    task = TaskFact(
        task_id, state, 1, 3, started_at=at, ended_at=None if state == "running" else at + timedelta(minutes=1)
    )
    return replace(task, **changes)


def a_run(now: datetime, *tasks: TaskFact, state: str = "success") -> RunFact:
    """The scheduled run of the last window."""
    window = window_of(now)
    begun = window.end + timedelta(minutes=5)
    usual = [a_task(name, at=begun) for name in ("tables.orders.extract", "tables.orders.load", "quality.orders")]
    ended = window.end + timedelta(minutes=10) if state in ("success", "failed") else None
    named = {task.task_id for task in tasks}
    all_tasks = (*tasks, *(task for task in usual if task.task_id not in named))
    return RunFact(f"scheduled__{window.end}", "scheduled", state, window, begun, begun, ended, all_tasks)


def a_dag(*runs: RunFact, **changes: Any) -> Airflow:
    """An Airflow that is well, with the DAG's runs."""
    alive = Components(*[changes.get("beat", NOW - timedelta(seconds=3))] * 3)
    return Airflow(True, alive, DagFact(changes.get("paused", False), False, NOW + DAY / 2, runs))


def healthy(now: datetime = NOW) -> Facts:
    """All is well: loaded, transformed, nothing rejected, nothing late."""
    loads = loads_until(now)
    newest, expected = loads[-1], window_of(now)
    ran = newest.loaded_at + timedelta(minutes=1)
    airflow = replace(a_dag(a_run(now)), components=Components(*[now - timedelta(seconds=3)] * 3))
    return Facts(
        now=now,
        source="orders",
        table="orders",
        config=CONFIG,
        airflow=airflow,
        file="dag_configs/orders.yaml",
        expected=expected,
        due=expected.end + timedelta(hours=2),
        loads=loads,
        last=newest,
        business_date=newest.business_date,
        rows=sum(load.rows for load in loads),
        readers=(Reader("orders", True, False, True, ran, ran + timedelta(seconds=5), expected),),
    )


def failing(task_id: str, *kinds: str, message: str = "it broke", state: str = "failed", **changes: Any) -> Facts:
    """A run whose task failed with an error, and so the window is not loaded."""
    now = changes.pop("now", NOW)
    failure = Failure((*kinds, "EltError"), message, 1) if kinds else None
    task = a_task(task_id, state, window_of(now).end + timedelta(minutes=5), failure=failure, **changes)
    run = a_run(now, task, state="failed" if state == "failed" else "running")
    facts = replace(healthy(now), airflow=a_dag(run))
    if task.step in ("before_extract", "extract", "load"):
        facts = replace(facts, loads=facts.loads[:-1], last=facts.loads[-2])
    return facts
