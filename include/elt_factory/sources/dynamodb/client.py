"""From an Airflow connection to a client of DynamoDB, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elt_factory.config.errors import near_name
from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.storage.aws import endpoint_of, session_of

_REFUSED = (
    "AccessDenied",
    "ExpiredToken",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthentication",
    "NotAuthorized",
    "UnrecognizedClient",
)
_SERVER_ERROR = 500
_MAY_HEAL = ("Throttling", "ProvisionedThroughput", "RequestLimit", "InternalServer", "ServiceUnavailable", "Limit")
_ATTEMPTS = 8


def client_of(connection: Connection, label: TableLabel) -> Any:
    """Return a client; without a login it finds credentials as AWS does, in the environment or the machine's role.

    Raises:
        BadRequestError: the connection names no region.
    """
    with needs("dynamodb", "a source of type dynamodb"):
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    try:
        return _client(connection, label)
    except (BotoCoreError, ValueError) as error:
        hint = "check region_name, endpoint_url and profile_name in its extra"
        raise label.error(BadRequestError, " ".join(str(error).split()), hint) from None


def _client(connection: Connection, label: TableLabel) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]

    session = session_of(connection)
    if not session.region_name:
        text = f'the connection "{connection.conn_id}" names no region'
        raise label.error(BadRequestError, text, 'write {"region_name": "eu-central-1"} in its extra')
    retries: Any = {"mode": "adaptive", "max_attempts": _ATTEMPTS}
    config = Config(retries=retries, connect_timeout=10, read_timeout=60)
    return session.client("dynamodb", endpoint_url=endpoint_of(connection, "dynamodb"), config=config)


@contextmanager
def spoken(client: Any, table: str, label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code.startswith("ResourceNotFound"):
            hint = near_name(table, _names(client))
            raise label.error(BadRequestError, f'unknown table "{table}"', hint) from None
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # a proxy may answer without a code of DynamoDB's
        kind = SourceUnavailableError if status >= _SERVER_ERROR else _kind(code)
        raise label.error(kind, " ".join(str(error).split())) from None
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise label.error(AccessDeniedError, str(error), "set login and password of the connection") from None
    except BotoCoreError as error:
        raise label.error(SourceUnavailableError, " ".join(str(error).split())) from None


def _kind(code: str) -> type[EltError]:
    if code.startswith(_REFUSED):
        return AccessDeniedError
    return SourceUnavailableError if code.startswith(_MAY_HEAL) else BadRequestError


def _names(client: Any) -> list[str]:
    """Return the names of all tables; none where the login may not list them."""
    from botocore.exceptions import ClientError

    try:
        return names_of(client)
    except ClientError:
        return []


def names_of(client: Any) -> list[str]:
    """Return the names of all tables."""
    pages = client.get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"]]
