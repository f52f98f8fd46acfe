"""Wait until a URL answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from elt_factory.config.errors import raise_found
from elt_factory.config.models import secrets
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import NO_TEMPLATE
from elt_factory.config.models.templates import Verbatim
from elt_factory.config.models.values import ConnectionId
from elt_factory.core.failures import AccessDeniedError
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth_model import NoAuth
from elt_factory.sources.rest_api.model import RestSource

_TIME = timedelta(seconds=30)
_REFUSALS = (401, 403)


def _check_path(value: str) -> str:
    raise_found(secrets.in_path(value))
    return value


class HttpReady(Model):
    """Wait until a URL responds with a 2xx status."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"path": (NO_TEMPLATE,)}

    connection: ConnectionId = Field(description="Airflow connection of the server.", examples=["flights_api"])
    path: Annotated[Verbatim, AfterValidator(_check_path)] = Field(
        "/", description="Path to request.", examples=["/health"]
    )


def _poke(spec: HttpReady, look: Look) -> Verdict:
    from elt_factory.extract.label import TableLabel, secrets_of
    from elt_factory.sources.rest_api.exchange import Answer
    from elt_factory.sources.rest_api.http import HttpClient

    connection = look.connection(spec.connection)
    label = TableLabel(look.config.name, "http sensor", secrets_of(connection))
    api = look.config.extract if isinstance(look.config, RestSource) else None
    # the source's own server gets the source's own key; any other server gets none
    if api is None or api.connection != spec.connection:
        api = RestApi(type="rest_api", connection=spec.connection, auth=NoAuth(type="none"))
    with HttpClient(api.model_copy(update={"timeout": _TIME}), connection, label) as client:
        url, answer = client.shown_at(spec.path), client.probe(spec.path)
    if not isinstance(answer, Answer):
        return Verdict(False, label.clean(f"{look.config.name}: {url} did not respond: {answer}"))
    if answer.status in _REFUSALS:
        hint = f'check the login and password of the connection "{connection.conn_id}", and auth: in the config'
        raise label.error(AccessDeniedError, f"{url} returned status {answer.status}", hint)
    return Verdict(answer.is_success, f"{look.config.name}: {url} returned status {answer.status}")


def _words(spec: HttpReady) -> str:
    return f"{spec.connection}{spec.path} responds"


def _about(spec: HttpReady) -> str:
    return spec.connection


KIND = SensorKind(
    name="http",
    model=HttpReady,
    description="Wait until a URL responds.",
    examples=({"connection": "flights_api", "path": "/health"},),
    poke=_poke,
    words=_words,
    about=_about,
    connection_types=("http", "https"),
)
