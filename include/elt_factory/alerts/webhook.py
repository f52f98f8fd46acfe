"""Incoming webhooks in Slack's form, whose address is an Airflow connection."""

from __future__ import annotations

import logging

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.core.connection import Connection
from elt_factory.core.failures import redact
from elt_factory.extract.label import secrets_of

_SECONDS = 15


def send(connection: Connection, message: Message) -> str:
    """Post a message. The address is the secret: no error may show it."""
    import httpx

    # its line about a request holds the address
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        answer = httpx.post(webhook_url(connection), json={"text": message.text}, timeout=_SECONDS)
    except httpx.TimeoutException:
        return f"no response within {_SECONDS} s"
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        return "invalid webhook URL in the connection: set the server as host and the secret path as password"
    except httpx.TransportError as error:
        return redact(str(error), secrets_of(connection)) or type(error).__name__
    return "" if answer.is_success else f"it returned status {answer.status_code}"


def webhook_url(connection: Connection) -> str:
    """Return the address to post to: host with its scheme, and the password, which is the secret part of the path."""
    host = connection.host or ""
    base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return f"{base}{port}/{(connection.password or '').lstrip('/')}"


_DESCRIPTION = "An incoming webhook that takes Slack's format: Slack, Mattermost, Rocket.Chat and others."
HTTP = NotifierKind(name="http", description=_DESCRIPTION, send=send)
SLACK = NotifierKind(name="slackwebhook", description=_DESCRIPTION, send=send)
