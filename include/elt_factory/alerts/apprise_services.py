"""Apprise: one library for more than a hundred services, each by an address that holds its secret."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs

_NO_ADDRESS = "the connection has no address: set the password to one of Apprise's, like mailto://user:secret@host"


def send(connection: Connection, message: Message) -> str:
    """Send a message to every address of the connection."""
    with needs("apprise", "a connection of type apprise"):
        import apprise
    # lines about a request may hold an address, which is the secret
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    found = list(addresses(connection))
    if not found:
        return _NO_ADDRESS
    service = apprise.Apprise()
    bad = sum(not service.add(address) for address in found)
    taken = bool(len(service)) and service.notify(
        title=message.text, body=_rest(message), notify_type=_state(message), interpret_escapes=False
    )
    problems = [f"{bad} of {len(found)} addresses are not Apprise's"] if bad else []
    if len(service) and not taken:
        problems.append("not every service has taken it")
    return "; ".join(problems)


def addresses(connection: Connection) -> Iterator[str]:
    """Yield the addresses: those in the password, and those of the extra as Airflow's provider for Apprise has them."""
    yield from (connection.password or "").split()
    config: Any = connection.extra.get("config") or ()
    for one in [config] if isinstance(config, str | Mapping) else config:
        address = one.get("path") if isinstance(one, Mapping) else one
        if address:
            yield str(address)


def _rest(message: Message) -> str:
    """Return what comes after the title; Apprise sends no message without a body."""
    return "\n".join([*message.details, *([message.link] if message.link else [])]) or message.text


def _state(message: Message) -> str:
    if message.recovered:
        return "success"
    return {"error": "failure", "warning": "warning"}.get(message.severity, "info")


KIND = NotifierKind(
    name="apprise",
    description="Every service that Apprise knows, by its address; the password is the address, or several.",
    send=send,
)
