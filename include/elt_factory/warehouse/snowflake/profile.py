"""The dbt profile of a Snowflake connection: every way to log in that the loads have."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError
from elt_factory.warehouse.kind import DbtProfile

Login = tuple[Mapping[str, str | None], Mapping[str, str]]
SECRET_PREFIX = "DBT_ENV_SECRET_ELT_"  # noqa: S105 - the prefix of a name
SNOWFLAKE_THREADS = 4
# the tag of what dbt asks outside of a model or test; those have one of their own, by a macro of the dbt project
QUERY_TAG = json.dumps({"step": "transform"})


def access_token(connection: Connection) -> str:
    """Return an OAuth access token for a Snowflake connection, as the provider gets it for the loads.

    Raises:
        AccessDeniedError: there is none to be had.
    """
    import requests

    with needs("snowflake", "a connection of type snowflake"):
        from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    hook = SnowflakeHook(snowflake_conn_id=connection.conn_id)
    azure = connection.extra.get("azure_conn_id")
    try:
        if azure:
            return hook.get_azure_oauth_token(azure)
        return hook.get_oauth_token(grant_type=_extra(connection, "grant_type") or "refresh_token")
    except (requests.HTTPError, ValueError, KeyError) as error:
        told = error if isinstance(error, ValueError) else f"the token server returned {error}"
        raise AccessDeniedError(f'the connection "{connection.conn_id}" returned no OAuth token: {told}') from error


def snowflake_profile(
    connection: Connection, compute: str | None, oauth_token: Callable[[Connection], str] = access_token
) -> DbtProfile:
    """Return the dbt profile of a Snowflake connection.

    Raises:
        AccessDeniedError: the connection has not what dbt needs to log in.
    """
    session = connection.extra.get("session_parameters") or {}
    settings = {
        "type": "snowflake",
        "account": _account(connection),
        "user": connection.login,
        "role": _extra(connection, "role"),
        "warehouse": compute or _extra(connection, "warehouse"),
        "database": _needed(connection, "database", _extra(connection, "database")),
        "schema": connection.schema or "public",
        "threads": SNOWFLAKE_THREADS,
        "query_tag": session.get("QUERY_TAG") or QUERY_TAG,
        **{name: _extra(connection, name) for name in ("host", "port", "protocol", "proxy_host", "proxy_port")},
        **{name: _flag(connection, name) for name in ("insecure_mode", "client_session_keep_alive")},
    }
    way, secrets = _login(connection, oauth_token)
    named = {name: f"{{{{ env_var('{SECRET_PREFIX}{name.upper()}') }}}}" for name in secrets}
    values = {f"{SECRET_PREFIX}{name.upper()}": value for name, value in secrets.items()}
    return DbtProfile({k: v for k, v in {**settings, **way, **named}.items() if v not in (None, "")}, values)


def _login(connection: Connection, oauth_token: Callable[[Connection], str]) -> Login:
    """How dbt logs in, as the provider's hook would: settings, and secrets by the name of their setting."""
    authenticator = str(_extra(connection, "authenticator") or "")
    way = authenticator.lower()
    if way == "oauth" or _extra(connection, "refresh_token"):
        # the token is one for now, whose user the token server knows
        return {"authenticator": "oauth", "user": None}, {"token": oauth_token(connection)}
    if way == "workload_identity":
        return _workload_identity(connection)
    if way == "programmatic_access_token":
        return {"authenticator": way}, {"token": _needed(connection, "password", connection.password)}
    keyed = _key(connection)
    if keyed is not None:
        return keyed
    settings = {} if way in ("", "snowflake") else {"authenticator": authenticator}
    if way == "externalbrowser":
        return settings, {}
    return settings, {"password": _needed(connection, "password", connection.password)}


def _key(connection: Connection) -> Login | None:
    """Return a key pair; the connection's password is its passphrase. None where there is no key."""
    file, content = _extra(connection, "private_key_file"), _extra(connection, "private_key_content")
    passphrase = {"private_key_passphrase": connection.password.strip()} if connection.password else {}
    if file and content:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has private_key_file and private_key_content; keep one of them'
        )
    if file:
        return {"private_key_path": str(file)}, passphrase
    if content:
        return {}, {"private_key": _pem(connection, str(content)), **passphrase}
    return None


def _pem(connection: Connection, content: str) -> str:
    """Return a private key as PEM text; connections hold it as it is or, so that it is one line, in base64."""
    if content.lstrip().startswith("-----"):
        return content.strip()
    try:
        return base64.b64decode(content, validate=True).decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError):
        raise AccessDeniedError(
            f'private_key_content of the connection "{connection.conn_id}" is neither PEM text nor base64-encoded PEM'
        ) from None


def _workload_identity(connection: Connection) -> Login:
    provider = _needed(connection, "workload_identity_provider", _extra(connection, "workload_identity_provider"))
    token, file = _extra(connection, "token"), _extra(connection, "token_file_path")
    if not token and file:
        token = Path(str(file)).read_text(encoding="utf-8").strip()
    settings = {"authenticator": "workload_identity", "workload_identity_provider": provider}
    return settings, {"token": str(token)} if token else {}


def _account(connection: Connection) -> str:
    """Return the account, with its region where that is a field of its own."""
    account = _needed(connection, "account", _extra(connection, "account"))
    region = _extra(connection, "region")
    return f"{account}.{region}" if region and "." not in account else account


def _needed(connection: Connection, name: str, value: Any) -> str:
    if not value:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has no {name}, which dbt needs; set it under Admin > Connections'
        )
    return str(value)


def _extra(connection: Connection, name: str) -> Any:
    """Return a field of the connection's extra, under its name or the longer one of old connections."""
    return connection.extra.get(name) or connection.extra.get(f"extra__snowflake__{name}")


def _flag(connection: Connection, name: str) -> bool | None:
    return True if str(_extra(connection, name)).lower() in ("true", "1") else None
