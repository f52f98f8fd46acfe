"""Where a connection of type http points, and the header that carries its secret."""

from __future__ import annotations

import base64
from typing import Literal

import httpx

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth_model import ApiKeyAuth, Auth, BasicAuth, BearerAuth, NoAuth


def base_url(connection: Connection, label: TableLabel) -> httpx.URL:
    """Return the address of a connection of type http: its host, and scheme and port where they are separate.

    Raises:
        BadRequestError: there is no host, a scheme that is not http(s), or a login inside the address.
    """
    named = f'the connection "{connection.conn_id}"'
    host, schema = connection.host or "", connection.schema or ""
    scheme = host.partition("://")[0] if "://" in host else schema or "https"
    if not host or scheme not in ("http", "https"):
        raise label.error(BadRequestError, f"{named} has no HTTP address", "set a host, and http or https as schema")
    try:
        url = httpx.URL(host if "://" in host else f"{scheme}://{host}")
        url = url.copy_with(port=url.port or connection.port)
        has_host = bool(url.host)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise label.error(BadRequestError, f"invalid host in {named}: {error}") from None
    if not has_host:
        raise label.error(BadRequestError, f"invalid host in {named}: {url}")
    if url.query or url.fragment:
        text = f"the host of {named} contains a query or a fragment"
        raise label.error(BadRequestError, text, "write its address alone, and what else to send in params:")
    if url.userinfo:
        raise label.error(BadRequestError, f"the host of {named} contains a login", "move it to login and password")
    return url


def static_headers(auth: Auth, connection: Connection, label: TableLabel) -> dict[str, str]:
    """Return the header that carries the connection's own secret.

    Raises:
        AccessDeniedError: the connection has none to send.
    """
    password, login = connection.password or "", connection.login or ""
    match auth:
        case NoAuth():
            return {}
        case BasicAuth():
            needed(auth.type, "login", connection, label)
            return basic_header(login, password)
        case ApiKeyAuth():
            needed(auth.type, "password", connection, label)
            return {auth.header: f"{auth.prefix}{password}"} if auth.param is None else {}
    needed(auth.type, "password", connection, label)
    return {"Authorization": f"Bearer {password}"}


def static_params(auth: Auth, connection: Connection) -> dict[str, str]:
    """Return the query parameter that carries the connection's own secret."""
    if not isinstance(auth, ApiKeyAuth) or auth.param is None:
        return {}
    return {auth.param: f"{auth.prefix}{connection.password or ''}"}


def needed(auth: str, what: Literal["login", "password"], connection: Connection, label: TableLabel) -> str:
    """Return a part of the connection.

    Raises:
        AccessDeniedError: it has none.
    """
    found: str | None = getattr(connection, what)
    if not found:
        text = f'auth {auth} needs a {what}, but the connection "{connection.conn_id}" has none'
        raise label.error(AccessDeniedError, text, f"set the {what} in the connection")
    return found


def basic_header(login: str, password: str) -> dict[str, str]:
    """Return HTTP basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}


def auth_of(api: RestApi, connection: Connection) -> Auth:
    """Return how credentials are sent: as the config says, else as the connection suggests."""
    if api.auth:
        return api.auth
    if connection.login:
        return BasicAuth(type="basic")
    return BearerAuth(type="bearer") if connection.password else NoAuth(type="none")
