"""How long a warehouse works for a connection: what it costs follows from that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Work:
    """What a connection has had the warehouse do, and who hears of it at its end."""

    seconds = 0.0
    statements_run = 0
    when_done: Callable[[Work], None] | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a statement, and the seconds until its answer is there."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began
            self.statements_run += 1

    def tell_done(self) -> None:
        """Report all that was done."""
        if self.when_done is not None:
            self.when_done(self)
