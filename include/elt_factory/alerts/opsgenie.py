"""Opsgenie, by its Alert API: an alert for each cause, closed when the cause is over."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.alerts.posting import post, server
from elt_factory.core.connection import Connection

_MESSAGE, _ALIAS, _DESCRIPTION = 130, 512, 15_000  # characters that Opsgenie takes
_PRIORITIES = {"error": "P2", "warning": "P3", "info": "P5"}


def send(connection: Connection, message: Message) -> str:
    """Create or close the alert of a message's cause. The password is the API key."""
    base = f"{server(connection, 'https://api.opsgenie.com')}/v2/alerts"
    headers = {"Authorization": f"GenieKey {connection.password or ''}"}
    if message.recovered:
        url = f"{base}/{quote(message.key[:_ALIAS], safe='')}/close?identifierType=alias"
        return post(connection, url, {"source": "elt-factory", "note": message.text}, headers)
    return post(connection, base, alert(message), headers)


def alert(message: Message) -> dict[str, Any]:
    """Return the message as Opsgenie takes it."""
    return {
        "message": message.text[:_MESSAGE],
        "alias": message.key[:_ALIAS],
        "description": message.body[:_DESCRIPTION],
        "entity": message.source,
        "source": "elt-factory",
        "priority": _PRIORITIES[message.severity],
        "tags": [message.event, *([message.owner] if message.owner else [])],
        "details": {"link": message.link, "next": message.next_step},
    }


KIND = NotifierKind(name="opsgenie", description="Opsgenie, by its Alert API; the password is the API key.", send=send)
