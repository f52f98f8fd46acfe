"""What the messages of every reader share: whose they are, the mend, and no secret."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from elt_factory.extract.request import Connection, ReadRequest
from elt_factory.failures import BadRequestError, EltError, redact

_SECRET_KEY = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)

E = TypeVar("E", bound=EltError)
T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """The table that a message is about, and what must not stand in it."""

    source: str
    table: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, request: ReadRequest) -> Subject:
        """Return the subject of a request, with every secret of its connection."""
        return cls(request.source.name, request.table, secrets_of(request.connection))

    def __str__(self) -> str:
        return f"{self.source}.{self.table}"

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        return redact(text, self.secrets)

    def error(self, kind: type[E], text: str, mend: str = "") -> E:
        """Make an error that names source and table: `flights.flights: text; mend: how`."""
        hint = f"; mend: {mend}" if mend else ""
        return kind(self.clean(f"{self}: {text}{hint}"))


def needed_connection(request: ReadRequest, subject: Subject) -> Connection:
    """Return the request's connection; BadRequestError when it has none."""
    if request.connection is None:
        raise subject.error(BadRequestError, "there is no connection to read from")
    return request.connection


def source_of(request: ReadRequest, kind: type[T]) -> T:
    """Return the request's source; TypeError when the reader is not one for its kind."""
    if not isinstance(request.source, kind):
        raise TypeError(f"{request.source.name} is a {type(request.source).__name__}, not a {kind.__name__}")
    return request.source


def secrets_of(connection: Connection | None) -> tuple[str, ...]:
    """Return every form in which a connection's secrets could show in a text, longest first."""
    if connection is None:
        return ()
    found = {connection.password or "", *_in_extra(connection.extra)}
    if connection.password:
        found.add(base64.b64encode(f"{connection.login or ''}:{connection.password}".encode()).decode())
    forms = {form for secret in found for form in _forms(secret)}
    return tuple(sorted(forms - {""}, key=len, reverse=True))


def _in_extra(extra: Mapping[str, Any]) -> Iterator[str]:
    for key, value in extra.items():
        if isinstance(value, Mapping):
            yield from _in_extra(value)
        elif isinstance(value, str) and _SECRET_KEY.search(key):
            yield value


def _forms(secret: str) -> tuple[str, ...]:
    # a copied key often ends in a newline, and libraries quote what they refuse
    return (secret, secret.strip(), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
