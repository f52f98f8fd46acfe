"""The language of JSON APIs: how credentials are sent. The secrets themselves are in the connection alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models import secrets
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.schema_patterns import NO_ADDRESS, not_both
from elt_factory.config.models.values import Scalar, Text
from elt_factory.sources.rest_api.held_names import OF_CONNECTION, OF_EXTRA, is_of_connection

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}")


def _check_url(value: str) -> str:
    if not re.match(r"https?://[^/@\s]+(/\S*)?$", value):
        raise MistakeError("expected a URL without a login", "write one like https://login.example.com/oauth/token")
    raise_found(secrets.in_path(value))
    return value


def _check_path(value: str) -> str:
    if "://" in value:
        raise MistakeError("expected a path, got a full URL", "use token_url for a server of its own")
    raise_found(secrets.in_path(value))
    return value


def _names_in(text: str) -> Iterator[str]:
    return (name.strip() for name in _TEMPLATE.findall(text))


def _check_body(value: dict[str, Any]) -> dict[str, Any]:
    for name, below in value.items():
        try:
            _check_body(below) if isinstance(below, dict) else _check_login({name: below})
        except MistakeError as error:
            at = (name, *error.at) if isinstance(below, dict) else error.at
            raise MistakeError(error.message, error.hint, at=at, code=error.code) from None
    return value


def _check_login(value: dict[str, Any]) -> dict[str, Any]:
    for name, text in value.items():
        found = list(_names_in(text)) if isinstance(text, str) else []
        for used in found:
            if not is_of_connection(used):
                hint = f"use {', '.join(OF_CONNECTION)} or {OF_EXTRA}NAME"
                raise MistakeError(f'unknown template name "{used}"', hint, at=(name,), code="unknown-name")
        if not found and secrets.is_secret(name, text):
            hint = 'put it into the connection, and write "{{ connection.password }}"'
            raise MistakeError(f'"{name}" contains a secret', hint, at=(name, KEY), code="secret")
    return value


def _check_prefix(value: str) -> str:
    if secrets.is_in_words(value):
        hint = "put the secret into the connection: it is sent after the prefix"
        raise MistakeError("the prefix contains a secret", hint, code="secret")
    return value


Prefix = Annotated[str, AfterValidator(_check_prefix)]
Url = Annotated[Text, AfterValidator(_check_url)]
TokenPath = Annotated[Text, AfterValidator(_check_path)]
# "{{ connection.password }}" and no other templates
Login = Annotated[dict[str, Scalar], AfterValidator(_check_login)]
LoginBody = Annotated[dict[str, Scalar | dict[str, Any]], AfterValidator(_check_body)]


class ApiKeyAuth(Model):
    """Send the connection's password in a header, or as a query parameter."""

    type: Literal["api_key"]
    header: Text = Field("X-API-Key", description="Name of the header.", examples=["X-API-Key"])
    param: Text | None = Field(
        None,
        description="Query parameter to send it in, for an API that does not accept a header.",
        examples=["api_key"],
    )
    prefix: Prefix = Field("", description="Text before the key.", examples=["Token "])


class BearerAuth(Model):
    """Send the connection's password as `Authorization: Bearer`."""

    type: Literal["bearer"]


class BasicAuth(Model):
    """Send the connection's login and password as HTTP basic authentication."""

    type: Literal["basic"]


class NoAuth(Model):
    """Send no credentials."""

    type: Literal["none"]


class TokenAuth(Model):
    """What every way to a token may say of sending it."""

    header: Text = Field("Authorization", description="Header that carries the token.", examples=["X-Session"])
    prefix: Prefix = Field("Bearer ", description="Text before the token.", examples=[""])


class Issued(TokenAuth):
    """A token that a server issues."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"token_path": (NO_ADDRESS,)}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (not_both("token_path", "token_url"),)

    token_path: TokenPath | None = Field(
        None, description="Path of the token endpoint, below the connection's address.", examples=["/oauth/token"]
    )
    token_url: Url | None = Field(
        None,
        description="Address of a token endpoint on another host, which then gets the connection's secret.",
        examples=["https://login.example.com/oauth/token"],
    )
    token: Text = Field("access_token", description="Path of the token in the response.", examples=["data.token"])

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.token_path and self.token_url:
            message = "token_path and token_url exclude each other"
            raise MistakeError(message, "keep one of them", at=("token_url", KEY), code="conflict")
        return self


class OAuth2Auth(Issued):
    """Fetch a token with the connection's login and password as client id and secret, and again when it expires.

    Where the connection's extra has a `refresh_token`, it is used instead of client credentials.
    """

    type: Literal["oauth2"]
    scope: Text | None = Field(None, description="Scopes to ask for.", examples=["read"])
    params: Annotated[dict[str, Scalar], AfterValidator(_check_login)] = Field(
        {}, description="More parameters of the token request.", examples=[{"audience": "https://api.example.com"}]
    )
    client: Literal["body", "basic"] = Field(
        "body",
        description="How client id and secret are sent: in the body, or as HTTP basic authentication.",
        examples=["basic"],
    )

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if not self.token_path and not self.token_url:
            hint = "add token_path: /oauth/token, or token_url: for another host"
            raise MistakeError("oauth2 needs the address of its token endpoint", hint, code="incomplete")
        return self


class SessionAuth(TokenAuth):
    """Log in first, and send the token, or the cookies, of the answer. Logs in again when the session ends."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (not_both("json", "form"),)

    type: Literal["session"]
    path: TokenPath = Field(description="Path of the login endpoint.", examples=["/login"])
    body: LoginBody | None = Field(
        None,
        alias="json",
        description="JSON to send: values of the connection by templates.",
        examples=[{"user": "{{ connection.login }}", "password": "{{ connection.password }}"}],
    )
    form: Login | None = Field(
        None, description="Form fields to send, instead of json.", examples=[{"key": "{{ connection.password }}"}]
    )
    token: Text | None = Field(
        None, description="Path of the token in the response. Without it, cookies are sent.", examples=["data.token"]
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.form is not None:
            message = "json and form exclude each other"
            raise MistakeError(message, "keep one of them", at=("form", KEY), code="conflict")
        return self


class JwtAuth(Issued):
    """Sign a JSON Web Token with the connection's password as its key; send it, or exchange it for a token."""

    type: Literal["jwt"]
    algorithm: Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256"] = (
        Field("RS256", description="Signature algorithm.", examples=["HS256"])
    )
    claims: Annotated[dict[str, Scalar], AfterValidator(_check_login)] = Field(
        {},
        description="Claims, next to `iat` and `exp`.",
        examples=[{"iss": "{{ connection.login }}", "aud": "https://api.example.com"}],
    )
    key_id: Text | None = Field(None, description="`kid` in the token's header.", examples=["key-1"])
    lifetime: PositiveDuration = Field(
        "20m", validate_default=True, description="How long each signed token is valid.", examples=["1h"]
    )


Auth = Annotated[
    ApiKeyAuth | BearerAuth | BasicAuth | NoAuth | OAuth2Auth | SessionAuth | JwtAuth, Field(discriminator="type")
]
