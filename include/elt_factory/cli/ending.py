"""SIGTERM and SIGINT end a command and everything that it started.

A task in this process is run by Airflow, whose own handler of SIGTERM continues with the task, and which takes any
exception of a task for the task's failure: so the signal is remembered, and raised once more when the task has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_GRACE_SECONDS = 5.0


class EndedError(SystemExit):
    """A signal asked for the end; the exit code is 128 and the signal's number, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


class Ending:
    """Whether a signal has asked this process to end."""

    def __init__(self) -> None:
        self._asked: int | None = None

    def listen(self) -> None:
        """Take the signals over, anyone who had them before."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._ask)

    def check(self) -> None:
        """Continue, unless the end was requested.

        Raises:
            EndedError: it was.
        """
        if self._asked is not None:
            raise EndedError(self._asked)

    def _ask(self, number: int, _: FrameType | None) -> None:
        self._asked = number
        raise EndedError(number)


@contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """SIGTERM and SIGINT raise EndedError; when the block has ended so, no process that was started within lives on."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ending = Ending()
    ending.listen()
    try:
        yield ending
    except EndedError:
        end_children()
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def leave(ended: EndedError) -> NoReturn:
    """End this process now: a thread of Airflow's that waits for something would keep it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended.code if isinstance(ended.code, int) else 1)


def end_children() -> None:
    """End all processes that this one started, and those that they started: asked first, killed after a while."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=_GRACE_SECONDS)
    for child in alive:
        with suppress(psutil.NoSuchProcess):
            child.kill()
