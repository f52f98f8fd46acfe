"""Error messages of readers: prefixed with source and table, with a hint, and without secrets."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, unquote

from elt_factory.config.models.secrets import looks_secret
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError, EltError, redact
from elt_factory.extract.request import ReadRequest

_SECRET_KEY = re.compile(
    r"pass|pwd|secret|token|key|credential|auth|cookie|session|jwt|signature|sas|dsn", re.IGNORECASE
)
# in a database a login without a password is a name
_KEY_AS_LOGIN = ("http", "https", "generic", "")
_SHORTEST_IN_BASE64 = 6
_SHORTEST_IN_A_LIST = 16
_URL_SAFE = str.maketrans("+/", "-_")
_LEARNING = Lock()

E = TypeVar("E", bound=EltError)
T = TypeVar("T")


@dataclass(frozen=True)
class TableLabel:
    """The table that a message is about, and what must not appear in it."""

    source: str
    table: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    learned: list[str] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, request: ReadRequest) -> TableLabel:
        """Return the label of a request, with every secret of its connection."""
        return cls(request.source.name, request.table, secrets_of(request.connection))

    def __str__(self) -> str:
        return f"{self.source}.{self.table}"

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        return redact(text, (*self.learned, *self.secrets))

    def learn(self, secret: str) -> None:
        """Keep a secret out of messages that came while reading, like a token."""
        # several threads may read with one label
        with _LEARNING:
            self.learned[:] = sorted({*_forms(secret), *self.learned}, key=len, reverse=True)

    def error(self, kind: type[E], text: str, hint: str = "") -> E:
        """Make an error that names source and table: `flights.flights: text; hint: how`."""
        suffix = f"; hint: {hint}" if hint else ""
        return kind(self.clean(f"{self}: {text}{suffix}"))


def needed_connection(request: ReadRequest, label: TableLabel) -> Connection:
    """Return the request's connection.

    Raises:
        BadRequestError: it has none.
    """
    if request.connection is None:
        raise label.error(BadRequestError, "no connection to read from")
    return request.connection


def source_of(request: ReadRequest, kind: type[T]) -> T:
    """Return the request's source.

    Raises:
        TypeError: the reader is not one for its kind.
    """
    if not isinstance(request.source, kind):
        raise TypeError(f"{request.source.name} is a {type(request.source).__name__}, not a {kind.__name__}")
    return request.source


def secrets_of(connection: Connection | None) -> tuple[str, ...]:
    """Return every form in which a connection's secrets could show in a text, longest first.

    A secret is the password, a login without a password (some APIs take a key as the login), what is secret in
    the extra, and a token in the path of the host; its forms are those of addresses, JSON, HTML, Python and base64,
    alone and within a longer text.
    """
    if connection is None:
        return ()
    login, password = connection.login or "", connection.password or ""
    in_host = filter(looks_secret, unquote(connection.host or "").split("/"))
    found = {password, *in_host, *_in_extra(connection.extra)}
    if not password and connection.conn_type in _KEY_AS_LOGIN:
        found.add(login)
    forms = {form for secret in found for form in _forms(secret)}
    if password or login in found:
        pair = f"{login}:{password}"
        forms |= {base64.b64encode(pair.encode()).decode(), *_base64_forms(pair)}
    return tuple(sorted(forms - {""}, key=len, reverse=True))


def _in_extra(extra: Mapping[str, Any]) -> Iterator[str]:
    for key, value in extra.items():
        if isinstance(value, Mapping):
            yield from _in_extra(value)
        elif isinstance(value, list):
            # of a list of names under such a key none is a secret: those of columns are short
            long = [inner for inner in value if not isinstance(inner, str) or len(inner) >= _SHORTEST_IN_A_LIST]
            yield from _in_extra({f"{key}.{place}": inner for place, inner in enumerate(long)})
        elif isinstance(value, str) and _SECRET_KEY.search(key):
            yield value


def _forms(secret: str) -> Iterator[str]:
    # a copied key often ends in a newline, and libraries quote what they refuse
    for text in {secret, secret.strip()} - {""}:
        quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
        yield from (text, *quoted, *map(_small_escapes, quoted))
        yield from (repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text), repr(text.encode())[2:-1])
        yield from _base64_forms(text)


def _small_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _base64_forms(text: str) -> Iterator[str]:
    """Base64 of a text, alone and within that of a longer one, where it begins at any of three places."""
    data = text.encode()
    if len(data) < _SHORTEST_IN_BASE64:
        return
    for before, unlike in enumerate((0, 2, 3)):
        coded = base64.b64encode(bytes(before) + data).decode()
        # what appears before and behind shares its letters with the first and the last of these
        same = coded[unlike : 8 * (before + len(data)) // 6]
        yield from (same, same.translate(_URL_SAFE))
    yield from (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode())
