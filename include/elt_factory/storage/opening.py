"""From a URL and an Airflow connection to the objects there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.core.failures import AccessDeniedError, EltError, redact
from elt_factory.core.stores import OBJECT_STORES, Address, address_of
from elt_factory.storage.aws import s3_options
from elt_factory.storage.azure import azure_options
from elt_factory.storage.google import gcs_options
from elt_factory.storage.objects import Objects

Options = tuple[dict[str, Any], dict[str, Any], Any]

# a request may take as long as its object is large, but not be silent
_CLIENT = {"timeout": "1day", "connect_timeout": "10s", "read_timeout": "60s"}
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(minutes=1)}
_OPTIONS: Mapping[str, Callable[[Connection | None], Options]] = {
    "s3": s3_options,
    "gcs": gcs_options,
    "azure": azure_options,
}


def open_objects(url: str, connection: Connection | None, user: str) -> Objects:
    """Return the objects below a URL, opened by an Airflow connection; nothing is asked yet.

    Without a connection, the worker's own credentials apply.

    Args:
        url: A URL of object storage.
        connection: The connection.
        user: What needs it, for people: "a landing in s3://".

    Raises:
        AccessDeniedError: the connection does not fit, or cannot be used.
        MissingExtraError: the storage's package is not installed.
    """
    address = address_of(url)
    kind = OBJECT_STORES[address.scheme]
    if connection and connection.conn_type not in kind.conn_types:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; '
            f"{user} needs type {' or '.join(kind.conn_types)}"
        )
    if module := missing(kind.extra):
        raise MissingExtraError(user, kind.extra, module)
    secrets = tuple(_secrets(connection))
    try:
        store = _store(address, *_OPTIONS[kind.extra](connection))
    except EltError:
        raise
    except Exception as error:  # noqa: BLE001 - each vendor has exceptions of its own
        text = redact(str(error).split("\n\n", 1)[0], secrets)
        raise AccessDeniedError(f"cannot open {redact(url)}: {type(error).__name__}: {text}") from None
    return Objects(url.rstrip("/"), address.path, store, secrets)


def _store(address: Address, config: dict[str, Any], client: dict[str, Any], credentials: Any) -> Any:
    from obstore.store import from_url

    given: Any = {"config": config, "client_options": {**_CLIENT, **client}, "retry_config": _RETRIES}
    if credentials:
        given["credential_provider"] = credentials
    return from_url(f"{address.scheme}://{address.host}", **given)


def _secrets(connection: Connection | None) -> Iterator[str]:
    from elt_factory.extract.label import secrets_of

    yield from secrets_of(connection)
