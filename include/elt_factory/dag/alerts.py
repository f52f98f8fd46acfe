"""Alerts: what is reported of a run, to the notifiers that the config names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from elt_factory.alerts.airflow_notifier import UnusableNotifierError
from elt_factory.alerts.airflow_notifier import send as send_by_airflow
from elt_factory.alerts.kind import NOTIFIERS, Message
from elt_factory.config.models.alerts import AlertEvent, Route
from elt_factory.config.models.source import Config, Source
from elt_factory.core.amount import amount
from elt_factory.core.failures import EltError, redact
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.dag.alert_memory import AlertMemory, Reported, cause_of
from elt_factory.dag.bounded import within
from elt_factory.dag.runtime import ALERTS, Run, get_connection, landing_root, run_of

log = logging.getLogger(__name__)

SECONDS = 60  # that a notifier of someone else's may take
_KILLED = "its worker ended without a word: it was killed, ran out of memory, or was lost"
_TASK_FAILED = "task_failure"  # what Airflow calls it where a run failed because a task did
_NEXT: Mapping[AlertEvent, str] = {
    "rejects": "elt rejects show {name}",
    "schema_changed": "elt status",
    "budget_exceeded": "elt cost {name}",
}
# failures that are something else to who hears of that: of some the task has told before it failed
_TOLD: Mapping[str, AlertEvent] = {"QualityError": "quality_failed", "BudgetError": "budget_exceeded"}
_TOLD_HERE: Mapping[str, AlertEvent] = {"AirflowSensorTimeout": "stuck_waiting", "ModelTestError": "quality_failed"}
# what a run that ends well has put right
_ENDS_WELL: frozenset[AlertEvent] = frozenset(
    {"failure", "quality_failed", "stuck_waiting", "source_silent", "deadline_missed"}
)


def send(routes: Iterable[Route], message: Message) -> None:
    """Send a message to every notifier. One that cannot be reached costs a line in the log, never the task."""
    clean = replace(message, text=_without_secrets(message.text), impact=tuple(map(_without_secrets, message.impact)))
    for route in {route.key: route for route in routes}.values():
        try:
            problem = within(SECONDS, partial(_send, route, clean))
        except Exception as error:  # noqa: BLE001 - the task has done its work; whatever this is must not undo that
            problem = str(error) if isinstance(error, EltError | UnusableNotifierError) else type(error).__name__
        if problem:
            log.error("could not send the alert to %s: %s", route.label, problem)


def _send(route: Route, message: Message) -> str:
    if route.notifier:
        send_by_airflow(route.notifier, route.arguments, message)
        return ""
    connection = get_connection(route.to or "")
    if connection.conn_type not in NOTIFIERS:
        return f'no notifier for a connection of type "{connection.conn_type}"; use {", ".join(NOTIFIERS.names())}'
    return NOTIFIERS.get(connection.conn_type).send(connection, message)


def _without_secrets(text: str) -> str:
    """Return the text without the secrets that Airflow knows of: those of every connection that the task has used."""
    from airflow.sdk._shared.secrets_masker import redact as mask

    return str(mask(text))


def report(
    config: Config,
    event: AlertEvent,
    text: str,
    cause: str = "",
    run_id: str = "",
    heard: Collection[str] = (),
    upto: datetime | None = None,
) -> None:
    """Report an event of a run once, to those who hear of it now: with whom it concerns, what to do next, and a link.

    Nothing that goes wrong here fails the task.

    Args:
        config: The config.
        event: What has happened.
        text: What it was, in a sentence.
        cause: What is the same for every event of one cause; without it each event is news.
        run_id: The run.
        heard: The keys of routes that heard of it already, as another event.
        upto: The end of the run's window: a run of an earlier one does not put it right.
    """
    try:
        routes = [route for route in listeners(config, event) if route.key not in heard]
        if not routes or (cause and not is_first(config.name, cause, event, text, run_id, routes, upto)):
            return
        send(routes, message_of(config, event, text, cause, run_id))
    except Exception:
        log.exception("the alert %s could not be reported", event)


def listeners(config: Config, event: AlertEvent) -> list[Route]:
    """Return the routes that hear of an event now."""
    return open_now(config.alerts.hears(event, config.owner), config.timezone)


def open_now(routes: Iterable[Route], zone: str = "UTC") -> list[Route]:
    """Return the routes that report at this time of day."""
    now = datetime.now(UTC)
    return [route for route in routes if route.is_open(now, zone)]


def message_of(config: Config, event: AlertEvent, text: str, cause: str = "", run_id: str = "") -> Message:
    """Return the whole message about an event."""
    next_step = _NEXT.get(event, "elt diagnose {name}").format(name=config.name)
    return Message(
        config.name, event, text, cause, False, _impact(config), next_step, _link(config, run_id), config.owner
    )


def _impact(config: Config) -> tuple[str, ...]:
    from elt_factory.dag.impact import impact_lines

    return impact_lines(config, config_folder(), dbt_folder() / "target" / "manifest.json")


def _link(config: Config, run_id: str) -> str:
    from urllib.parse import quote

    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}/dags/{config.name}/runs/{quote(run_id, safe='')}" if base and run_id else ""


def _memory(source: str) -> AlertMemory:
    return AlertMemory(landing_root().below(ALERTS, source))


def is_first(
    source: str,
    cause: str,
    event: AlertEvent,
    text: str,
    run_id: str,
    routes: Iterable[Route],
    upto: datetime | None = None,
) -> bool:
    """Whether a cause is new to its run. Where that is not known it is reported twice rather than never."""
    try:
        told = [route.key for route in routes]
        return _memory(source).is_new(cause, event, _without_secrets(text), run_id, told, upto)
    except (EltError, OSError) as error:
        log.warning("whether the alert was sent already is not known: %s", error)
        return True


def on_failure(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a failed task; None when no one wants to hear."""
    events: tuple[AlertEvent, ...] = ("failure", *_TOLD_HERE.values())
    if not any(config.alerts.hears(event, config.owner) for event in events):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        instance, cause, run_id = context["ti"], context.get("exception"), str(context["run_id"])
        text = f"{config.name}: task {instance.task_id} failed in run {run_id}"
        text = f"{text}: {redact(str(cause)) if _is_known(cause) else _KILLED}"
        kind = type(cause).__name__ if _is_known(cause) else "killed"
        same = cause_of(kind, redact(str(cause or "")), *_names_in(config, instance.task_id))
        told = _TOLD.get(kind)
        if here := _TOLD_HERE.get(kind):
            told = here
            report(config, here, text, f"{here}-{same}", run_id, upto=_upto(config, context))
        report(config, "failure", text, same, run_id, _keys_of(config, told), _upto(config, context))

    return tell


def on_retry(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a try that failed and comes again; None when no one wants to hear."""
    if not config.alerts.hears("retry", config.owner):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        instance, cause = context["ti"], context.get("exception")
        why = redact(str(cause)) if _is_known(cause) else _KILLED
        text = f"{config.name}: task {instance.task_id} is tried again in run {context['run_id']}: {why}"
        kind = type(cause).__name__ if _is_known(cause) else "killed"
        names = _names_in(config, instance.task_id)
        report(
            config, "retry", text, f"retry-{cause_of(kind, redact(str(cause or '')), *names)}", str(context["run_id"])
        )

    return tell


def on_run_failure(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a run that failed; None when no one wants to hear.

    A task whose process was killed, as by a machine that has no memory left, runs no callback of its own.
    """
    if not config.alerts.hears("failure", config.owner):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        run_id, instance = str(context["run_id"]), context.get("ti")
        if _is_reported(config, run_id):
            return
        task = getattr(instance, "task_id", "")
        what = f"task {task} failed in run {run_id}" if task else f"run {run_id} failed"
        reason = str(context.get("reason") or _TASK_FAILED)
        kind, why = ("killed", _KILLED) if reason == _TASK_FAILED else (reason, reason.replace("_", " "))
        cause = cause_of(kind, "", *_names_in(config, task))
        report(config, "failure", f"{config.name}: {what}: {why}", cause, run_id, upto=_upto(config, context))

    return tell


def _is_reported(config: Config, run_id: str) -> bool:
    """Whether a task of a run has said why it failed."""
    try:
        return _memory(config.name).is_met_in(run_id, ("failure", *_TOLD.values(), *_TOLD_HERE.values()))
    except (EltError, OSError) as error:
        log.warning("whether the failure was reported already is not known: %s", error)
        return False


def on_success(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a run that ended well: it tells those who heard of a failure that it is over."""
    if not any(config.alerts.hears(event, config.owner) for event in (*_ENDS_WELL, "deadline_met")):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        run_id = str(context.get("run_id") or getattr(context.get("dag_run"), "run_id", ""))
        recovered(config, run_id, _run_of(config, context))

    return tell


def _run_of(config: Config, context: Mapping[str, Any]) -> Run | None:
    """Return the run of a callback's context, which lacks it where a task was removed since."""
    try:
        return run_of(context, config)
    except (EltError, KeyError):
        return None


def _upto(config: Config, context: Mapping[str, Any]) -> datetime | None:
    run = _run_of(config, context)
    return run.window.end if run else None


def recovered(config: Config, run_id: str, run: Run | None = None) -> None:
    """Tell those who heard of something wrong with a source that it is over, since a run has ended well."""

    def goes_on(one: Reported) -> bool:
        # a budget stays used up though a run ends well, and a run that read nothing ends well, too
        if one.event == "budget_exceeded" or (one.event == "source_silent" and one.is_met_in(run_id)):
            return True
        return run is not None and not one.is_met_in(run_id) and _leaves_open(run, one.upto)

    try:
        for cause, one in _memory(config.name).over(goes_on).items():
            event = one.event
            if event not in _ENDS_WELL:
                continue
            text = f"{config.name} has recovered: run {run_id} ended well. Reported before: {one.text}"
            message = replace(message_of(config, event, text, cause, run_id), recovered=True, impact=(), next_step="")
            met = listeners(config, "deadline_met") if event == "deadline_missed" else []
            send([*_who_heard(config, one), *met], message)
    except Exception:
        log.exception("a recovery could not be reported")


def _leaves_open(run: Run, upto: datetime | None) -> bool:
    """Whether a run does not put right what went wrong up to a moment: one of last month, or of a few tables."""
    partial_run = run.tables != frozenset(run.config.all_tables) or bool(run.dismiss_rejects)
    return partial_run or (upto is not None and run.window.end < upto)


def _who_heard(config: Config, one: Reported) -> list[Route]:
    """Return the routes that a cause was reported to, whatever the time of day is now."""
    if not one.told:
        return listeners(config, one.event)
    return [route for route in config.alerts.hears(one.event, config.owner) if route.key in one.told]


def schema_changed(config: Config, table: str, changes: Sequence[str], run_id: str = "") -> None:
    """Report columns that appeared, or grew."""
    if changes:
        report(config, "schema_changed", f"{config.name}.{table}: {'; '.join(changes)}", run_id=run_id)


def loaded(config: Source, table: str, figures: Mapping[str, Any], run_id: str, upto: datetime | None = None) -> None:
    """Report what the figures of a load say: rejects, and a source that sent nothing where it has sent rows before."""
    if figures.get("gave_way"):
        return
    label = f"{config.name}.{table}"
    if rejected := figures["rows_rejected"]:
        text = f"{label}: {rejected:,} of {amount(figures['rows_read'], 'row')} rejected in run {run_id}"
        report(config, "rejects", text, f"rejects-{table}", run_id)
    if not figures["rows_read"] and figures["total_rows"]:
        text = f"{label}: the source sent no rows in run {run_id}"
        report(config, "source_silent", text, f"silent-{table}", run_id, upto=upto)


def checked(config: Config, table: str, results: Sequence[Any], run_id: str, upto: datetime | None = None) -> None:
    """Report checks that do not hold: all of one table in one message for each severity."""
    events: Mapping[str, AlertEvent] = {"warned": "quality_warned", "failed": "quality_failed"}
    for status, event in events.items():
        found = [result for result in results if result.status == status]
        if found:
            causes = "; ".join(f"{result.check}: {result.message}" for result in found)
            names = ",".join(sorted(result.check for result in found))
            text = f"{config.name}.{table}: {causes} (run {run_id})"
            report(config, event, text, cause_of(event, f"{table} {names}"), run_id, upto=upto)


def _keys_of(config: Config, event: AlertEvent | None) -> set[str]:
    """Return the keys of the routes that hear of an event now: one that is closed has heard nothing."""
    return {route.key for route in listeners(config, event)} if event else set()


def _is_known(cause: object) -> bool:
    """Whether a task has failed with an error of its own. A worker that was killed says nothing."""
    return isinstance(cause, BaseException) and bool(str(cause))


def _names_in(config: Config, task_id: str) -> list[str]:
    """Return what differs between the failures of tables that have one cause; longer names first."""
    tables = config.all_tables
    return sorted([task_id, *(f"{config.name}.{table}" for table in tables), *tables], key=len, reverse=True)
