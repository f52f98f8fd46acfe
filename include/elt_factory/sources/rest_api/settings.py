"""What the extra of a connection of type http says, read as Airflow's own HTTP hook reads it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel

_TRANSPORT = ("verify", "verify_ssl", "cert", "proxy", "proxies", "trust_env")
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name: of oauth2, sent to the token endpoint alone
# where httpx looks for certificates instead; what is there may change while a process runs
_OWN_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_ELSEWHERE = {
    "timeout": "set timeout: in the config",
    "allow_redirects": "redirects within the connection's address are followed",
    "max_redirects": "redirects within the connection's address are followed",
    "stream": "remove it",
    "check_response": "remove it: every response is checked",
    "srv_lookup": "write the literal host",
    "auth": "set auth: in the config",
    "auth_type": "set auth: in the config",
}


@dataclass(frozen=True)
class HttpSettings:
    """What a connection adds to every request; nothing of it shows in a repr."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    cert: str | tuple[str, ...] | None = field(default=None, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True

    @property
    def has_own_tls(self) -> bool:
        """Whether the connection says how servers are known, or who we are."""
        return self.verify is not True or self.cert is not None

    def tls(self) -> ssl.SSLContext:
        """How servers are known, and who we are to them.

        Raises:
            OSError: files that cannot be used.
        """
        if not self.has_own_tls:
            own = self.trust_env and any(map(os.environ.get, _OWN_AUTHORITIES))
            return httpx.create_ssl_context() if own else _usual_tls()
        context = httpx.create_ssl_context(verify=bool(self.verify), trust_env=self.trust_env)
        if isinstance(self.verify, str):
            folder = Path(self.verify).is_dir()
            context.load_verify_locations(**{"capath" if folder else "cafile": self.verify})
        if self.cert:
            context.load_cert_chain(*([self.cert] if isinstance(self.cert, str) else self.cert))
        return context


@cache
def _usual_tls() -> ssl.SSLContext:
    """Read the authorities that httpx knows, once in a process: of a short read that is more than half of the work."""
    return httpx.create_ssl_context(trust_env=False)


def settings_of(connection: Connection, label: TableLabel) -> HttpSettings:
    """Return the settings in a connection's extra: what is not known there is a header, as for Airflow's own HTTP hook.

    Raises:
        BadRequestError: what would have no effect here: nothing is passed over in silence.
    """
    extra = {name: value for name, value in connection.extra.items() if name not in connection.held}
    named = f'the connection "{connection.conn_id}"'
    for name, hint in _ELSEWHERE.items():
        if name in extra:
            raise label.error(BadRequestError, f'{named} has "{name}" in its extra, which is ignored', hint)
    options = {name: extra.pop(name) for name in _TRANSPORT if name in extra}
    extra.pop(REFRESH_TOKEN, None)
    nested = extra.pop("headers", {})
    if not isinstance(nested, Mapping):
        raise label.error(
            BadRequestError, f'"headers" in the extra of {named} is not an object', "write header names and text values"
        )
    headers = {**extra, **nested}
    for name, value in headers.items():
        if not isinstance(value, str | int | float):
            text = f'"{name}" in the extra of {named} is not text, but header values must be'
            raise label.error(BadRequestError, text, "write text, or remove it")
    return HttpSettings(
        headers={name: str(value) for name, value in headers.items()},
        verify=_verify(options.get("verify", options.get("verify_ssl", True))),
        cert=_cert(options.get("cert")),
        proxies=_proxies(options.get("proxies", options.get("proxy"))),
        trust_env=_verify(options.get("trust_env", True)) is not False,
    )


def _verify(value: Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value if isinstance(value, str) and value else bool(value)


def _cert(value: Any) -> str | tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else value or None


def _proxies(value: Any) -> dict[str, str]:
    """Return the proxies by what they are for, as requests calls it."""
    named = value if isinstance(value, Mapping) else {"all": value}
    return {str(name): str(address) for name, address in named.items() if str(address or "").strip()}
