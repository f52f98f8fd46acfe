"""The language of JSON APIs: what is asked for, with templates in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models import secrets
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, OF_A_CONNECTION, SECRET
from elt_factory.config.models.templates import Verbatim, check_template
from elt_factory.config.models.values import Scalar, Text, check_scalar
from elt_factory.sources.rest_api.each_model import Each
from elt_factory.sources.rest_api.header_rules import header_mistakes
from elt_factory.sources.rest_api.held_names import OF_CONNECTION, OF_EXTRA

JOB_KEY = "job.key"
DELTA_TOKEN = "delta_token"  # noqa: S105 - the key of a table, and the name of its value in templates
# a header for a secret has one of the connection
SECRET_HEADERS = {"properties": {"headers": {"patternProperties": {rf"^({SECRET})$": {"pattern": OF_A_CONNECTION}}}}}
HEADERS_RULE = {
    "properties": {
        "headers": {
            "propertyNames": {"pattern": rf"^(?!({SECRET})$)"},
            "additionalProperties": {"pattern": NO_TEMPLATE},
        }
    }
}


def check_scalars(value: object) -> object:
    """Return a text, number, true or false, or a list of them."""
    if not isinstance(value, list | tuple):
        return check_scalar(value)
    if not value:
        raise MistakeError("the list is empty", "add a value", code="incomplete")
    return tuple(map(check_scalar, value))


_SCALAR = {"type": ["string", "number", "boolean"]}
# a list is sent as a parameter for each of its values
OneOrMore = Annotated[
    str | int | float | bool | tuple[str | int | float | bool, ...],
    BeforeValidator(check_scalars),
    WithJsonSchema({"anyOf": [_SCALAR, {"type": "array", "minItems": 1, "items": _SCALAR}]}),
]


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    raise_found([*secrets.in_headers(value), *header_mistakes(value)])
    return value


Headers = Annotated[dict[str, Verbatim], AfterValidator(_check_headers)]


def own_names(info: ValidationInfo) -> Sequence[str] | None:
    """Return the names that templates of a table may use next to those of all; None where `for_each` is wrong."""
    given = info.data or {}
    if info.field_name is not None and "for_each" not in given:
        return None
    each: Each | None = given.get("for_each")
    # a path is in messages and in logs of servers
    held = () if info.field_name == "path" else (*OF_CONNECTION, OF_EXTRA)
    return (*(each.names if each else ()), *((DELTA_TOKEN,) if given.get(DELTA_TOKEN) else ()), JOB_KEY, *held)


def _check_text(value: str, info: ValidationInfo) -> str:
    own = own_names(info)
    return value if own is None else check_template(value, own)


def _check_param(value: Any, info: ValidationInfo) -> Any:
    raise_found(_json_mistakes(value, info))
    return value


def _check_plain(value: str | float) -> str | float:
    if isinstance(value, str) and "{{" in value:
        raise MistakeError("templates are not supported here", "use them in params: of the tables")
    return value


def check_path(value: str) -> str:
    """Return a path below the connection's address, without a secret in it."""
    if "://" in value:
        hint = "write only the path, like /v1/flights; the connection holds the rest"
        raise MistakeError("expected a path, got a full URL", hint)
    raise_found(secrets.in_path(value))
    return value


def _check_endpoint(value: str, info: ValidationInfo) -> str:
    return _check_text(check_path(value), info)


def _check_params(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_params(value))
    return value


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]


Param = Annotated[OneOrMore, AfterValidator(_check_param)]


PlainParam = Annotated[Scalar, AfterValidator(_check_plain)]


Params = Annotated[dict[str, Param], AfterValidator(_check_params)]


PlainParams = Annotated[dict[str, PlainParam], AfterValidator(_check_params)]


_HOST = re.compile(r"([^/@:\s]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")


def _check_host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise MistakeError(f'invalid host "{value}"', "write only its name, like files.example.com")
    return value


HostName = Annotated[
    Text, AfterValidator(_check_host), WithJsonSchema({"type": "string", "pattern": f"^{_HOST.pattern}$"})
]


def _check_json(value: Any, info: ValidationInfo) -> Any:
    raise_found(_json_mistakes(value, info))
    return value


def _json_mistakes(value: Any, info: ValidationInfo, *, named: bool = True) -> Iterator[MistakeError]:
    for at, text in texts_in(value):
        try:
            _check_text(text, info)
        except MistakeError as error:
            yield MistakeError(error.message, error.hint, at=(*at, *error.at), code=error.code)
    if named:
        yield from secrets_in(value)


def secrets_in(value: Any) -> Iterator[MistakeError]:
    """Yield the secrets inside of a value of JSON."""
    for at, below in _scalars(value):
        names = [part for part in at if isinstance(part, str)]
        if names and secrets.is_secret(names[-1], below):
            yield MistakeError(f'"{names[-1]}" contains a secret', secrets.HINT, at=(*at, KEY), code="secret")


def _scalars(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _scalars(below, (*at, name))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from _scalars(below, (*at, index))
    else:
        yield at, value


def texts_in(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every text of a value of JSON, with its path."""
    return ((at, below) for at, below in _scalars(value) if isinstance(below, str))


def _check_filled(value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    raise_found([*secrets.in_headers(value), *header_mistakes(value), *_json_mistakes(value, info, named=False)])
    return value


# headers of a table, with templates
FilledHeaders = Annotated[dict[str, str], AfterValidator(_check_filled)]


def _check_body(value: str, info: ValidationInfo) -> str:
    return _check_text(value, info)


JsonValue = Annotated[dict[str, Any] | list[Any], AfterValidator(_check_json)]
Variables = Annotated[dict[str, Any], AfterValidator(_check_json)]
BodyText = Annotated[str, AfterValidator(_check_body)]
