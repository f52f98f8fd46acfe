"""The half-open window [start, end) of a run, and the load id that follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from elt_factory.config.templates import iso_utc


@dataclass(frozen=True)
class Window:
    """The time a run covers: `start` included, `end` not. Both know their zone."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window's start and end need a time zone")
        if self.start >= self.end:
            raise ValueError(f"the window {self} is empty: its end must come after its start")

    def __str__(self) -> str:
        return f"[{iso_utc(self.start)}, {iso_utc(self.end)})"

    def reach_back(self, lag: timedelta) -> Window:
        """The window that also reads what arrived late, up to `lag` before its start."""
        return Window(self.start - lag, self.end)


def load_id(source: str, table: str, window: Window) -> str:
    """The id of the load of one window: the same for every try, sorted by time, unique over sources and tables.

    Shape: `20130101T050000Z-20130108T050000Z-1f3a9c20`.
    """
    start, end = (iso_utc(moment).replace("-", "").replace(":", "") for moment in (window.start, window.end))
    digest = hashlib.sha256(f"{source}\x00{table}\x00{start}\x00{end}".encode()).hexdigest()[:8]
    return f"{start}-{end}-{digest}"
