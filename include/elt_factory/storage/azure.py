"""A connection of type wasb or adls as Airflow's own hooks read it."""

from __future__ import annotations

from typing import Any

from elt_factory.core.connection import Connection


def azure_options(connection: Connection | None) -> tuple[dict[str, Any], dict[str, Any], None]:
    """Return the store's config and its client's.

    Of type wasb the login is an account, of type adls an application; with a tenant it is one for both. Without any
    secret the worker's own identity applies.
    """
    if connection is None:
        return {}, {}, None
    extra, parts = connection.extra, _parts(connection.extra.get("connection_string"))
    by_application = bool(extra.get("tenant_id"))
    named = connection.host if by_application or connection.conn_type == "adls" else connection.login or connection.host
    endpoint = parts.get("BlobEndpoint") or _endpoint(connection.host)
    config = {
        "account_name": parts.get("AccountName") or _account(named),
        "account_key": parts.get("AccountKey") or (None if by_application else connection.password),
        "sas_key": (extra.get("sas_token") or parts.get("SharedAccessSignature") or "").lstrip("?"),
        "tenant_id": extra.get("tenant_id"),
        "client_id": connection.login if by_application else extra.get("managed_identity_client_id"),
        "client_secret": connection.password if by_application else None,
        "endpoint": endpoint,
    }
    return {n: v for n, v in config.items() if v}, {"allow_http": str(endpoint).startswith("http://")}, None


def _parts(connection_string: Any) -> dict[str, str]:
    """Return what a connection string says: keys and values, of which a value may hold a `=`."""
    pieces = (piece.partition("=") for piece in str(connection_string or "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pieces if value}


def _account(named: str | None) -> str | None:
    """Return the account of `https://account.blob.core.windows.net`, or as it is."""
    return named.rpartition("://")[2].partition(".")[0] if named else None


def _endpoint(host: str | None) -> str | None:
    """Return the address of a server that is not Azure's own, such as an emulator."""
    return host if host and "://" in host and ".core.windows.net" not in host else None
