"""PagerDuty, by its Events API v2: an incident for each cause, resolved when the cause is over."""

from __future__ import annotations

from typing import Any

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.alerts.posting import post, server
from elt_factory.core.connection import Connection

_SUMMARY, _KEY = 1024, 255  # characters that PagerDuty takes


def send(connection: Connection, message: Message) -> str:
    """Trigger or resolve the incident of a message's cause. The password is the integration key."""
    url = f"{server(connection, 'https://events.pagerduty.com')}/v2/enqueue"
    return post(connection, url, event(message, connection.password or ""))


def event(message: Message, key: str) -> dict[str, Any]:
    """Return the message as PagerDuty takes it."""
    of_cause = {"routing_key": key, "dedup_key": message.key[:_KEY]}
    if message.recovered:
        return {**of_cause, "event_action": "resolve"}
    payload = {
        "summary": message.text[:_SUMMARY],
        "source": message.source,
        "severity": message.severity,
        "component": message.source,
        "class": message.event,
        "custom_details": {"details": list(message.details), "owner": message.owner},
    }
    links = [{"href": message.link, "text": "Open the run"}] if message.link else []
    return {**of_cause, "event_action": "trigger", "payload": payload, "links": links}


KIND = NotifierKind(
    name="pagerduty_events",
    description="PagerDuty, by its Events API; the password is the integration key.",
    send=send,
)
