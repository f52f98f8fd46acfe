"""From an Airflow connection to a client of MongoDB, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError, BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel

with needs("mongodb", "a source of type mongodb"):
    import pymongo
    from bson.errors import BSONError
    from pymongo import errors

if TYPE_CHECKING:
    Client = pymongo.MongoClient[dict[str, Any]]

_SCHEMES = ("mongodb://", "mongodb+srv://")
_FIND_SERVER_MS = 20_000
_SILENCE_MS = 1_800_000  # of a server that keeps its connection open
_NOT_OPTIONS = frozenset({"srv", "ssl", "allow_insecure"})  # what Airflow's hook has in the extra next to the options
UNAUTHORIZED = 13
_REFUSED = frozenset({11, UNAUTHORIZED, 18, 33, 8000})
SNAPSHOT_GONE = 239
# also what servers say that speak MongoDB's protocol and know no snapshots
NO_SNAPSHOT = frozenset({72, 115, 123, SNAPSHOT_GONE, 246, 303})
# an election, a server that stops, a time limit, a cursor that is gone
_MAY_HEAL = frozenset(
    {6, 7, 43, 50, 63, 64, 89, 91, 112, 133, 134, 175, 189, 237, SNAPSHOT_GONE, 246, 262, 9001}
    | {10107, 11600, 11602, 13435, 13436}
)


@contextmanager
def client_of(connection: Connection, label: TableLabel) -> Iterator[Client]:
    """Provide a client.

    Raises:
        BadRequestError: the connection has no host, or an option that pymongo does not take.
    """
    if not connection.host:
        raise label.error(BadRequestError, f'the connection "{connection.conn_id}" has no host', "set one")
    with spoken(label), _opened(connection, label) as client:
        yield client


def _opened(connection: Connection, label: TableLabel) -> Client:
    try:
        return pymongo.MongoClient(_address(connection), **_options(connection))
    except (TypeError, ValueError, OSError, errors.ConfigurationError, errors.InvalidURI) as error:
        raise label.error(BadRequestError, _line(error), "check the host and the extra of the connection") from None


def _address(connection: Connection) -> str:
    """Return the address without a secret: it may be in messages."""
    host = str(connection.host)
    if host.startswith(_SCHEMES):
        return host
    extra = connection.extra
    scheme = _SCHEMES[bool(extra.get("srv"))]
    port = f":{connection.port}" if connection.port and not extra.get("srv") else ""
    return f"{scheme}{host}{port}/{quote(connection.schema or '', safe='')}"


def _options(connection: Connection) -> dict[str, Any]:
    extra = {name: value for name, value in connection.extra.items() if name not in _NOT_OPTIONS}
    if connection.extra.get("ssl"):
        extra.setdefault("tls", True)
    if connection.extra.get("allow_insecure"):
        extra.setdefault("tlsInsecure", True)
    login = {"username": connection.login or None, "password": connection.password or None}
    given = {name: value for name, value in login.items() if value}
    limits = {"serverSelectionTimeoutMS": _FIND_SERVER_MS, "socketTimeoutMS": _SILENCE_MS}
    return {**limits, "appname": "elt-factory", **extra, **given}


@contextmanager
def spoken(label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words, in one line."""
    try:
        yield
    except errors.PyMongoError as error:
        raise label.error(_kind(error), _line(error), _hint(error)) from None
    except BSONError as error:
        raise label.error(BadDataError, f"a document cannot be read: {_line(error)}") from None


def _kind(error: errors.PyMongoError) -> type[EltError]:
    if isinstance(error, errors.OperationFailure):
        if error.code in _REFUSED:
            return AccessDeniedError
        return SourceUnavailableError if error.code in _MAY_HEAL else BadRequestError
    down = isinstance(error, errors.ConnectionFailure | errors.WaitQueueTimeoutError)
    return SourceUnavailableError if down else BadRequestError


def _hint(error: errors.PyMongoError) -> str:
    refused = isinstance(error, errors.OperationFailure) and error.code in _REFUSED
    return "check login, password and authSource of the connection, and its roles" if refused else ""


def _line(error: Exception) -> str:
    # what follows are the states of all servers, and the whole answer
    text = str(error).partition(", full error:")[0].partition(", Timeout:")[0]
    return " ".join(text.split())


def was_cut(error: errors.PyMongoError) -> bool:
    """Whether a read that has begun may do better when it begins again: the connection or the cursor is gone."""
    return isinstance(error, errors.AutoReconnect | errors.CursorNotFound)
