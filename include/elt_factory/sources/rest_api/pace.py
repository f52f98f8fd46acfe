"""One rate limit for a connection: all tables, runs and processes of this machine and user together.

The next free moment is in a small file. Who wants to ask takes that moment and moves it on, under a lock, then
sleeps until it comes. Workers on several machines each keep the rate by themselves: there the rate of the config is to
be the API's, divided by the number of machines.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path

from elt_factory.config.models.values import Rate
from elt_factory.core.private import own_folder

# that many requests may wait for their turn; a time farther away is left from before the clock was set back
_MOST_WAITING = 10_000


class Pace:
    """Spaces requests evenly: a burst would only bring 429 from servers that count by the second.

    Args:
        rate: The rate, or None for no limit.
        name: What the limit belongs to: the connection and its address.
        folder: Where the moments are kept; by default a folder of this user's that all processes find.
    """

    def __init__(self, rate: Rate | None, name: str, folder: Path | None = None) -> None:
        self._interval = rate.seconds / rate.count if rate else 0.0
        self._file: Path | None = None
        if rate:
            key = hashlib.sha256(name.encode()).hexdigest()[:24]
            self._file = (folder or own_folder("pace")) / key

    def wait(self) -> None:
        """Sleep until the next request may go."""
        if self._file is not None:
            time.sleep(max(0.0, self._take(self._file) - time.time()))

    def _take(self, file: Path) -> float:
        """Return the moment of the next request, which no one else gets."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+") as state:
            fcntl.flock(state, fcntl.LOCK_EX)
            now, free = time.time(), _number(state.read())
            turn = free if now < free < now + self._interval * _MOST_WAITING else now
            state.seek(0)
            state.truncate()
            state.write(repr(turn + self._interval))
        return turn


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
