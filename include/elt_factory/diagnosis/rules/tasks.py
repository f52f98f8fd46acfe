"""What failed, and what waits: the newest run's tasks, by the errors that they left."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from elt_factory.diagnosis.facts import WAITING, Facts, Failure, Step, TaskFact
from elt_factory.diagnosis.rules import platform
from elt_factory.diagnosis.verdict import Finding, Whose
from elt_factory.diagnosis.words import at, cut, long, rows

Fits = Callable[[TaskFact, Failure], bool]
_ORDER: tuple[Step, ...] = (
    "budget",
    "before_extract",
    "extract",
    "load",
    "checks",
    "before_transform",
    "transform",
    "quality",
    "after",
)
_RATE = re.compile(r"\b429\b|rate.?limit|too many requests|asks to wait until", re.IGNORECASE)
_NOTHING = Failure((), "", 0)


def failed_task(facts: Facts) -> TaskFact | None:
    """Return the first task of the newest run that failed, or failed and is tried again.

    None where a later load, by another run, has brought what it should have.
    """
    found = sorted(
        (task for task in facts.tasks if task.state in ("failed", "up_for_retry")),
        key=lambda task: (_ORDER.index(task.step), task.ended_at or facts.now),
    )
    task = next(iter(found), None)
    newest = facts.newest
    healed = (
        task is not None
        and task.step in ("before_extract", "extract", "load")
        and newest is not None
        and task.ended_at is not None
        and newest.loaded_at > task.ended_at
        and facts.run is not None
        and (facts.run.window is None or newest.window.end >= facts.run.window.end)
    )
    return None if healed else task


def _found(facts: Facts, fits: Fits, told: str, following: str = "", whose: Whose | None = None) -> Finding | None:
    """Return the finding about the task that failed, where its error fits."""
    task = failed_task(facts)
    if task is None or not fits(task, task.failure or _NOTHING):
        return None
    failure = task.failure or _NOTHING
    cause = f": {cut(failure.line)}" if failure.line else ""
    step = following or f"fix the cause, then clear it: {clear(facts, task)}"
    return Finding(f"{task.task_id} failed: {told}{cause}", evidence(facts, task), step, whose=whose)


def evidence(facts: Facts, task: TaskFact) -> list[str]:
    """Return what shows the failure of a task: run and try, where its log is, what is pending, what is loaded."""
    run = facts.run
    tries = f"try {_tried(task)} of {task.max_tries + 1}"
    ended = f", ended at {at(facts, task.ended_at)}" if task.ended_at else ""
    lines = [f"run {run.run_id}, {tries}{ended}"] if run else []
    if task.state == "up_for_retry":
        lines.append(f"a retry is pending{_next_try(facts, task)}")
    lines.append(f"log: {log_link(facts, task)}")
    if facts.airflow.dag and facts.airflow.dag.paused:
        lines.append("the DAG is paused in Airflow")
    reached = facts.loaded_up_to
    if facts.table:
        lines.append(f"loaded up to {at(facts, reached)}" if reached else "never loaded")
    return lines


def log_link(facts: Facts, task: TaskFact) -> str:
    """Return the page of a task's log in Airflow's UI, from its root."""
    run = facts.run
    place = f"/dags/{facts.source}/runs/{run.run_id if run else ''}/tasks/{task.task_id}"
    return f"{place}?try_number={_tried(task)}"


def _tried(task: TaskFact) -> int:
    """Return the number of the try that ended last: one that is pending counts already, and has no log."""
    return max(task.failure.try_number if task.failure else task.try_number, 1)


def clear(facts: Facts, task: TaskFact) -> str:
    """Return the command that runs a task and those after it again."""
    run = facts.run
    start = f" -s {run.window.start.isoformat()} -e {run.window.end.isoformat()}" if run and run.window else ""
    return f"airflow tasks clear {facts.source} -t '^{re.escape(task.task_id)}$' -d{start} -y"


def missing_connection(facts: Facts) -> Finding | None:
    """Find a connection that a config names and Airflow does not have."""
    return _found(
        facts,
        lambda _, failure: "UnknownConnectionError" in failure.kinds,
        "a connection is missing",
        "create the connection under Admin > Connections or in airflow_settings.yaml, then clear the task",
    )


def credentials(facts: Facts) -> Finding | None:
    """Find credentials that the source or the warehouse refuses."""
    return _found(
        facts,
        lambda _, failure: "AccessDeniedError" in failure.kinds,
        "the credentials or their rights are refused",
        "renew the secret in the Airflow connection, then clear the task",
    )


def rate_limited(facts: Facts) -> Finding | None:
    """Find a source that asks to be asked less often."""
    for task in facts.tasks:
        if task.step == "extract" and task.state in WAITING and _RATE.search(task.seen):
            until = f" until {at(facts, task.until)}" if task.until else ""
            told = f"{task.task_id} waits{until}: the source limits the rate of requests: {cut(task.seen)}"
            return Finding(told, [f"log: {log_link(facts, task)}"], _SLOWER, "waiting")
    return _found(
        facts,
        lambda task, failure: task.step == "extract" and bool(_RATE.search(failure.message)),
        "the source limits the rate of requests",
        _SLOWER,
    )


_SLOWER = "lower rate_limit under extract, or ask the owner of the source for a higher one"


def warehouse_suspended(facts: Facts) -> Finding | None:
    """Find a task that failed as the virtual warehouse is off."""
    return _at_warehouse(
        facts, platform.is_suspended, "the virtual warehouse is suspended", "resume it, then clear the task"
    )


def warehouse_locked(facts: Facts) -> Finding | None:
    """Find a task that failed as something else holds the warehouse."""
    return _at_warehouse(
        facts,
        platform.is_locked,
        "the warehouse is locked",
        "end the process or session that holds it, then clear the task",
    )


def disk_full(facts: Facts) -> Finding | None:
    """Find a task that failed as a disk is full."""
    return _at_warehouse(facts, platform.is_full, "a disk is full", "free space on it, then clear the task")


def _at_warehouse(
    facts: Facts, fits: Callable[[tuple[str, ...], str], bool], told: str, following: str
) -> Finding | None:
    return _found(facts, lambda _, failure: fits(failure.kinds, failure.message), told, following)


def worker_killed(facts: Facts) -> Finding | None:
    """Find a worker that went without a word."""
    task = failed_task(facts)
    if task is None or not task.killed:
        return None
    told = f"the worker of {task.task_id} was killed: it left no error and stopped giving signs of life"
    step = f"look at the memory of the worker; then {clear(facts, task)}"
    if task.state == "up_for_retry":
        told += f"; a retry is pending{_next_try(facts, task)}"
        step = "look at the memory of the worker; the retry is automatic"
    return Finding(told, evidence(facts, task), step)


def retry_pending(facts: Facts) -> Finding | None:
    """Find a try that failed, where the next one comes by itself."""
    task = failed_task(facts)
    if task is None or task.state != "up_for_retry":
        return None
    failure = task.failure or _NOTHING
    cause = f": {cut(failure.line)}" if failure.line else ""
    told = f"{task.task_id} failed and is tried again{_next_try(facts, task)}{cause}"
    return Finding(told, evidence(facts, task), "wait for the retry", whose=_source_or_none(task, failure))


def _source_or_none(task: TaskFact, failure: Failure) -> Whose | None:
    asks = task.step in ("before_extract", "extract")
    return "source system" if asks and any(kind.startswith("Source") for kind in failure.kinds) else None


def _next_try(facts: Facts, task: TaskFact) -> str:
    """Return about when Airflow tries again: the delay doubles with every try, and has some chance in it."""
    if facts.config is None or task.ended_at is None:
        return ""
    retries = facts.config.retries
    delay = min(retries.delay * 2 ** (_tried(task) - 1), retries.max_delay)
    return f" at about {at(facts, task.ended_at + delay)}"


def too_many_rejects(facts: Facts) -> Finding | None:
    """Find a last load that changed nothing, as too many rows were rejected."""
    rejected = f"elt rejects show {facts.source} --table {facts.table}"
    found = _found(
        facts, lambda _, failure: "TooManyRejectsError" in failure.kinds, "too many rows were rejected", rejected
    )
    if found is not None or facts.last is None or not facts.last.failed:
        return found
    last = facts.last
    told = f"the last load was refused: {rows(last.rows_rejected)} of {rows(last.rows_read)} read were rejected"
    example = [cut(f"for example: {reject.reason}") for reject in facts.rejects if reject.load_id == last.load_id]
    return Finding(told, [f"window {last.window}, at {at(facts, last.loaded_at)}", *example], rejected)


def contract_broken(facts: Facts) -> Finding | None:
    """Find data of the source that no longer fit the contract."""
    return _found(
        facts,
        lambda task, failure: "ContractError" in failure.kinds and task.step in ("extract", "load"),
        "the data break the contract",
        f"elt validate --live {facts.source}; then set schema_contract or columns, or ask the owner of the source",
    )


def bad_data(facts: Facts) -> Finding | None:
    """Find a source that answers with something that is not data."""
    return _found(
        facts,
        lambda task, failure: bool({"BadDataError", "BadRequestError"} & set(failure.kinds)) and task.step == "extract",
        "the source answers with an error, or something that cannot be read",
        f"elt validate --live {facts.source}",
    )


def check_failed(facts: Facts) -> Finding | None:
    """Find a check of severity error that does not hold."""
    found = _found(
        facts, lambda task, _: task.step in ("checks", "quality"), "a check does not hold", _asks_quality(facts)
    )
    failed = [check for check in facts.checks if check.kind == "check" and check.status == "failed"]
    if found is None and not failed:
        return None
    lines = [cut(f"{check.name}: {check.message}") for check in failed]
    if found is None:
        first = failed[0]
        return Finding(f"the check {first.name} failed: {cut(first.message)}", lines, _asks_quality(facts))
    return Finding(found.sentence, [*lines, *found.evidence], found.next)


def _asks_quality(facts: Facts) -> str:
    where = f"source = '{facts.source}' and status = 'failed'"
    return f'elt sql "select * from _elt.quality_results where {where} order by checked_at desc limit 20"'


def dbt_failed(facts: Facts) -> Finding | None:
    """Find a dbt model or test that failed."""
    found = _found(facts, lambda task, _: task.step == "transform", "dbt failed")
    if found is None:
        return None
    failed = [check for check in facts.checks if check.kind.startswith("dbt") and check.status == "failed"]
    lines = [cut(f"{check.kind.replace('_', ' ')} {check.name}: {check.message}") for check in failed]
    told = found.sentence if not lines else f"{_name(facts)} failed: {lines[0]}"
    return Finding(told, [*lines[1:], *found.evidence], found.next)


def _name(facts: Facts) -> str:
    task = failed_task(facts)
    return task.task_id if task else facts.label


def sensor_gave_up(facts: Facts) -> Finding | None:
    """Find a sensor that waited in vain."""
    return _found(
        facts,
        lambda task, _: task.step in ("before_extract", "before_transform"),
        "it waited for what did not come",
        whose="source system",
    )


def source_unavailable(facts: Facts) -> Finding | None:
    """Find a source that cannot be reached, or does not have what it should."""
    return _found(
        facts,
        lambda task, failure: task.step == "extract" and any(kind.startswith("Source") for kind in failure.kinds),
        "the source does not answer as it must",
        f"elt validate --live {facts.source}; then clear the task",
    )


def remote_job_failed(facts: Facts) -> Finding | None:
    """Find a job of another system that did not bring what it should."""
    return _found(
        facts,
        lambda _, failure: bool({"RemoteJobFailedError", "RemoteJobEndedError", "NotMovedError"} & set(failure.kinds)),
        "the job of another system did not load what it should",
        "look at its log there; then clear the task job with all that follows it",
    )


def task_failed(facts: Facts) -> Finding | None:
    """Find any other failure."""
    task = failed_task(facts)
    if task is None:
        return None
    told = "" if task.failure and task.failure.line else "no error was kept; its log has it"
    found = _found(facts, lambda *_: True, told)
    return None if found is None else Finding(found.sentence.replace(": : ", ": "), found.evidence, found.next)


def waiting(facts: Facts) -> Finding | None:
    """Find a sensor that waits."""
    waits = [task for task in facts.tasks if task.state in WAITING]
    if not waits:
        return None
    task = waits[0]
    since = f" since {at(facts, task.started_at)}" if task.started_at else ""
    until = _until(facts, task)
    limit = f", until {at(facts, until)}" if until else ""
    seen = f": {cut(task.seen)}" if task.seen else ""
    others = [cut(f"{other.task_id} waits too: {other.seen}") for other in waits[1:]]
    late = f"the run is {long(facts.late_by)} late" if facts.late_by else ""
    whose: Whose = "source system" if task.step == "before_extract" else "pipeline"
    told = f"{task.task_id} waits{since}{limit}{seen}"
    return Finding(told, [late, *others, f"log: {log_link(facts, task)}"], _whom(facts, task), whose=whose)


def _until(facts: Facts, task: TaskFact) -> datetime | None:
    """Return until when a sensor waits: what it has noted, else by its time-out."""
    if task.until:
        return task.until
    if facts.config is None or task.started_at is None:
        return None
    sensors = getattr(facts.config.sensors, task.step, ())
    longest: timedelta | None = max((sensor.timeout for sensor in sensors), default=None)
    return task.started_at + longest if longest and len(sensors) == 1 else None


def _whom(facts: Facts, task: TaskFact) -> str:
    """Return the next command: a look at the source that is waited for."""
    from elt_factory.diagnosis.readers import waits_for

    if facts.config is None:
        return ""
    named = [name for name in sorted(waits_for(facts.config)) if re.search(rf"\b{re.escape(name)}\b", task.task_id)]
    return f"elt diagnose {named[0]}" if named else "wait, or ask the owner of what is waited for"
