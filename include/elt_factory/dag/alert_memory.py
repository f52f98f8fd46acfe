"""What was reported already, so that one cause is one alert, and that it is over is reported once.

It is one small file a source, next to the landings, which all workers have: in Airflow's own database a task may keep
only what is its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from elt_factory.config.models.alerts import AlertEvent
from elt_factory.landing.places import Place

_FILE = "reported.json"
# a cause of which no one hears that it is over; longer than the month of a budget
_KEPT = timedelta(days=32)
_VARIES = re.compile(r"\d+|0x[0-9a-f]+|[0-9a-f]{8,}", re.IGNORECASE)


class Reported(msgspec.Struct, frozen=True):
    """A cause that was reported: the event, the sentence, the runs in which it was met, and who has heard of it.

    `upto` is the end of the last window of those runs, where that is known; of one that ends in the future, which no
    other run may ever reach, the moment at which the run has failed.
    """

    event: AlertEvent
    text: str
    at: datetime
    runs: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    upto: datetime | None = None

    def is_met_in(self, run_id: str) -> bool:
        """Whether it was met in a run; the runs of deadlines have the deadline after their name."""
        return any(run == run_id or run.startswith(f"{run_id} ") for run in self.runs)


def cause_of(kind: str, text: str, *names: str) -> str:
    """Return what is the same for every failure of one cause: numbers and the names of tables and tasks are not."""
    for name in names:
        text = text.replace(name, "")
    words = " ".join(_VARIES.sub("#", text).split())
    return f"{kind}-{hashlib.sha256(f'{kind} {words}'.encode()).hexdigest()[:10]}"


@dataclass(frozen=True)
class AlertMemory:
    """What was reported of one source."""

    place: Place

    def is_new(
        self,
        cause: str,
        event: AlertEvent,
        text: str,
        run_id: str,
        told: Iterable[str] = (),
        upto: datetime | None = None,
    ) -> bool:
        """Keep that a cause is reported of a run, and to whom. Whether no other task has done so."""
        found: list[bool] = []
        now = datetime.now(UTC)
        ends = upto and min(upto, now)

        def change(known: dict[str, Reported]) -> dict[str, Reported]:
            before = known.get(cause)
            found[:] = [before is None or run_id not in before.runs]
            runs = (*(before.runs if before else ()), run_id) if found[0] else before.runs if before else ()
            first = before.at if before else now
            heard = tuple(dict.fromkeys((*(before.told if before else ()), *told)))
            last = max(filter(None, (before.upto if before else None, ends)), default=None)
            return {**known, cause: Reported(event, before.text if before else text, first, runs[-20:], heard, last)}

        self._change(change)
        return found[0]

    def is_met_in(self, run_id: str, events: Collection[AlertEvent]) -> bool:
        """Whether something of these events was reported of a run."""
        known = self.place.read(_FILE) if _FILE in self.place.files() else b""
        return any(one.event in events and one.is_met_in(run_id) for one in _decoded(known).values())

    def over(self, goes_on: Callable[[Reported], bool]) -> dict[str, Reported]:
        """Return what was reported and is over now, and forget it."""
        found: dict[str, Reported] = {}

        def change(known: dict[str, Reported]) -> dict[str, Reported]:
            found.clear()
            found.update({cause: one for cause, one in known.items() if not goes_on(one)})
            return {cause: one for cause, one in known.items() if goes_on(one)}

        if _FILE in self.place.files():
            self._change(change)
        return found

    def _change(self, change: Callable[[dict[str, Reported]], dict[str, Reported]]) -> None:
        def changed(content: bytes) -> bytes:
            since = datetime.now(UTC) - _KEPT
            known = {cause: one for cause, one in _decoded(content).items() if one.at > since}
            return msgspec.json.encode(change(known))

        self.place.change(_FILE, changed)


def _decoded(content: bytes) -> dict[str, Reported]:
    try:
        return msgspec.json.decode(content, type=dict[str, Reported]) if content else {}
    except msgspec.DecodeError:
        return {}
