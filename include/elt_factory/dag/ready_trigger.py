"""The one trigger of all sensors: it looks from the triggerer until what a sensor waits for is there."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.sensors import SENSORS, Sensor
from elt_factory.core.failures import EltError
from elt_factory.core.verdict import Verdict
from elt_factory.dag.asset_events import Answer
from elt_factory.dag.waiting import Seen, Waiting, pause_after

LONGEST_LOOK = timedelta(minutes=2)
_BUSY = timedelta(seconds=5)  # until the next look at a warehouse that was busy: its file is free for moments
# Looks block: they are in threads of their own, of which a few are enough for hundreds of sensors. Other triggers have
# the threads of the event loop, which a server that does not answer must not take from them.
_LOOKS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="elt-sensor")


def _pause(seen: Seen, waited: timedelta, sensor: Sensor) -> timedelta:
    """Return how long to wait for the next look."""
    if seen.verdict.next_look is not None:
        return max(seen.verdict.next_look - datetime.now(UTC), timedelta(seconds=1))
    pause = _BUSY if seen.busy else pause_after(waited, sensor)
    # looks of many sensors that began together are spread
    return pause * random.uniform(0.8, 1.0)  # noqa: S311 - hides nothing


class ReadyTrigger(BaseTrigger):
    """Looks until what a sensor waits for is there, the time is up, or a worker must say what is wrong.

    Args:
        waiting: The sensor of the run, as `Waiting` stores it.
        began: When the first look was, in ISO 8601.
        until: When the time is up.
        message: What the worker saw.
        asked: When the warehouse was asked, where only another load can change what it said; else "".
        next_look: When to look again, where the worker's look knows it; else "".
        marks: What loads had left in Airflow before the warehouse was asked.
    """

    def __init__(
        self,
        waiting: Mapping[str, Any],
        began: str,
        until: str,
        message: str,
        asked: str = "",
        next_look: str = "",
        marks: Sequence[str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waiting, self.began, self.until, self.message, self.asked = waiting, began, until, message, asked
        self.next_look = next_look
        self.marks = None if marks is None else tuple(marks)
        self._looking: asyncio.Future[Seen] | None = None

    @classmethod
    def of(cls, waiting: Waiting, began: datetime, until: datetime, seen: Seen) -> ReadyTrigger:
        """Return the trigger that continues after a worker's look."""
        asked, marks = (seen.answer.asked.isoformat(), seen.answer.marks) if seen.answer else ("", None)
        known = seen.verdict.next_look
        next_look = known.isoformat() if known else ""
        moments = began.isoformat(), until.isoformat()
        return cls(waiting.stored(), *moments, seen.verdict.message, asked, next_look, marks)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes this trigger of."""
        names = ("waiting", "began", "until", "message", "asked", "next_look", "marks")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wake a worker up when there is something to do."""
        yield TriggerEvent({**await self._outcome(), "began": self.began})  # type: ignore[no-untyped-call]

    async def _outcome(self) -> dict[str, Any]:
        """Look until there is something to do, and return what."""
        began, until = datetime.fromisoformat(self.began), datetime.fromisoformat(self.until)
        waiting = await asyncio.to_thread(Waiting.of_stored, self.waiting)
        answer = Answer(self.message, datetime.fromisoformat(self.asked), self.marks) if self.asked else None
        next_look = datetime.fromisoformat(self.next_look) if self.next_look else None
        seen = Seen(Verdict(False, self.message, next_look=next_look), answer)
        while (left := until - datetime.now(UTC)) > timedelta():
            pause = _pause(seen, datetime.now(UTC) - began, waiting.sensor)
            await asyncio.sleep(min(pause, left).total_seconds())
            if SENSORS.get(waiting.sensor.kind).on_worker:
                return {"outcome": "look_again", "message": seen.verdict.message}
            try:
                seen = await self._look(waiting, seen.answer)
            except EltError as error:
                # a worker says it, with all that it knows
                self.log.info("%s", error)
                return {"outcome": "look_again", "message": str(error)}
            self.log.info(waiting.line(seen.verdict, until))
            if seen.verdict.holds:
                return {"outcome": "ready", "message": seen.verdict.message}
        return {"outcome": "timed_out", "message": seen.verdict.message}

    async def _look(self, waiting: Waiting, answer: Answer | None) -> Seen:
        """Look in a thread; a look that takes too long is waited for at the next turn, instead of a second one."""
        if self._looking is None:
            # the log of a look is that of the task
            context, loop = contextvars.copy_context(), asyncio.get_running_loop()
            self._looking = loop.run_in_executor(_LOOKS, context.run, waiting.look, answer, 0)
        done, _ = await asyncio.wait({self._looking}, timeout=LONGEST_LOOK.total_seconds())
        if not done:
            return Seen(Verdict(False, f"the check has not ended within {format_duration(LONGEST_LOOK)}"), answer)
        looked, self._looking = self._looking, None
        return looked.result()
