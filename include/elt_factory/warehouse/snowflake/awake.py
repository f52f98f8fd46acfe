"""A transaction that others wait for, kept from being idle: after five minutes Snowflake would roll it back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from elt_factory.core.failures import EltError

PAUSE = 60.0  # seconds between two statements


@contextmanager
def kept_awake(send: Callable[[], object]) -> Iterator[None]:
    """Send something in the transaction again and again, from a thread, until the block ends.

    What fails ends the thread: at its end the block looks whether the transaction is still there.
    """
    done = threading.Event()

    def run() -> None:
        while not done.wait(PAUSE):
            try:
                send()
            except EltError:
                return

    thread = threading.Thread(target=run, name="keeps a transaction open", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
