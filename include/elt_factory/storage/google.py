"""A connection of type google_cloud_platform as Airflow's own hook reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)


def gcs_options(connection: Connection | None) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the store's config, its client's, and what hands out credentials.

    Raises:
        AccessDeniedError: the key cannot be used, or there are no credentials anywhere.
    """
    extra = connection.extra if connection else {}
    endpoint = extra.get("endpoint_url")
    config = {"base_url": endpoint} if endpoint else {}
    client = {"allow_http": str(endpoint or "").startswith("http://")}
    if extra.get("is_anonymous"):
        return {**config, "skip_signature": True}, client, None
    from google.auth.exceptions import GoogleAuthError
    from obstore.auth.google import GoogleCredentialProvider

    try:
        return config, client, GoogleCredentialProvider(_credentials(connection))
    except (GoogleAuthError, OSError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise AccessDeniedError(f"no Google credentials: {text}; hint: set keyfile_dict or key_path") from None


def _credentials(connection: Connection | None) -> Credentials:
    import google.auth
    from google.auth import impersonated_credentials
    from google.oauth2.service_account import Credentials as OfService

    extra = connection.extra if connection else {}
    # what is not typed there
    library, of_service, impersonated = map(_untyped, (google.auth, OfService, impersonated_credentials))
    if key := extra.get("keyfile_dict"):
        info = json.loads(key) if isinstance(key, str) else dict(key)
        found = of_service.from_service_account_info(info, scopes=_SCOPES)
    elif path := extra.get("key_path"):
        found = of_service.from_service_account_file(path, scopes=_SCOPES)
    elif path := extra.get("credential_config_file"):
        found, _ = library.load_credentials_from_file(path, _SCOPES)
    else:
        found, _ = library.default(_SCOPES)
    chain = extra.get("impersonation_chain") or []
    *through, target = (chain.split(",") if isinstance(chain, str) else chain) or [""]
    if target:
        found = impersonated.Credentials(found, target.strip(), _SCOPES, [one.strip() for one in through])
    return found  # type: ignore[no-any-return]


def _untyped(thing: Any) -> Any:
    return thing
