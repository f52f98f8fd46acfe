"""What keeps a run from starting: the config, the warehouse, Airflow's parts, a paused DAG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from elt_factory.diagnosis.facts import RUNNING, Facts
from elt_factory.diagnosis.verdict import Finding
from elt_factory.diagnosis.words import ago, at, cut, long

_ALIVE = timedelta(seconds=60)  # between two signs of life; Airflow gives one every five seconds
_STARTS = timedelta(minutes=5)  # from when a run is due until it is in the database
_LAST_LINE = re.compile(r"^\s*\S.*$", re.MULTILINE)


def broken_yaml(facts: Facts) -> Finding | None:
    """Find a YAML that cannot be used."""
    if not facts.problems:
        return None
    first, *others = facts.problems
    lines = [f"{p.position}: {p.message}" + (f"; hint: {p.hint}" if p.hint else "") for p in facts.problems]
    more = f", and {len(others)} more" if others else ""
    place = f"{facts.file}:{first.position.line}:{first.position.column}"
    return Finding(f"the config cannot be used: {place}: {first.message}{more}", lines, f"elt validate {facts.file}")


def cannot_build(facts: Facts) -> Finding | None:
    """Find a config that is right by itself, and that Airflow cannot make a DAG of."""
    dag = facts.airflow.dag
    if dag is None or not dag.import_error:
        return None
    lines = _LAST_LINE.findall(dag.import_error)
    told = cut(lines[-1]) if lines else "no message"
    return Finding(f"Airflow cannot build the DAG: {told}", [cut(line) for line in lines[-4:-1]], "elt doctor")


def dag_missing(facts: Facts) -> Finding | None:
    """Find a config that Airflow has never read."""
    airflow = facts.airflow
    if not airflow.known or airflow.dag is not None or facts.loads or not _alive(airflow.components.scheduler, facts):
        return None
    processor = airflow.components.dag_processor
    if not _alive(processor, facts):
        evidence = [
            "the DAG processor has given no sign of life" + (f" since {at(facts, processor)}" if processor else "")
        ]
        return Finding(
            f"Airflow does not have the DAG {facts.source}: its DAG processor is not running", evidence, "elt up"
        )
    return Finding(f"Airflow does not have the DAG {facts.source} yet", [f"its config is {facts.file}"], "elt doctor")


def scheduler_down(facts: Facts) -> Finding | None:
    """Find a run that is due, and no scheduler to start it."""
    airflow = facts.airflow
    if not airflow.known or airflow.dag is None or airflow.dag.paused or _alive(airflow.components.scheduler, facts):
        return None
    run = facts.run
    stuck = run is not None and run.state in ("queued", "running")
    due = airflow.dag.next_run_at is not None and facts.now - airflow.dag.next_run_at > _STARTS
    if not (stuck or due):
        return None
    beat = airflow.components.scheduler
    since = _last_sign(facts, beat)
    what = f"the run {run.run_id} is {run.state}" if run and stuck else f"a run is due since {_next(facts)}"
    return Finding("Airflow's scheduler is not running, so no run starts and none continues", [since, what], "elt up")


def triggerer_down(facts: Facts) -> Finding | None:
    """Find a task that waits in a triggerer that is not there."""
    deferred = [task for task in facts.tasks if task.state == "deferred"]
    beat = facts.airflow.components.triggerer
    if not deferred or _alive(beat, facts):
        return None
    since = _last_sign(facts, beat)
    names = ", ".join(task.task_id for task in deferred)
    told = f"Airflow's triggerer is not running: {names} waits there, and nothing wakes it"
    return Finding(told, [since, *(cut(task.seen) for task in deferred if task.seen)], "airflow triggerer")


def _last_sign(facts: Facts, beat: datetime | None) -> str:
    """Say when a component was last seen; of one that has ended Airflow's table of jobs is not asked."""
    if beat is None:
        return "none is there: it has ended, or was never started"
    return f"its last sign of life was {ago(facts, beat)}, at {at(facts, beat)}"


def paused(facts: Facts) -> Finding | None:
    """Find a DAG that is paused."""
    dag = facts.airflow.dag
    if dag is None or not dag.paused or facts.config is None or facts.config.schedule is None:
        return None
    reached = facts.loaded_up_to
    loaded = f"it is loaded up to {at(facts, reached)}" if reached else "it was never loaded" if facts.table else ""
    missing = f"the run of {facts.expected} is missing" if facts.expected and not facts.current else ""
    last = next((run for run in dag.runs if run.run_type == "scheduled"), None)
    ran = f"its last scheduled run was {last.run_id}" if last else "it has never run by its schedule"
    told = f"the DAG {facts.source} is paused in Airflow, so its schedule starts no runs"
    return Finding(told, [loaded, missing, ran], f"airflow dags unpause {facts.source}")


def pool_full(facts: Facts) -> Finding | None:
    """Find a task that is ready, and that no worker or slot takes."""
    waiting = [t for t in facts.tasks if t.state in ("scheduled", "queued") and t.queued_at]
    long_ago = [t for t in waiting if t.queued_at and facts.now - t.queued_at > timedelta(minutes=10)]
    if not long_ago:
        return None
    task = long_ago[0]
    since = task.queued_at or facts.now
    told = f"{task.task_id} has been {task.state} for {long(facts.now - since)}: no worker or pool slot is free for it"
    return Finding(told, [f"since {at(facts, since)}"], "airflow pools list")


def running(facts: Facts) -> Finding | None:
    """Find a run that is under way."""
    run = facts.run
    if run is None or run.state not in ("queued", "running"):
        return None
    busy = [task for task in facts.tasks if task.state in RUNNING]
    now = ", ".join(f"{task.task_id} ({task.state})" for task in busy) or f"the run is {run.state}"
    began = run.started_at or run.queued_at
    since = f" since {at(facts, began)}" if began else ""
    late = facts.late_by
    told = f"a run is under way{since}: {now}"
    if late:
        told += f"; it is {long(late)} late"
    usual = usual_duration(facts)
    evidence = [f"run {run.run_id}", f"its runs usually take {long(usual)}" if usual else ""]
    return Finding(told, evidence, "wait", "late" if late else None)


def usual_duration(facts: Facts) -> timedelta | None:
    """Return how long the runs of the DAG that succeeded have usually taken."""
    from elt_factory.diagnosis.habit import habit

    found = habit([duration.total_seconds() for duration in durations(facts)], fewest=3)
    return timedelta(seconds=found.middle) if found else None


def durations(facts: Facts) -> list[timedelta]:
    """Return how long each run that succeeded took from when it was queued, the newest first."""
    dag = facts.airflow.dag
    good = [run for run in dag.runs if run.state == "success" and run.ended_at] if dag else []
    return [run.ended_at - begun for run in good if run.ended_at and (begun := run.queued_at or run.started_at)]


# Why a warehouse cannot be used, by the error that opening it, or a task that uses it, raises

_SUSPENDED = re.compile(
    r"no active warehouse|cannot be resumed|is suspended|resource monitor|exceeded its quota", re.IGNORECASE
)
_FULL = re.compile(r"disk is full|no space left|out of disk|quota|max LOB|storage limit", re.IGNORECASE)


def is_suspended(kinds: Sequence[str], message: str) -> bool:
    """Whether the virtual warehouse is off, and nothing turns it on."""
    return bool(_SUSPENDED.search(message)) and "DiskFullError" not in kinds


def is_full(kinds: Sequence[str], message: str) -> bool:
    """Whether a disk is full."""
    return "DiskFullError" in kinds or ("WarehouseUnavailableError" in kinds and bool(_FULL.search(message)))


def is_locked(kinds: Sequence[str], _: str) -> bool:
    """Whether another process or transaction holds the warehouse."""
    return "WarehouseBusyError" in kinds


def warehouse_down(facts: Facts) -> Finding | None:
    """Find a warehouse that cannot be read, for any other reason."""
    return _warehouse(facts, lambda *_: True, "the warehouse cannot be read", "elt doctor")


def warehouse_locked(facts: Facts) -> Finding | None:
    """Find a warehouse whose file, or a lock in it, another process holds."""
    return _warehouse(facts, is_locked, "the warehouse is locked by another process", "stop the process that holds it")


def warehouse_suspended(facts: Facts) -> Finding | None:
    """Find a virtual warehouse that is suspended, and may not start."""
    told, step = (
        "the virtual warehouse is suspended and does not start",
        "resume it, or raise its resource monitor's quota",
    )
    return _warehouse(facts, is_suspended, told, step)


def warehouse_full(facts: Facts) -> Finding | None:
    """Find a full disk."""
    return _warehouse(
        facts, is_full, "the disk of the warehouse is full", "free space on it, then clear the failed task"
    )


def warehouse_refuses(facts: Facts) -> Finding | None:
    """Find a warehouse that refuses the credentials, or to which there is no connection."""
    return _warehouse(
        facts,
        lambda kinds, _: "AccessDeniedError" in kinds or "UnknownConnectionError" in kinds,
        "the warehouse refuses the connection `warehouse`",
        "elt doctor",
    )


def _warehouse(facts: Facts, fits: Callable[[Sequence[str], str], bool], told: str, following: str) -> Finding | None:
    problem = facts.warehouse
    if problem is None or not fits(problem.kinds, problem.message):
        return None
    return Finding(f"{told}: {cut(problem.message)}", _doing(facts), following)


def _doing(facts: Facts) -> list[str]:
    """Return what Airflow is doing with the table: a load that runs has the file of a warehouse, and gives it back."""
    busy = [f"{task.task_id} is {task.state}" for task in facts.tasks if task.state in RUNNING]
    failed = [f"{task.task_id} has failed" for task in facts.tasks if task.state in ("failed", "up_for_retry")]
    return [*busy, *failed]


def _next(facts: Facts) -> str:
    dag = facts.airflow.dag
    return at(facts, dag.next_run_at) if dag and dag.next_run_at else "an unknown time"


def _alive(beat: datetime | None, facts: Facts) -> bool:
    return beat is not None and facts.now - beat < _ALIVE
