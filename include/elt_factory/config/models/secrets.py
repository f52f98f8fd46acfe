"""What looks like a secret in a config, by its name or by itself: it belongs in a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

from elt_factory.config.errors import KEY, MistakeError

HINT = (
    "put the secret into the Airflow connection, and choose with auth: how to send it (header or param); a second one "
    "is {{ connection.extra.NAME }}"
)
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
    "secret", "password", "passwd", "passphrase", "passcode", "accesscode", "signature", "credential", "credentials",
    "sessionid",
)  # fmt: skip
_VALUES = re.compile(
    r"^(?:sk|pk|rk)_(?:live|test)_\w{8,}|^gh[pousr]_\w{20,}|^github_pat_\w{20,}|^glpat-[\w-]{16,}|^AKIA[0-9A-Z]{12,}"
    r"|^AIza[\w-]{30,}|^xox[abeprs]-[\w-]{10,}|^eyJ[\w-]{8,}\.[\w-]{8,}\.|^shp(?:at|ca|pa|ss)_\w{16,}|^SG\.[\w-]{16,}\."
    r"|^(?:Bearer|Basic|Token)\s+\S{6,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^/\s:@]*:(?![{$])[^/\s@]+@"
    # what a webhook is signed with, the webhooks of chats, which need nothing else, and the token of a bot in its path
    r"|^whsec_[\w+/=-]{16,}|://hooks\.slack\.com/(?:services|workflows|triggers)/\w"
    r"|://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d|\.webhook\.office\.com/webhookb2/\w"
    r"|^(?:bot)?\d{6,12}:[\w-]{30,}$"
)
# a key named "key" is one only where its value looks like one
_RANDOM = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[\w-]{16,}$")
_AFTER_A_WORD = re.compile(r"(?=.*\d)[\w.+/-]{6,}=*")
# words of names of settings of other tools
_WORDS = frozenset((
    "token", "tokens", "secret", "secrets", "password", "passwords", "passphrase", "passcode", "pass", "passwd", "pwd",
    "pw", "key", "keys", "credential", "credentials", "auth", "authorization", "jwt", "certificate", "cert", "private",
    "signature", "sig", "hmac", "webhook", "pat", "cookie", "cookies", "apikey", "accesscode", "dsn",
))  # fmt: skip
_OF_TABLES = re.compile(r"(?:primary|replication|partition|sort|foreign|table)_keys?|key_(?:properties|columns)")
# what names the value in a list of headers or parameters
_NAMING = ("name", "key", "header", "header_name")
_ASSIGNED = re.compile(
    r"(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|api_?key|token|secret)\s*=", re.IGNORECASE
)
_SIGNS = re.compile(r"[^a-z0-9]")
_WHOLE_TEMPLATE = re.compile(r"\s*\{\{(?P<name>[^{}]*)\}\}\s*")
_OF_NOTIFIERS = ("token", "routingkey", "integrationkey", "webhookurl", "webhook")
_WITH_LOGIN = re.compile(r"://[^/\s@]+@|://hooks\.slack\.com/", re.IGNORECASE)
_OF_CONNECTION = re.compile(r"\{\{\s*connection\.[\w.]+\s*\}\}")
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


def in_arguments(arguments: Mapping[str, object], hint: str) -> Iterator[MistakeError]:
    """Yield the arguments of a notifier that carry a secret: keys, tokens and webhooks are secret for them."""
    for name, value in arguments.items():
        plain = _SIGNS.sub("", name.casefold())
        named = plain.endswith(_OF_NOTIFIERS) and isinstance(value, str) and bool(value)
        if named or is_secret(name, value) or (isinstance(value, str) and _WITH_LOGIN.search(value)):
            yield _mistake(f'argument "{name}" contains a secret', (name, KEY), hint)


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
        return False  # a window, a cursor, or a secret of the connection
    if _OF_CONNECTION.search(text):
        return is_in_words(_OF_CONNECTION.sub("", text))
    plain = _SIGNS.sub("", name.casefold())
    if plain in _NAMES or plain.endswith(_ENDINGS):
        return True
    return bool(_VALUES.search(text)) or (plain == "key" and bool(_RANDOM.fullmatch(text)))


def named_in(pair: Mapping[str, object]) -> str:
    """Return what the `value` of a pair is called, as in a list of headers; nothing where it is not one."""
    return next((str(pair[key]) for key in _NAMING if isinstance(pair.get(key), str)), "")


def may_hold_one(name: str, value: object, others: re.Pattern[str]) -> bool:
    """Whether a setting of another tool may hold a secret: such a one is not copied into a config, even in doubt.

    Args:
        name: Its name.
        value: Its value, however deep.
        others: What else makes a text one.
    """
    if isinstance(value, Mapping):
        below = [*value.items(), (named_in(value), value.get("value"))]
        return any(may_hold_one(str(key), inner, others) for key, inner in below)
    if isinstance(value, list | tuple):
        return any(may_hold_one(name, below, others) for below in value)
    if not isinstance(value, str):
        return is_secret(name, value)
    return (bool(value) and _is_of_one(name)) or is_secret(name, value) or _has_one(value, others)


def _has_one(text: str, others: re.Pattern[str]) -> bool:
    in_address = "://" in text and any(map(_in_query, _PAIR.findall(text)))
    return in_address or any(pattern.search(text) for pattern in (others, _ASSIGNED))


def _in_query(pair: tuple[str, str]) -> bool:
    name, value = map(unquote_plus, pair)
    return bool(value) and (_is_of_one(name) or is_secret(name, value))


def _is_of_one(name: str) -> bool:
    """Whether a word of a name is one of a secret."""
    plain = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).casefold()
    words = _SIGNS.split(_OF_TABLES.sub("", plain))
    return not _WORDS.isdisjoint(words) or words in (["code"], ["refresh"])


def _mistake(message: str, at: tuple[str, ...], hint: str = HINT) -> MistakeError:
    return MistakeError(message, hint, at=at, code="secret")
