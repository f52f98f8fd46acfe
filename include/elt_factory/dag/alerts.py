"""Alerts: what is reported of a run, to the notifiers that the config names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from elt_factory.alerts.kind import NOTIFIERS, Message
from elt_factory.config.models.alerts import AlertEvent
from elt_factory.config.models.source import Config, Source
from elt_factory.core.failures import EltError, redact
from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.dag.alert_memory import AlertMemory, cause_of
from elt_factory.dag.runtime import get_connection, landing_root

log = logging.getLogger(__name__)

_KILLED = "its worker ended without a word: it was killed, ran out of memory, or was lost"
_NEXT: Mapping[AlertEvent, str] = {
    "rejects": "elt rejects show {name}",
    "schema_changed": "elt status",
}
# what a run that ends well has put right
_ENDS_WELL: frozenset[AlertEvent] = frozenset(
    {"failure", "quality_failed", "stuck_waiting", "source_silent", "deadline_missed"}
)


def send(to: Iterable[str], message: Message) -> None:
    """Send a message to every notifier. One that cannot be reached costs a line in the log, never the task."""
    clean = replace(message, text=_without_secrets(message.text), impact=tuple(map(_without_secrets, message.impact)))
    for conn_id in dict.fromkeys(to):
        try:
            problem = _send(conn_id, clean)
        except Exception as error:  # noqa: BLE001 - the task has done its work; whatever this is must not undo that
            problem = type(error).__name__ if not isinstance(error, EltError) else str(error)
        if problem:
            log.error("could not send the alert to %s: %s", conn_id, problem)


def _send(conn_id: str, message: Message) -> str:
    connection = get_connection(conn_id)
    if connection.conn_type not in NOTIFIERS:
        return f'no notifier for a connection of type "{connection.conn_type}"; use {", ".join(NOTIFIERS.names())}'
    return NOTIFIERS.get(connection.conn_type).send(connection, message)


def _without_secrets(text: str) -> str:
    """Return the text without the secrets that Airflow knows of: those of every connection that the task has used."""
    from airflow.sdk._shared.secrets_masker import redact as mask

    return str(mask(text))


def report(config: Config, event: AlertEvent, text: str, cause: str = "", run_id: str = "") -> None:
    """Report an event of a run once, to those who hear of it now: with whom it concerns, what to do next, and a link.

    Nothing that goes wrong here fails the task.
    """
    try:
        routes = [route.to for route in listeners(config, event)]
        if not routes or (cause and not is_first(config.name, cause, event, text, run_id)):
            return
        send(routes, message_of(config, event, text, cause, run_id))
    except Exception:
        log.exception("the alert %s could not be reported", event)


def listeners(config: Config, event: AlertEvent) -> list[Any]:
    """Return the routes that hear of an event now."""
    now = datetime.now(UTC)
    return [route for route in config.alerts.hears(event, config.owner) if route.is_open(now, config.timezone)]


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
    return AlertMemory(landing_root().below("_alerts", source))


def is_first(source: str, cause: str, event: AlertEvent, text: str, run_id: str) -> bool:
    """Whether a cause is new to its run. Where that is not known it is reported twice rather than never."""
    try:
        return _memory(source).is_new(cause, event, _without_secrets(text), run_id)
    except (EltError, OSError) as error:
        log.warning("whether the alert was sent already is not known: %s", error)
        return True


def on_failure(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a failed task; None when no one wants to hear."""
    events: tuple[AlertEvent, ...] = ("failure", "stuck_waiting")
    if not any(config.alerts.hears(event, config.owner) for event in events):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        instance, cause = context["ti"], context.get("exception")
        if _is_told_by_checks(config, cause):
            return
        event: AlertEvent = "stuck_waiting" if type(cause).__name__ == "AirflowSensorTimeout" else "failure"
        if event == "stuck_waiting" and event not in config.alerts.on:
            event = "failure"
        text = f"{config.name}: task {instance.task_id} failed in run {context['run_id']}"
        text = f"{text}: {redact(str(cause)) if _is_known(cause) else _KILLED}"
        names = _names_in(config, instance.task_id)
        kind = type(cause).__name__ if _is_known(cause) else "killed"
        report(config, event, text, cause_of(kind, redact(str(cause or "")), *names), str(context["run_id"]))

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


def on_success(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a run that ended well: it tells those who heard of a failure that it is over."""
    if not any(config.alerts.hears(event, config.owner) for event in (*_ENDS_WELL, "deadline_met")):
        return None

    def tell(context: Mapping[str, Any]) -> None:
        run_id = str(context.get("run_id") or getattr(context.get("dag_run"), "run_id", ""))
        recovered(config, run_id)

    return tell


def recovered(config: Config, run_id: str) -> None:
    """Tell that what was reported of a source is over, since a run has ended well."""
    try:
        for cause, one in _memory(config.name).over().items():
            event = one.event
            if event not in _ENDS_WELL:
                continue
            text = f"{config.name} has recovered: run {run_id} ended well. Reported before: {one.text}"
            message = replace(message_of(config, event, text, cause, run_id), recovered=True, impact=(), next_step="")
            met = listeners(config, "deadline_met") if event == "deadline_missed" else []
            send([route.to for route in (*listeners(config, event), *met)], message)
    except Exception:
        log.exception("a recovery could not be reported")


def schema_changed(config: Config, table: str, changes: Sequence[str], run_id: str = "") -> None:
    """Report columns that appeared, or grew."""
    if changes:
        report(config, "schema_changed", f"{config.name}.{table}: {'; '.join(changes)}", run_id=run_id)


def loaded(config: Source, table: str, figures: Mapping[str, Any], run_id: str) -> None:
    """Report what the figures of a load say: rejects, and a source that sent nothing where it has sent rows before."""
    if figures.get("gave_way"):
        return
    label = f"{config.name}.{table}"
    if rejected := figures["rows_rejected"]:
        text = f"{label}: {rejected:,} of {figures['rows_read']:,} rows were rejected in run {run_id}"
        report(config, "rejects", text, f"rejects-{table}", run_id)
    if not figures["rows_read"] and figures["total_rows"]:
        report(config, "source_silent", f"{label}: the source sent no rows in run {run_id}", f"silent-{table}", run_id)


def checked(config: Config, table: str, results: Sequence[Any], run_id: str) -> None:
    """Report checks that do not hold: all of one table in one message for each severity."""
    events: Mapping[str, AlertEvent] = {"warned": "quality_warned", "failed": "quality_failed"}
    for status, event in events.items():
        found = [result for result in results if result.status == status]
        if found:
            causes = "; ".join(f"{result.check}: {result.message}" for result in found)
            names = ",".join(sorted(result.check for result in found))
            text = f"{config.name}.{table}: {causes} (run {run_id})"
            report(config, event, text, cause_of(event, f"{table} {names}"), run_id)


def _is_told_by_checks(config: Config, cause: object) -> bool:
    """Whether a failure is that of checks, which have reported it."""
    return type(cause).__name__ == "QualityError" and bool(config.alerts.hears("quality_failed", config.owner))


def _is_known(cause: object) -> bool:
    """Whether a task has failed with an error of its own. A worker that was killed says nothing."""
    return isinstance(cause, BaseException) and bool(str(cause))


def _names_in(config: Config, task_id: str) -> list[str]:
    """Return what differs between the failures of tables that have one cause; longer names first."""
    tables = config.all_tables
    return sorted([task_id, *(f"{config.name}.{table}" for table in tables), *tables], key=len, reverse=True)
