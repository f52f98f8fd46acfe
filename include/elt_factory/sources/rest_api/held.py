"""Values of the connection that templates of requests use: a second secret, next to the one that `auth` sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError
from elt_factory.extract.label import TableLabel, needed_connection
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.rest_api.held_names import OF_EXTRA
from elt_factory.sources.rest_api.model import RestSource

_SHORTEST = 6  # a shorter text is in too many words to be replaced in all of them


def connection_of(request: ReadRequest, label: TableLabel, source: RestSource) -> Connection:
    """Return the request's connection, with what its templates use kept apart from the headers in its extra.

    The values of these are in no message from now on.
    """
    connection = needed_connection(request, label)
    fields = frozenset(name.removeprefix(OF_EXTRA) for name in source.held if name.startswith(OF_EXTRA))
    for value in (str(connection.extra.get(name, "")) for name in fields):
        if len(value) >= _SHORTEST:
            label.learn(value)
    return replace(connection, held=fields)


def held_values(names: Sequence[str], connection: Connection, label: TableLabel) -> Mapping[str, str]:
    """Return the values of these names.

    Raises:
        AccessDeniedError: the connection has none.
    """
    return {name: _value(name, connection, label) for name in names}


def shown_values(names: Sequence[str]) -> Mapping[str, str]:
    """Return what stands for the values where people look: their names, in capital letters."""
    return {name: name.upper() for name in names}


def _value(name: str, connection: Connection, label: TableLabel) -> str:
    place = name.rpartition(".")[2]
    found = connection.extra.get(place) if name.startswith(OF_EXTRA) else getattr(connection, place)
    if not isinstance(found, str | int | float) or found == "":
        where = f'"{place}" in its extra' if name.startswith(OF_EXTRA) else place
        text = f'a template needs a value that the connection "{connection.conn_id}" does not have: {where}'
        raise label.error(AccessDeniedError, text, "add it to the connection")
    return str(found)
