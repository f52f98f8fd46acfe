"""Which columns hold secrets, and which JSON holds secrets or personal data inside of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from elt_factory.config.models.secrets import looks_secret
from elt_factory.discover.pii import why_personal

_NAME = re.compile(
    r"(password|passwd|passphrase|secret|(api|access|private|secret|auth|license)key|"
    r"(access|auth|refresh|id|bearer|session|private|api)token)$|^(token|jwt|pwd)$"
)
_SIGNS = re.compile(r"[^a-z0-9]")
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
    if personal := why_personal(name, values, table):
        return Sensitive(personal=personal)
    return _inside(values) if is_json else Sensitive()


def _why_secret(name: str, values: Sequence[str]) -> str | None:
    texts = [value for value in values if value]
    # a flag such as has_password says nothing that is secret
    if texts and _NAME.search(_SIGNS.sub("", name.casefold())) and any(len(text) > len("false") for text in texts):
        return "by its name: a secret, which is not loaded"
    if texts and sum(map(looks_secret, texts)) > _MOST * len(texts):
        return "by its values: a secret, which is not loaded"
    return None


def _inside(values: Sequence[str]) -> Sensitive:
    found: dict[tuple[str, ...], list[str]] = {}
    for value in values[:_LOOKED_AT]:
        with suppress(ValueError, RecursionError):
            for path, text in _texts(json.loads(value)):
                found.setdefault(path, []).append(text)
    named = [(path, texts, ".".join(path)) for path, texts in found.items() if path]
    for path, texts, shown in named:
        if why := _why_secret(path[-1], texts):
            return Sensitive(secret=f"inside, {shown}: {why}")
    for path, texts, shown in named:
        if why := why_personal(path[-1], texts, path[-2] if len(path) > 1 else ""):
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
