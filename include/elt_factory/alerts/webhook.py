"""Incoming webhooks in Slack's form, whose address is an Airflow connection."""

from __future__ import annotations

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.alerts.posting import post, server
from elt_factory.core.connection import Connection


def send(connection: Connection, message: Message) -> str:
    """Post a message."""
    return post(connection, webhook_url(connection), {"text": message.body})


def webhook_url(connection: Connection) -> str:
    """Return the address to post to: host with its scheme, and the password, which is the secret part of the path."""
    return f"{server(connection, '')}/{(connection.password or '').lstrip('/')}"


_DESCRIPTION = "An incoming webhook that takes Slack's format: Slack, Mattermost, Rocket.Chat and others."
HTTP = NotifierKind(name="http", description=_DESCRIPTION, send=send)
SLACK = NotifierKind(name="slackwebhook", description=_DESCRIPTION, send=send)
