"""What looks like a secret in a config, by its name or by itself: it belongs in a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

from elt_factory.config.errors import KEY, MistakeError

HINT = "put the secret into the Airflow connection, and choose with auth: how to send it (header or param)"
# names in small letters without signs: these alone, and whatever ends with one of the others
_NAMES = frozenset(
    {
        "auth",
        "authorization",
        "proxyauthorization",
        "token",
        "pwd",
        "sig",
        "jwt",
        "bearer",
        "appid",
        "cookie",
        "apitoken",
    }
)
_ENDINGS = (
    "apikey", "accesskey", "secretkey", "privatekey", "subscriptionkey", "appkey", "authkey", "licensekey",
    "accesstoken", "authtoken", "refreshtoken", "idtoken", "bearertoken", "sessiontoken", "privatetoken",
    "secret", "password", "passwd", "passphrase", "signature", "credential", "credentials", "sessionid",
)  # fmt: skip
_VALUES = re.compile(
    r"^(?:sk|pk|rk)_(?:live|test)_\w{8,}|^gh[pousr]_\w{20,}|^github_pat_\w{20,}|^glpat-[\w-]{16,}|^AKIA[0-9A-Z]{12,}"
    r"|^AIza[\w-]{30,}|^xox[abeprs]-[\w-]{10,}|^eyJ[\w-]{8,}\.[\w-]{8,}\.|^shp(?:at|ca|pa|ss)_\w{16,}|^SG\.[\w-]{16,}\."
    r"|^(?:Bearer|Basic|Token)\s+\S{6,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)
# a key named "key" is one only where its value looks like one
_RANDOM = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[\w-]{16,}$")
_AFTER_A_WORD = re.compile(r"(?=.*\d)[\w.+/-]{6,}=*")
_SIGNS = re.compile(r"[^a-z0-9]")
_WHOLE_TEMPLATE = re.compile(r"\s*\{\{(?P<name>[^{}]*)\}\}\s*")
_PAIR = re.compile(r"[?&;]([^=&;#]+)=([^&;#]*)")


def in_headers(headers: Mapping[str, str]) -> Iterator[MistakeError]:
    """Yield the headers that carry a secret."""
    for name, value in headers.items():
        if is_secret(name, value):
            yield _mistake(f'header "{name}" contains a secret', (name, KEY))


def in_params(params: Mapping[str, object]) -> Iterator[MistakeError]:
    """Yield the parameters that carry a secret."""
    for name, value in params.items():
        if is_secret(name, value):
            yield _mistake(f'parameter "{name}" contains a secret', (name, KEY))


def in_path(path: str, hint: str = HINT) -> Iterator[MistakeError]:
    """Yield the parameters in a path's query that carry a secret, and parts of the path that are one."""
    for name, value in _PAIR.findall(path):
        if is_secret(unquote_plus(name), unquote_plus(value)):
            yield _mistake(f'"{unquote_plus(name)}" in the path contains a secret', (), hint)
    if any(_VALUES.search(part) for part in path.partition("?")[0].split("/")):
        yield _mistake("part of the path looks like a secret", (), hint)


def is_in_words(text: str) -> bool:
    """Whether a few words, as they are before a secret, hold one: `Token token=` does not, `Token hunter2` does."""
    words = text.split()
    pairs = [word.partition("=") for word in words]
    return (
        any(_VALUES.search(word) or _RANDOM.fullmatch(word) for word in words)
        or any(value and is_secret(name, value) for name, _, value in pairs)
        or any(_AFTER_A_WORD.fullmatch(word) for word in words[1:])
    )


def looks_secret(text: str) -> bool:
    """Whether a text has the form of a key or a token that some service gives."""
    return bool(_VALUES.search(text.strip()))


def is_secret(name: str, value: object) -> bool:
    """Whether a value is a secret, by its name or by what it looks like."""
    if isinstance(value, bool) or value in ("", None):
        return False
    text = str(value).strip()
    template = _WHOLE_TEMPLATE.fullmatch(text)
    if template and not template["name"].strip().startswith("params."):
        return False  # a window or a cursor
    plain = _SIGNS.sub("", name.casefold())
    if plain in _NAMES or plain.endswith(_ENDINGS):
        return True
    return bool(_VALUES.search(text)) or (plain == "key" and bool(_RANDOM.fullmatch(text)))


def _mistake(message: str, at: tuple[str, ...], hint: str = HINT) -> MistakeError:
    return MistakeError(message, hint, at=at, code="secret")
