"""Operations of AWS as requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Self

from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import (
    AccessDeniedError,
    AnswerLostError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)
from elt_factory.extract.label import TableLabel
from elt_factory.sources.remote_job.description import Call
from elt_factory.sources.remote_job.reply import Reply
from elt_factory.storage.aws import endpoint_of, session_of

_REFUSED = ("AccessDenied", "ExpiredToken", "InvalidClientToken", "InvalidSignature", "MissingAuth", "Unrecognized")
_BUSY = ("Throttling", "TooManyRequests", "ServiceUnavailable", "InternalServer", "InternalService", "Limit")
_MISSING = ("EntityNotFound", "ExecutionDoesNotExist", "ResourceNotFound", "InvalidParameterException.NotFound")
_SERVER_ERROR = 500
_NOT_FOUND, _TRIES = 404, 4
_LAMBDA_SECONDS = 900  # the longest that a function may run


@dataclass(frozen=True)
class Aws:
    """Operations of one service. `client` returns a client that tries each one that often."""

    client: Callable[[int], Any]
    label: TableLabel

    @classmethod
    def of(cls, service: str, connection: Connection, label: TableLabel) -> Self:
        """Return the operations of a service.

        Raises:
            BadRequestError: the connection names no region, or a profile that is not there.
        """
        with needs("s3", "a job of AWS"):
            import boto3  # type: ignore[import-untyped]  # noqa: F401

        return cls(cache(partial(_client, service, connection, label)), label)

    def start(self, call: Call, known: Sequence[int | str]) -> Reply:
        """Send a request that is not sent again where it may have had an effect."""
        with self._spoken(call, AnswerLostError):
            return self._sent(self.client(1), call, known)

    def ask(self, call: Call, known: Sequence[int | str] = ()) -> Reply:
        """Send a request that may be sent again."""
        with self._spoken(call, SourceUnavailableError):
            return self._sent(self.client(_TRIES), call, known)

    def _sent(self, client: Any, call: Call, known: Sequence[int | str]) -> Reply:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        try:
            answer = getattr(client, call.method)(**(call.json or {}))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = _NOT_FOUND if code.startswith(_MISSING) else 0
            if code in known or status in known:
                return Reply(status, error.response, known=True)
            raise
        payload = answer.pop("Payload", None)
        if payload is not None:
            answer["Payload"] = payload.read().decode(errors="replace")
        return Reply(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), answer)

    @contextmanager
    def _spoken(self, call: Call, lost: type[EltError]) -> Iterator[None]:
        """Say what went wrong in our words; `lost` is the error of a request that may have had an effect."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        try:
            yield
        except ClientError as error:
            raise self.label.error(_kind(error.response, lost), f"{call.method}: {' '.join(str(error).split())}") from (
                None
            )
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise self.label.error(AccessDeniedError, str(error), "set login and password of the connection") from None
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise self.label.error(SourceUnavailableError, f"{call.method}: {error}") from None
        except BotoCoreError as error:
            raise self.label.error(lost, f"{call.method}: {' '.join(str(error).split())}") from None


def _client(service: str, connection: Connection, label: TableLabel, tries: int) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": tries},
        connect_timeout=10,
        read_timeout=_LAMBDA_SECONDS + 10 if service == "lambda" else 60,
    )
    try:
        return session_of(connection).client(service, endpoint_url=endpoint_of(connection, service), config=config)
    except (BotoCoreError, ValueError) as error:
        hint = "check region_name, endpoint_url and profile_name in the extra of the connection"
        raise label.error(BadRequestError, " ".join(str(error).split()), hint) from None


def _kind(response: Mapping[str, Any], lost: type[EltError]) -> type[EltError]:
    code = str(response.get("Error", {}).get("Code", ""))
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR:
        return lost
    if code.startswith(_REFUSED):
        return AccessDeniedError
    return SourceUnavailableError if code.startswith(_BUSY) else BadRequestError
