"""Requests that write to Airflow's metadata in SQLite take turns.

SQLite lets one transaction write at a time. Airflow writes the log of a request in the loop of the server, and the
transaction of another request is only committed when that loop comes to it: where both happen together, the server
hangs until the first gives up, two minutes under `elt up`, and is then an error. With one of them after the
other the loop never waits for what it must end itself. Other databases write side by side and need no turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# reads though it is a POST; the list of task instances is none of these: Airflow logs who asks for it
_READ_BY_POST = "/dagRuns/list"
# Airflow's own; what other plugins answer can take long, and asks these in turn
_AIRFLOW = ("/api/v2/", "/ui/", "/execution/")


class WritersTakeTurns:
    """An ASGI middleware that lets one request at a time write to SQLite.

    Args:
        app: What answers.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Any, receive: _Receive, send: _Send) -> None:
        """Answer a request, after those that came before it where it writes."""
        if not _writes(scope):
            await self._app(scope, receive, send)
            return
        # who sends slowly keeps no one waiting, nor does who reads slowly
        arrived, answer = await _arrived(receive), _Answer()
        async with self._turn:
            await self._app(scope, arrived, answer.keep)
        for message in answer.messages:
            await send(message)


class _Answer:
    """What an application has answered, until it is sent. Airflow has made it whole before it sends the first byte."""

    def __init__(self) -> None:
        self.messages: list[_Message] = []

    async def keep(self, message: _Message) -> None:
        self.messages.append(message)


def _writes(scope: Any) -> bool:
    from airflow import settings

    return (
        scope["type"] == "http"
        and scope["method"] not in _READS
        and (path := _path(scope)).startswith(_AIRFLOW)
        and not (scope["method"] == "POST" and path.endswith(_READ_BY_POST))
        and (settings.SQL_ALCHEMY_CONN or "").startswith("sqlite")
    )


def _path(scope: Any) -> str:
    """Return the path below the base path of Airflow, which a proxy may have removed already."""
    path: str = scope["path"]
    base = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(base) if path.startswith(f"{base}/") else path


async def _arrived(receive: _Receive) -> _Receive:
    """Read a request to its end; what gives it again."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    messages.reverse()

    async def again() -> _Message:
        return messages.pop() if messages else await receive()

    return again
