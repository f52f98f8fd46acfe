"""A sensor: wait until a server takes connections."""

from __future__ import annotations

import socket

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import ConnectionId
from elt_factory.core.failures import PermanentError
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind

TIMEOUT = 5  # seconds


class PortOpen(Model):
    """Wait until a server takes connections."""

    connection: ConnectionId = Field(
        description="Airflow connection with the host and the port.", examples=["message_broker"]
    )


def _poke(spec: PortOpen, look: Look) -> Verdict:
    server = look.connection(spec.connection)
    if not server.host or not server.port:
        raise PermanentError(f'the connection "{spec.connection}" needs a host and a port')
    where = f"{look.config.name}: {server.host}:{server.port}"
    try:
        socket.create_connection((server.host, server.port), timeout=TIMEOUT).close()
    except OSError as error:
        # what is down may be up at the next look
        return Verdict(False, f"{where} takes no connection: {error.strerror or error}")
    return Verdict(True, f"{where} takes connections")


def _words(spec: PortOpen) -> str:
    return f"{spec.connection} takes connections"


def _about(spec: PortOpen) -> str:
    return spec.connection


KIND = SensorKind(
    name="port",
    model=PortOpen,
    description="Wait until a server takes connections.",
    examples=({"connection": "message_broker"},),
    poke=_poke,
    words=_words,
    about=_about,
)
