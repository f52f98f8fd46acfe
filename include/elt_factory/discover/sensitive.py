"""Which columns hold secrets, and which JSON holds secrets or personal data inside of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from elt_factory.config.models.secrets import looks_secret
from elt_factory.discover.pii import why_personal

_NAME = re.compile(
    r"(passwords?|passwd|passphrase|secrets?|"
    r"(api|access|private|secret|auth|license|signing|encryption|hmac|webhook)keys?|"
    r"(access|auth|refresh|id|bearer|session|private|api)tokens?)((hash|digest|salt)(ed)?)?$|"
    r"^(pwd|pw|pass)(hash|digest|salt)$|^(token|jwt|pwd)$"
)
# names whose values show whether they are secrets: a count of tokens, a degree and a pin of a board have them too
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])(?!0x|[\[{])\S{8,}")
_IN_DOUBT: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("token", "tokens", "credential", "credentials", "otp"), _RANDOM),
    **dict.fromkeys(("cookie", "cookies"), re.compile(rf"{_RANDOM.pattern}|[^=\[{{]+=\S.*")),
    **dict.fromkeys(("pin", "cvv", "cvc"), re.compile(r"\d{3,8}")),
}
_SESSION = re.compile(r"(^|_)sess(ion)?_?(id|key)$|^(j|php)_?sess(ion)?_?id$")
_HASH_OF_PASSWORD = re.compile(
    r"\$(2[abxy]?|argon2\w+|scrypt|pbkdf2[\w-]*|[156y])\$.|(pbkdf2_\w+|bcrypt\w*|scrypt|argon2)[$:].|\{S?(SHA|MD5|CRYPT)"
)
_SIGNS = re.compile(r"[^a-z0-9]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST = 0.8
_LOOKED_AT = 500
_DEPTH = 5


@dataclass(frozen=True)
class Sensitive:
    """Why a column is likely secret, or personal; None where nothing says so."""

    secret: str | None = None
    personal: str | None = None


def sensitive(name: str, values: Sequence[str], table: str, *, is_json: bool) -> Sensitive:
    """Return what is sensitive about a column, by its name and values; of JSON also by those inside of it."""
    if secret := _why_secret(name, values):
        return Sensitive(secret=secret)
    if personal := _why_personal(name, values, table):
        return Sensitive(personal=personal)
    return _inside(name, values) if is_json else Sensitive()


def _why_secret(name: str, values: Sequence[str]) -> str | None:
    texts = [value for value in values if value]
    # a flag such as has_password says nothing that is secret
    if _NAME.search(_SIGNS.sub("", name.casefold())) and any(len(text) > len("false") for text in texts):
        return "by its name: a secret, which is not loaded"
    test = _IN_DOUBT.get(_words(name)[-1])
    if test and _are_most(test.fullmatch, texts):
        return "by its name: a secret, which is not loaded"
    if _are_most(_looks_secret, texts):
        return "by its values: a secret, which is not loaded"
    return None


def _why_personal(name: str, values: Sequence[str], table: str) -> str | None:
    # who has the id of a session acts as its user; as a hash it is still the same for the same session
    if _SESSION.search("_".join(_words(name))) and _are_most(_RANDOM.fullmatch, values):
        return "by its name: the id of a session"
    return why_personal(name, values, table)


def _words(name: str) -> Sequence[str]:
    return _SIGNS.split(_CAMEL.sub("_", name).casefold())


def _looks_secret(text: str) -> bool:
    return looks_secret(text) or bool(_HASH_OF_PASSWORD.match(text))


def _are_most(test: Callable[[str], object], texts: Sequence[str]) -> bool:
    return bool(texts) and sum(map(bool, map(test, texts))) > _MOST * len(texts)


def _inside(name: str, values: Sequence[str]) -> Sensitive:
    found: dict[tuple[str, ...], list[str]] = {}
    for value in values[:_LOOKED_AT]:
        with suppress(ValueError, RecursionError):
            for path, text in _texts(json.loads(value)):
                found.setdefault(path, []).append(text)
    # the texts of a list have the name of their column
    named = [(path or (name,), texts, ".".join(path) or "its list") for path, texts in found.items()]
    for path, texts, shown in named:
        if why := _why_secret(path[-1], texts):
            return Sensitive(secret=f"inside, {shown}: {why}")
    for path, texts, shown in named:
        if why := _why_personal(path[-1], texts, path[-2] if len(path) > 1 else ""):
            return Sensitive(personal=f"inside, {shown}: {why}")
    return Sensitive()


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts and numbers inside of a value; those of lists are at the place of their list."""
    if len(path) > _DEPTH:
        return
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _texts(below, (*path, key))
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below, path)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, str(value)
