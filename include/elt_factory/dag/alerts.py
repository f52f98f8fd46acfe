"""Alerts: what is reported of a run, to the notifiers that the config names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elt_factory.alerts.kind import NOTIFIERS, Message
from elt_factory.config.models.source import Config
from elt_factory.core.failures import EltError, redact
from elt_factory.dag.runtime import get_connection

log = logging.getLogger(__name__)


def send(to: Sequence[str], message: Message) -> None:
    """Send a message to every notifier. One that cannot be reached costs a line in the log, never the task."""
    clean = Message(message.source, message.event, _without_secrets(message.text))
    for conn_id in to:
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


def on_failure(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a failed task; None when no one wants to hear."""
    if "failure" not in config.alerts.on or not config.alerts.to:
        return None

    def tell(context: Mapping[str, Any]) -> None:
        instance, cause = context["ti"], context.get("exception")
        text = f"{config.name}: task {instance.task_id} failed in run {context['run_id']}"
        text = f"{text}: {redact(str(cause))}" if cause else text
        send(config.alerts.to, Message(config.name, "failure", text))

    return tell


def schema_changed(config: Config, table: str, changes: Sequence[str]) -> None:
    """Report columns that appeared, or grew."""
    if changes and "schema_changed" in config.alerts.on:
        message = Message(config.name, "schema_changed", f"{config.name}.{table}: {'; '.join(changes)}")
        send(config.alerts.to, message)
