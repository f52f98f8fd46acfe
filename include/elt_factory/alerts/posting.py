"""How a message is posted as JSON: within seconds, and no error shows the address or a key."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import redact
from elt_factory.extract.label import secrets_of

SECONDS = 15
_BAD_ADDRESS = "invalid webhook URL in the connection: set the server as host and the secret path as password"


def post(connection: Connection, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> str:
    """Post JSON. Return why it was not taken; "" when it was. Part of the address or of the headers is the secret."""
    import httpx

    # its line about a request holds the address
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        answer = httpx.post(url, json=body, headers=dict(headers or {}), timeout=SECONDS)
    except httpx.TimeoutException:
        return f"no response within {SECONDS} s"
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        return _BAD_ADDRESS
    except httpx.TransportError as error:
        return redact(str(error), secrets_of(connection)) or type(error).__name__
    return "" if answer.is_success else f"it returned status {answer.status_code}"


def server(connection: Connection, usual: str) -> str:
    """Return the server of a service: the host of the connection with its scheme, by default the service's own."""
    host = connection.host or usual
    base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    return f"{base}:{connection.port}" if connection.port else base
