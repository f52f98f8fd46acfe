"""Telling people: messages to incoming webhooks (Slack's form) whose address is an Airflow connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elt_factory.config.source import Config
from elt_factory.dag.runtime import get_connection
from elt_factory.extract.request import Connection
from elt_factory.extract.subject import secrets_of
from elt_factory.failures import EltError, redact

log = logging.getLogger(__name__)
_SECONDS = 15


def send(to: Sequence[str], text: str) -> None:
    """Post a message to every listener. One that cannot be reached costs a line in the log, never the task."""
    for conn_id in to:
        try:
            problem = _post(get_connection(conn_id), text)
        except Exception as error:  # noqa: BLE001 - the task has done its work; whatever this is must not undo that
            problem = type(error).__name__ if not isinstance(error, EltError) else str(error)
        if problem:
            log.error("could not send the alert to %s: %s", conn_id, problem)


def _post(connection: Connection, text: str) -> str:
    """Why the message was not taken; empty when it was. The address is the secret: no error may tell it."""
    import httpx

    # its line about a request holds the address
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        answer = httpx.post(webhook_url(connection), json={"text": _without_secrets(text)}, timeout=_SECONDS)
    except httpx.TimeoutException:
        return f"no response within {_SECONDS} s"
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        return "invalid webhook URL in the connection: set the server as host and the secret path as password"
    except httpx.TransportError as error:
        return redact(str(error), secrets_of(connection)) or type(error).__name__
    return "" if answer.is_success else f"it returned status {answer.status_code}"


def _without_secrets(text: str) -> str:
    """Return the text without the secrets that Airflow knows of: those of every connection that the task has used."""
    from airflow.sdk._shared.secrets_masker import redact as mask

    return str(mask(text))


def webhook_url(connection: Connection) -> str:
    """Return the address to post to: host with its scheme, and the password, which is the secret part of the path."""
    host = connection.host or ""
    base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return f"{base}{port}/{(connection.password or '').lstrip('/')}"


def on_failure(config: Config) -> Callable[[Mapping[str, Any]], None] | None:
    """Return the callback of a failed task; None when no one wants to hear."""
    if "failure" not in config.alerts.on or not config.alerts.to:
        return None

    def tell(context: Mapping[str, Any]) -> None:
        instance, cause = context["ti"], context.get("exception")
        text = f"{config.name}: task {instance.task_id} failed in run {context['run_id']}"
        send(config.alerts.to, f"{text}: {redact(str(cause))}" if cause else text)

    return tell


def schema_changed(config: Config, table: str, changes: Sequence[str]) -> None:
    """Tell of columns that appeared, or grew."""
    if changes and "schema_changed" in config.alerts.on:
        send(config.alerts.to, f"{config.name}.{table}: {'; '.join(changes)}")
