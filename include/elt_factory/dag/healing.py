"""Files whose parse came to nothing are parsed again.

A parse may be killed, time out, or end without being stored; Airflow then waits for `min_file_process_interval`, which
is a day here, and calls the DAG stale meanwhile. Airflow's database alone shows that a parse has ended well: what it
does not have some time after it was asked for is asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from elt_factory.dag.known import NOTHING, Known, known_to_airflow
from elt_factory.dag.road import Road

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
# A parse that is still under way, or waits for its turn, is asked for once more: this costs nothing, as Airflow reads
# a file again only if it was asked after the last parse ended
PATIENCE = 20 * _SECOND
_MOST = 60 * _SECOND
# A machine that cannot read any of a thousand files is not given all of them every minute
PASSING_AT_A_TIME = 10
_SHOWN = 5


class Healer:
    """What has been asked for in vain, and how often: a file that kills every parse is tried once a minute."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}

    def heal(self, bundle: str, road: Road, now: int) -> None:
        """Ask again for the files of a bundle whose parse came to nothing."""
        try:
            known = known_to_airflow(bundle)
        except Exception:  # a database that does not answer now must not keep changes from being seen
            log.warning("cannot ask Airflow which parses came to nothing", exc_info=True)
            return
        if due := self.due(road.asked(), known, now):
            shown = ", ".join(due[:_SHOWN])
            log.info("asked for again, as nothing of them was stored: %s files, among them %s", len(due), shown)
            road.ask(due)

    def due(self, asked: Mapping[str, int], known: Mapping[str, Known], now: int) -> list[str]:
        """Return the files that must be asked for again."""
        owed = [file for file, when in asked.items() if known.get(file, NOTHING).owes(when)]
        self._tries = {file: self._tries.get(file, 0) for file in owed}
        due = [file for file in owed if now - asked[file] > min(PATIENCE << self._tries[file], _MOST)]
        passing = sorted((file for file in due if known.get(file, NOTHING).passing), key=asked.__getitem__)
        due = sorted({*due} - {*passing[PASSING_AT_A_TIME:]})
        for file in due:
            self._tries[file] = min(self._tries[file] + 1, 2)
        return due
