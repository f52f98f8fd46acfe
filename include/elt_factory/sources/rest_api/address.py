"""A URL taken apart: what the connection holds, what the YAML may say, and what is a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from elt_factory.core.failures import BadRequestError

_SECRET = re.compile(r"key|token|secret|passw|pwd|auth|credential|signature|(^|_)sig$", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """Where an API is: `host` with its scheme, the path below it, and its query parameters."""

    host: str
    path: str
    params: dict[str, str]


def address_of(url: str) -> Address:
    """Take a URL apart.

    The message never shows that.

    Raises:
        BadRequestError: it is not an HTTP address, or holds a secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequestError("invalid HTTP URL; hint: write one like https://api.example.org/v1/orders") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequestError("invalid HTTP URL; hint: write one like https://api.example.org/v1/orders")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = f"{parts.scheme}://{name}" + (f":{port}" if port else "")
    params = dict(parse_qsl(parts.query, keep_blank_values=True))
    secret = "a login" if parts.username or parts.password else next(filter(_SECRET.search, params), "")
    if secret:
        raise BadRequestError(
            f"the URL holds a secret ({secret}), which must not end up in a file or a shell history; hint: put it "
            f"into an Airflow connection: airflow connections add my_api --conn-type http "
            f"--conn-host '{host}' --conn-password '<secret>', then: "
            f"elt new NAME --connection my_api --path {parts.path or '/'}"
        )
    return Address(host, parts.path or "/", params)
