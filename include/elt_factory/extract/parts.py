"""Parts of a read that run concurrently: all of them, or the error of the first that fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from typing import TypeVar

_BETWEEN_STOPS = 0.1

T = TypeVar("T")


def all_parts(parts: int, read: Callable[[int], T], stop: Callable[[], None]) -> list[T]:
    """Return what each part gives, in their order, each read by a thread of its own.

    Where one fails, or the task is ended, the others are asked to stop until they have: what they still read would be
    thrown away.
    """
    with ThreadPoolExecutor(parts) as pool:
        running = [pool.submit(read, number) for number in range(parts)]
        try:
            for part in as_completed(running):
                part.result()
        except BaseException:
            # one that has not begun to wait for the source yet would not notice the first time
            while wait(running, timeout=_BETWEEN_STOPS).not_done:
                stop()
            raise
    return [part.result() for part in running]
