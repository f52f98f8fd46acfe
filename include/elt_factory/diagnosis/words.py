"""Moments, durations and counts as people say them."""

from __future__ import annotations

from datetime import datetime, timedelta

from elt_factory.core.amount import amount
from elt_factory.describe.windows import moment_text
from elt_factory.diagnosis.facts import Facts

_PARTS = 2
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def long(duration: timedelta) -> str:
    """Return a duration in its two largest units: `2 h 5 min`."""
    left, parts = int(abs(duration).total_seconds()), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        if len(parts) == _PARTS or (parts and not count):
            break
    return " ".join(parts) or "0 s"


def ago(facts: Facts, moment: datetime) -> str:
    """Return how long before the facts a moment was."""
    return f"{long(facts.now - moment)} ago"


def at(facts: Facts, moment: datetime) -> str:
    """Return a moment on the clock of the config's zone."""
    return moment_text(moment, facts.config.timezone if facts.config else "UTC")


def rows(count: int) -> str:
    """Return a number of rows."""
    return amount(count, "row")


def cut(text: str, most: int = 300) -> str:
    """Return the text in a line, no longer than a reader takes in."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
