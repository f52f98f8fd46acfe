"""What every bundle of configs does at a refresh, whatever its folder is and by whatever road Airflow reads it."""

from __future__ import annotations

import time
from pathlib import Path

from elt_factory.dag.healing import Healer
from elt_factory.dag.preload import preload
from elt_factory.dag.road import Road
from elt_factory.dag.together import parse_together


class Refresher:
    """The refreshes of one bundle in one process.

    Args:
        bundle: The name of the bundle.
        together: How many files one process of the DAG processor reads at most.
    """

    def __init__(self, bundle: str, together: int) -> None:
        self._bundle = bundle
        self._together = together
        self._healer = Healer()

    def refresh(self, road: Road, configs: Path) -> None:
        """Have what changed read, have what was lost read again, and prepare the processes that do it."""
        parse_together(self._bundle, self._together)
        road.sync()
        self._healer.heal(self._bundle, road, time.time_ns())
        preload(configs)
