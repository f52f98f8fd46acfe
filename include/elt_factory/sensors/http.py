"""Wait until a URL answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, Strict, StringConstraints

from elt_factory.config.errors import raise_found
from elt_factory.config.models import secrets
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import NO_TEMPLATE
from elt_factory.config.models.templates import Verbatim
from elt_factory.config.models.values import ConnectionId, Scalar, Text
from elt_factory.core.failures import AccessDeniedError
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth_model import NoAuth
from elt_factory.sources.rest_api.model import RestSource

if TYPE_CHECKING:
    from elt_factory.sources.rest_api.exchange import Answer

_TIME = timedelta(seconds=30)
_REFUSALS = (401, 403)


Status = Annotated[int, Strict(), Field(ge=100, le=599)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]


def _one_or_several(given: Any) -> Any:
    return [given] if isinstance(given, int) else given


def _check_path(value: str) -> str:
    raise_found(secrets.in_path(value))
    return value


class HttpReady(Model):
    """Wait until a URL responds, with the status, headers and JSON that are wanted."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"path": (NO_TEMPLATE,)}

    connection: ConnectionId = Field(description="Airflow connection of the server.", examples=["flights_api"])
    path: Annotated[Verbatim, AfterValidator(_check_path)] = Field(
        "/", description="Path to request.", examples=["/health"]
    )
    status: Annotated[tuple[Status, ...], BeforeValidator(_one_or_several)] = Field(
        (), description="Statuses that are ready. By default, all of 200 to 299.", examples=[[200, 304]]
    )
    header: dict[HeaderName, Text] = Field(
        {}, description="Values that headers of the response must have.", examples=[{"X-Export-State": "complete"}]
    )
    json_values: dict[Text, Scalar] = Field(
        {},
        alias="json",
        description="Values that the JSON of the response must have, by their dotted paths.",
        examples=[{"data.state": "ready"}],
    )


def _poke(spec: HttpReady, look: Look) -> Verdict:
    from elt_factory.extract.label import TableLabel, secrets_of
    from elt_factory.sources.rest_api import exchange
    from elt_factory.sources.rest_api.http import HttpClient

    connection = look.connection(spec.connection)
    label = TableLabel(look.config.name, "http sensor", secrets_of(connection))
    api = look.config.extract if isinstance(look.config, RestSource) else None
    # the source's own server gets the source's own key; any other server gets none
    if api is None or api.connection != spec.connection:
        api = RestApi(type="rest_api", connection=spec.connection, auth=NoAuth(type="none"))
    with HttpClient(api.model_copy(update={"timeout": _TIME}), connection, label) as client:
        url, answer = client.shown_at(spec.path), client.probe(spec.path)
    if not isinstance(answer, exchange.Answer):
        return Verdict(False, label.clean(f"{look.config.name}: {url} did not respond: {answer}"))
    if answer.status in _REFUSALS and answer.status not in spec.status:
        hint = f'check the login and password of the connection "{connection.conn_id}", and auth: in the config'
        raise label.error(AccessDeniedError, f"{url} returned status {answer.status}", hint)
    lacking = _lacking(spec, answer)
    seen = f"{look.config.name}: {url} returned status {answer.status}"
    return Verdict(not lacking, label.clean(f"{seen}{lacking}" if lacking.strip() else seen))


def _lacking(spec: HttpReady, answer: Answer) -> str:
    """Return what the answer lacks, in words that follow its status; a space where that is the status itself."""
    from elt_factory.sources.rest_api.damage import UnreadableAnswerError

    if not (answer.status in spec.status if spec.status else answer.is_success):
        return " "
    for name, wanted in spec.header.items():
        found = answer.headers.get(name)
        if found != wanted:
            return f", and {name} is {found or 'missing'} instead of {wanted}"
    for path, value in spec.json_values.items():
        try:
            raw = answer.parsed.find(path)
        except UnreadableAnswerError as error:
            return f", and no JSON: {error}"
        seen = None if raw is None else msgspec.json.decode(raw)
        if seen != value or isinstance(seen, bool) != isinstance(value, bool):
            return f", and {path} is {'missing' if raw is None else repr(seen)} instead of {value!r}"
    return ""


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
