"""Waiting for what others wrote no longer than some seconds."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from threading import Thread


def within(seconds: float, act: Callable[[], str]) -> str:
    """Return what is returned within some seconds, raise what is raised, or say that nothing was."""
    said: list[str] = []
    raised: list[BaseException] = []

    def acted() -> None:
        try:
            said.append(act())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(error)

    # a daemon: a process ends although it hangs
    thread = Thread(target=copy_context().run, args=(acted,), daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    return said[0] if said else f"it has not ended within {seconds:g} s"
