"""What a table usually does, robustly: medians and median deviations, which a bad day does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

FEWEST = 8  # values below which nothing is said of a habit
_SIGMA = 1.4826  # of a normal distribution, in median deviations


@dataclass(frozen=True)
class Habit:
    """The middle of some values, and how far they usually are from it."""

    middle: float
    spread: float
    count: int

    def distance(self, value: float, least: float = 0.0) -> float:
        """How many usual deviations a value is from the middle, of no less than `least` each; signed."""
        unit = max(self.spread, least)
        if unit == 0:
            return 0.0 if value == self.middle else float("inf") if value > self.middle else float("-inf")
        return (value - self.middle) / unit


def habit(values: Sequence[float], fewest: int = FEWEST) -> Habit | None:
    """Return the habit of values; None where there are too few of them to say."""
    if len(values) < fewest:
        return None
    middle = float(median(values))
    return Habit(middle, _SIGMA * float(median(abs(value - middle) for value in values)), len(values))


def seconds(values: Sequence[timedelta]) -> list[float]:
    """Return durations as numbers."""
    return [value.total_seconds() for value in values]
