"""Lines of progress for people, a few seconds apart."""

from __future__ import annotations

import time
from collections.abc import Callable

from elt_factory.core.amount import amount

_SECONDS_BETWEEN = 5.0


class Progress:
    """Tells how many rows have been read, at most every few seconds."""

    def __init__(self, log: Callable[[str], None], name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._name = name
        self._clock = clock
        self._began = self._told = clock()

    def seen(self, rows: int, pages: int = 0) -> None:
        """Tell the totals so far when the last line is a few seconds old."""
        if self._clock() - self._told >= _SECONDS_BETWEEN:
            self._told = self._clock()
            self._say("read so far", rows, pages)

    def done(self, rows: int, pages: int = 0) -> None:
        """Tell the totals at the end."""
        self._say("read", rows, pages)

    def _say(self, what: str, rows: int, pages: int) -> None:
        seconds = max(self._clock() - self._began, 1e-3)
        paged = f", {amount(pages, 'page')}" if pages else ""
        self._log(f"{self._name}: {what} {amount(rows, 'row')}{paged}, {rows / seconds:,.0f} rows/s")
