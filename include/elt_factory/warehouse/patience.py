"""How a transaction that another one kept from its table is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from elt_factory.core.failures import WarehouseBusyError

TRIES = 20
LONGEST_PAUSE = 30.0  # seconds
PATIENCE = 600.0  # seconds after which no try begins any more: as long as a lock is waited for

T = TypeVar("T")


def retrying(attempt: Callable[[], T]) -> T:
    """Return the attempt's result; where the warehouse is busy it is made again, after pauses that grow.

    Raises:
        WarehouseBusyError: the warehouse was busy each time.
    """
    began = time.monotonic()
    for number in range(TRIES):
        try:
            return attempt()
        except WarehouseBusyError:
            if number == TRIES - 1 or time.monotonic() - began > PATIENCE:
                raise
        time.sleep(pause(number))
    raise WarehouseBusyError("the warehouse was busy each time")


def pause(number: int) -> float:
    """Seconds before the next try, after that many: they grow, and differ between those who wait for the same."""
    return min(0.05 * 2.0**number, LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - spreads, guards nothing
