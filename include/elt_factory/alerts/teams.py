"""Microsoft Teams: a webhook of a workflow, which takes an adaptive card."""

from __future__ import annotations

from typing import Any

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.alerts.posting import post
from elt_factory.alerts.webhook import webhook_url
from elt_factory.core.connection import Connection

_COLOURS = {"error": "Attention", "warning": "Warning", "info": "Good"}


def send(connection: Connection, message: Message) -> str:
    """Post a message as a card."""
    return post(connection, webhook_url(connection), card(message))


def card(message: Message) -> dict[str, Any]:
    """Return the message as Teams takes it."""
    first = {"type": "TextBlock", "text": message.text, "wrap": True, "weight": "Bolder"}
    body = [{**first, "color": _COLOURS[message.severity]}]
    body += [{"type": "TextBlock", "text": line, "wrap": True} for line in message.details]
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if message.link:
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open the run", "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


KIND = NotifierKind(
    name="msteams", description="Microsoft Teams, by the webhook of a workflow in a channel.", send=send
)
