"""What a system answers to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from elt_factory.sources.remote_job.description import Call

GONE = (404, 410)


@dataclass(frozen=True)
class Reply:
    """What a system answered: JSON, None where it was empty. `known` says that its status is one that was asked for."""

    status: int
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    known: bool = False

    def at(self, path: str) -> Any:
        """Return the value at a dotted path; None where there is none."""
        return dig(self.body, path)


class Transport(Protocol):
    """How requests are sent."""

    def start(self, call: Call, known: Sequence[int | str]) -> Reply:
        """Send a request that is not sent again where it may have had an effect."""

    def ask(self, call: Call, known: Sequence[int | str] = ()) -> Reply:
        """Send a request that may be sent again."""


def dig(value: Any, path: str) -> Any:
    """Return the value at a dotted path of JSON, through lists by number; None where there is none."""
    for name in path.split(".") if path else ():
        value = _within(value)
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.lstrip("-").isdecimal() and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value if path else None


def _within(value: Any) -> Any:
    """Return the JSON within a text of JSON."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(value)
    return value
