"""The time of another machine's clock, which is read once: the clocks of workers differ, and are set back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Clock:
    """A clock that showed a moment when this was made, and has gone on since; this machine's own is not asked.

    `read` is the moment of `time.monotonic` by which it showed that, where asking it took a while.
    """

    showed: datetime
    read: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return what the clock shows now."""
        return self.showed + timedelta(seconds=time.monotonic() - self.read)
