"""What is known of a job between two looks, and what tells it from others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
import msgspec

from elt_factory.sources.rest_api.keys import Key
from elt_factory.sources.rest_api.requests import Request


class State(msgspec.Struct):
    """What the tries of a run know of one job; without an id it was asked for, and no answer came.

    One that is done without an id has no results, as a rule of `answers` says. `asked` tells its request from others.
    """

    started: datetime
    asked: str
    key: str  # by which the API may know the request when it comes again
    id: str | None = None
    path: str = ""
    body: str = ""
    cancel: str = ""
    done: bool = False


@dataclass(frozen=True)
class Done:
    """A job that is done: what it was asked with, the links to its results, and what these are relative to."""

    name: str
    key: Key
    id: str
    links: Sequence[str]
    found_on: httpx.URL


def name_of(key: Key) -> str:
    """Return what tells the job of a key from those of others in the memory of a run."""
    values = {name: str(value) for name, value in sorted(key.values.items())}
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:16]


def mark_of(asked: Request) -> str:
    """Return what tells the request for a job from one that asks for something else."""
    sending = asked.sending({})
    parts = (sending.method, asked.path, asked.params, sending.own_headers, sending.content)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
