"""In the triggerer, what ends as soon as it begins is reported in the same turn.

The process of the triggers turns once a second: it reports what has ended, begins what is new, and sleeps. A trigger
that only looks once, as the last one of a group of dbt models does, has ended by then and would wait for the next turn.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from typing import Any

log = logging.getLogger(__name__)

_TRIGGERER = "airflow.jobs.triggerer_job_runner"
_USED = {
    "create_triggers": ["self"],
    "cleanup_finished_triggers": ["self"],
    "sync_state_to_supervisor": ["self", "finished_ids"],
}
_BRIEF = 0.5  # seconds that new triggers are given


def report_soon() -> None:
    """Report what ends as soon as it begins, in the triggerer of this process.

    Nothing happens in any other process, or where Airflow's triggerer is not as it is known.
    """
    module: Any = sys.modules.get(_TRIGGERER)
    if module is None:
        return
    runner: Any = getattr(module, "TriggerRunner", None)
    creates: Any = getattr(runner, "create_triggers", None)
    if getattr(creates, "reports", False):
        return
    if any(_takes(runner, name) != taken for name, taken in _USED.items()):
        log.warning("what looks once takes a second longer: this Airflow has another TriggerRunner")
        return

    async def create_triggers(self: Any) -> None:
        known = set(self.triggers)
        await creates(self)
        if new := [self.triggers[one]["task"] for one in self.triggers.keys() - known]:
            ended, _ = await asyncio.wait(new, timeout=_BRIEF)
            if ended:
                await self.sync_state_to_supervisor(await self.cleanup_finished_triggers())

    create_triggers.reports = True  # type: ignore[attr-defined]
    runner.create_triggers = create_triggers


def _takes(runner: Any, name: str) -> list[str] | None:
    method = getattr(runner, name, None)
    return [*inspect.signature(method).parameters] if inspect.iscoroutinefunction(method) else None
