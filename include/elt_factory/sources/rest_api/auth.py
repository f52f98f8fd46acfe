"""Where a connection of type http points, and the header that carries its secret."""

from __future__ import annotations

import base64

import httpx

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError
from elt_factory.extract.subject import Subject
from elt_factory.sources.rest_api.auth_model import ApiKeyAuth, Auth, BasicAuth, BearerAuth, NoAuth
from elt_factory.sources.rest_api.model import RestApi


def base_url(connection: Connection, subject: Subject) -> httpx.URL:
    """Return the address of a connection of type http: its host, and scheme and port where they are separate.

    Raises:
        BadRequestError: there is no host, a scheme that is not http(s), or a login inside the address.
    """
    named = f'the connection "{connection.conn_id}"'
    host, schema = connection.host or "", connection.schema or ""
    scheme = host.partition("://")[0] if "://" in host else schema or "https"
    if not host or scheme not in ("http", "https"):
        raise subject.error(BadRequestError, f"{named} has no HTTP address", "set a host, and http or https as schema")
    try:
        url = httpx.URL(host if "://" in host else f"{scheme}://{host}")
        url = url.copy_with(port=url.port or connection.port)
    except httpx.InvalidURL as error:
        raise subject.error(BadRequestError, f"invalid host in {named}: {error}") from None
    if not url.host:
        raise subject.error(BadRequestError, f"invalid host in {named}: {url}")
    if url.userinfo:
        raise subject.error(BadRequestError, f"the host of {named} contains a login", "move it to login and password")
    return url


def auth_headers(api: RestApi, connection: Connection, subject: Subject) -> dict[str, str]:
    """Return the header that carries the secret.

    Raises:
        AccessDeniedError: the connection has none to send.
    """
    auth = _auth_of(api, connection)
    password, login = connection.password or "", connection.login or ""
    if isinstance(auth, NoAuth):
        return {}
    if not (login if isinstance(auth, BasicAuth) else password):
        missing = "login" if isinstance(auth, BasicAuth) else "password"
        text = f'auth {auth.type} needs a {missing}, but the connection "{connection.conn_id}" has none'
        raise subject.error(AccessDeniedError, text, f"set the {missing} in the connection")
    if isinstance(auth, ApiKeyAuth):
        return {auth.header: password} if auth.param is None else {}
    if isinstance(auth, BearerAuth):
        return {"Authorization": f"Bearer {password}"}
    return {"Authorization": "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()}


def auth_params(api: RestApi, connection: Connection, subject: Subject) -> dict[str, str]:
    """Return the query parameter that carries the secret.

    Raises:
        AccessDeniedError: the connection has none to send.
    """
    auth = _auth_of(api, connection)
    if not isinstance(auth, ApiKeyAuth) or auth.param is None:
        return {}
    auth_headers(api, connection, subject)
    return {auth.param: connection.password or ""}


def _auth_of(api: RestApi, connection: Connection) -> Auth:
    return api.auth or _default_auth(connection)


def _default_auth(connection: Connection) -> BasicAuth | BearerAuth | NoAuth:
    if connection.login:
        return BasicAuth(type="basic")
    if connection.password:
        return BearerAuth(type="bearer")
    return NoAuth(type="none")
