"""A connection of type aws as Airflow's own hook reads it: keys, a profile, a role to assume, an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError

if TYPE_CHECKING:
    from boto3.session import Session  # type: ignore[import-untyped]

_SESSION = "elt-factory"


def session_of(connection: Connection | None) -> Session:
    """Return a session; without a login it finds credentials as AWS does: the environment, a profile, the machine.

    With a `role_arn` the credentials are those of the role, and fetched again before they expire.

    Raises:
        BadRequestError: a way to assume a role that is not known.
    """
    from boto3.session import Session

    extra = connection.extra if connection else {}
    given = {
        "aws_access_key_id": connection.login if connection else None,
        "aws_secret_access_key": connection.password if connection else None,
        "aws_session_token": extra.get("aws_session_token"),
        "region_name": extra.get("region_name"),
        "profile_name": extra.get("profile_name"),
    }
    session = Session(**{name: value or None for name, value in given.items()})
    if connection and extra.get("role_arn"):
        return _with_role(session, connection)
    return session


def endpoint_of(connection: Connection | None, service: str) -> str | None:
    """Return the address of a service where it is not AWS's own."""
    extra = connection.extra if connection else {}
    own = _mapping(_mapping(extra.get("service_config")).get(service)).get("endpoint_url")
    return str(found) if (found := own or extra.get("endpoint_url")) else None


def s3_options(connection: Connection | None) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the store's config, its client's, and what hands out credentials.

    Raises:
        AccessDeniedError: there are no credentials anywhere.
    """
    session, endpoint = session_of(connection), endpoint_of(connection, "s3")
    extra = connection.extra if connection else {}
    asked = _mapping(extra.get("config_kwargs"))
    config = {
        "region": session.region_name,
        "endpoint": endpoint,
        "virtual_hosted_style_request": _mapping(asked.get("s3")).get("addressing_style") == "virtual" or None,
        "skip_signature": asked.get("signature_version") == "unsigned" or None,
    }
    return _given(config), _client(endpoint, extra.get("verify")), None if config["skip_signature"] else _keys(session)


def _keys(session: Session) -> Any:
    from datetime import timedelta

    from obstore.auth.boto3 import Boto3CredentialProvider

    if session.get_credentials() is None:
        raise AccessDeniedError(
            "no AWS credentials found; hint: set login and password of the connection, or give the worker a role; for "
            'a public bucket write {"config_kwargs": {"signature_version": "unsigned"}} in its extra'
        )
    # shorter than the time before their end at which botocore fetches others
    return Boto3CredentialProvider(session, ttl=timedelta(minutes=10))


def _client(endpoint: str | None, verify: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"allow_http": bool(endpoint and endpoint.startswith("http://"))}
    if isinstance(verify, str) and verify.lower() not in ("true", "false"):
        options["root_certificate"] = Path(verify).read_bytes()
    elif str(verify).lower() == "false":
        options["allow_invalid_certificates"] = True
    return options


def _with_role(session: Session, connection: Connection) -> Session:
    from boto3.session import Session
    from botocore.credentials import (  # type: ignore[import-untyped]
        AssumeRoleCredentialFetcher,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.session import get_session  # type: ignore[import-untyped]

    extra = connection.extra
    way = extra.get("assume_role_method") or "assume_role"
    if way != "assume_role":
        raise BadRequestError(
            f'the connection "{connection.conn_id}" has the assume_role_method "{way}", which is not supported; '
            "hint: use assume_role, or give the role to the worker and remove role_arn"
        )
    endpoint = _mapping(_mapping(extra.get("service_config")).get("sts")).get("endpoint_url")

    def client(name: str, **given: Any) -> Any:
        return session.client(name, endpoint_url=endpoint or extra.get("endpoint_url"), **given)

    more = {"RoleSessionName": _SESSION, **_mapping(extra.get("assume_role_kwargs"))}
    if extra.get("external_id"):
        more.setdefault("ExternalId", extra["external_id"])
    fetcher = AssumeRoleCredentialFetcher(client, session.get_credentials(), extra["role_arn"], extra_args=more)

    class _Role:
        METHOD = CANONICAL_NAME = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    inner = get_session()
    inner.register_component("credential_provider", CredentialResolver(providers=[_Role()]))
    return Session(botocore_session=inner, region_name=session.region_name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value}
