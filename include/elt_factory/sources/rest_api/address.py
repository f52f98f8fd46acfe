"""A URL taken apart: what the connection holds, what the YAML may say, and what is a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from elt_factory.config.models.secrets import is_secret, looks_secret
from elt_factory.core.failures import BadRequestError

_SECRET = re.compile(
    r"key(?!words?$)|token|secret|passw|passphrase|passcode|pwd|auth(?!ors?(?![a-z]))|credential|signature|"
    r"cookie|jwt|hmac|(^|[^a-z])(sig|pass|pw|pin|otp)$",
    re.IGNORECASE,
)
# these are also names of countries, sessions of a course and people: their values show what they are
_IN_DOUBT = re.compile(r"(^|_)(code|sid|session|(j|php)?sess(ion)?_?id|pat|dsn)$", re.IGNORECASE)
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.+/-]{12,}=*")


@dataclass(frozen=True)
class Address:
    """Where an API is: `host` with its scheme, the path below it, and its query parameters."""

    host: str
    path: str
    params: dict[str, str]


def address_of(url: str) -> Address:
    """Take a URL apart.

    The message never shows that.

    Raises:
        BadRequestError: it is not an HTTP address, or holds a secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequestError("invalid HTTP URL; hint: write one like https://api.example.org/v1/orders") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequestError("invalid HTTP URL; hint: write one like https://api.example.org/v1/orders")
    bare = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = f"{parts.scheme}://{bare}" + (f":{port}" if port else "")
    params = dict(parse_qsl(parts.query, keep_blank_values=True))
    what = "a login" if parts.username or parts.password else next((n for n, v in params.items() if _holds(n, v)), "")
    if what:
        add = f"--conn-host '{host}' --conn-password '<secret>'"
        raise BadRequestError(_refusal(what, add, _without_secrets(parts.path)[1] or "/"))
    before, after = _without_secrets(parts.path)
    if before:
        raise BadRequestError(_refusal("in its path", f"--conn-host '{host}{before}'", after or "/"))
    return Address(host, parts.path or "/", params)


def _holds(name: str, value: str) -> bool:
    """Whether a parameter holds a secret, in doubt too: what `elt new` writes is read by many."""
    named = _SECRET.search(name) or (_IN_DOUBT.search(name) and _RANDOM.fullmatch(value))
    return bool(named) or is_secret(name, value)


def _without_secrets(path: str) -> tuple[str, str]:
    """Return a path up to its last part that is a secret, which is not shown, and what follows; else all follows."""
    parts = path.split("/")
    last = max((place for place, part in enumerate(parts) if looks_secret(unquote(part))), default=-1)
    before = ["<secret>" if looks_secret(unquote(part)) else part for part in parts[: last + 1]]
    return "/".join(before), "".join(f"/{part}" for part in parts[last + 1 :]) if before else path


def _refusal(what: str, connection: str, path: str) -> str:
    return (
        f"the URL holds a secret ({what}), which must not end up in a file or a shell history; hint: put it "
        f"into an Airflow connection: airflow connections add my_api --conn-type http {connection}, then: "
        f"elt new NAME --connection my_api --path {path}"
    )
