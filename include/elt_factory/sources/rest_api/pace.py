"""One rate limit for a connection: all tables, runs and processes together, of all machines where they share a place.

The next free moment is in a small file of this machine, and in one of the place that all workers share, the landing.
Who wants to ask takes that moment and moves it on, while no one else can, then sleeps until it comes. The moments are
those of the place's clock, which says when a file there was changed: what a worker's own clock shows does not matter.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock

from elt_factory.config.models.values import Rate
from elt_factory.core.connection import Connection
from elt_factory.core.private import own_folder
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import Shared
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth import base_url
from elt_factory.sources.rest_api.exchange import origin_of

# that many requests may wait for their turn; a time farther away is left from before the clock was set back
_MOST_WAITING = 10_000
# turns are taken for this long ahead, so that a far place is asked less often than the API
_AHEAD = 2.0
_TICK = 0.01  # seconds: file systems say a time that is up to that old
_LATE = 0.2  # seconds: who comes later than that to a turn has missed it, as long as others may be asking


def pace_of(api: RestApi, connection: Connection, label: TableLabel, shared: Shared | None = None) -> Pace:
    """Return the pace of the requests to a connection's address."""
    origin = "|".join(map(str, origin_of(base_url(connection, label))))
    return Pace(api.rate_limit, f"{connection.conn_id} {origin}", shared=shared)


class Pace:
    """Spaces requests evenly: a burst would only bring 429 from servers that count by the second.

    Args:
        rate: The rate, or None for no limit.
        name: What the limit belongs to: the connection and its address.
        folder: Where the moments of this machine are kept; by default a folder of this user's that all processes find.
        shared: Where those of all machines are kept.
    """

    def __init__(self, rate: Rate | None, name: str, folder: Path | None = None, shared: Shared | None = None) -> None:
        self._turns: list[_Turns] = []
        if rate:
            key = hashlib.sha256(name.encode()).hexdigest()[:24]
            interval = rate.seconds / rate.count
            places: list[Shared] = [shared] if shared else []
            places.append(LocalPlace(folder or own_folder("pace")))
            self._turns = [_Turns(place, key, interval) for place in places]

    def wait(self, sleep: Callable[[float], object] | None = None) -> None:
        """Sleep until the next request may go, in the given way."""
        for turns in self._turns:
            (sleep or time.sleep)(max(0.0, turns.take() - turns.clock.now()))


@dataclass
class PlaceClock:
    """The time at a place, as this process knows it from the files that it has changed there.

    A change has happened between the beginning and the end of its request. Each narrows by how much the place's time is
    ahead of the time that this process has counted; storages that say whole seconds are known to a part of one.
    """

    least: float = -math.inf
    most: float = math.inf

    def learn(self, began: float, changed: datetime, ended: float) -> None:
        """Take in when the place says that a file was changed, between two moments of `time.monotonic`."""
        said = changed.timestamp()
        least, most = said - ended, said + (_TICK if changed.microsecond else 1.0) - began
        if max(least, self.least) <= min(most, self.most):
            least, most = max(least, self.least), min(most, self.most)
        # else one of the clocks was set, or they drift apart: the newest is right
        self.least, self.most = least, most

    @property
    def known(self) -> bool:
        """Whether the place has said any time."""
        return math.isfinite(self.least)

    def now(self) -> float:
        """Return the time at the place."""
        return time.monotonic() + (self.least + self.most) / 2


@dataclass
class _Turns:
    """The moments of a rate limit that this process has taken in one place, and has not used yet.

    It takes more of them the longer it uses each, and one alone after it has missed some, which no one gets.
    """

    place: Shared
    key: str
    interval: float
    clock: PlaceClock = field(default_factory=PlaceClock)
    _taken: deque[float] = field(default_factory=deque)
    _count: int = 1
    _lock: Lock = field(default_factory=Lock)

    def take(self) -> float:
        """Return the moment of the next request, which no one else gets."""
        with self._lock:
            missed = False
            while self._taken and self._taken[0] < self.clock.now() - _LATE:
                missed = bool(self._taken.popleft())
            if not self._taken:
                most = max(1, int(_AHEAD / self.interval))
                self._count = 1 if missed or isinstance(self.place, LocalPlace) else min(2 * self._count, most)
                self._reserve(self._count)
            return self._taken.popleft()

    def _reserve(self, count: int) -> None:
        begins = 0.0

        def moved(content: bytes) -> bytes:
            nonlocal begins
            now, free = self.clock.now(), _number(content)
            begins = free if now < free < now + self.interval * _MOST_WAITING else now
            return repr(begins + self.interval * count).encode()

        if not self.clock.known:
            self._change(lambda content: content or b"0")
        self._change(moved)
        self._taken.extend(begins + self.interval * number for number in range(count))

    def _change(self, change: Callable[[bytes], bytes]) -> None:
        began = time.monotonic()
        self.place.change(self.key, change)
        changed = self.place.changed(self.key)
        self.clock.learn(began, changed, time.monotonic())


def _number(content: bytes) -> float:
    try:
        return float(content)
    except ValueError:
        return 0.0
