"""Watching one model of a dbt process from the triggerer; all of a run ask Airflow together, once a second."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from elt_factory.dag.dbt_outcomes import Outcome
from elt_factory.dag.dbt_verdicts import Seen

BUILD = "build"
MODELS, USED = "models", "return_value"  # keys of XComs: of the dbt process, and of a model's task
_EVERY, _STATES_EVERY = 1.0, 5.0


def states_of(dag_id: str, run_id: str, group: str) -> Mapping[str, str | None]:
    """Return the states of the tasks of a group in a run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    # asked for a group, the server reads all tasks of the run and the whole DAG, and all tasks again
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    return {name: state for name, state in states.get(run_id, {}).items() if name.startswith(f"{group}.")}


def xcom_of(dag_id: str, run_id: str, task_id: str, key: str) -> Any:
    """Return an XCom of a run, None where there is none."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key)


def look(ti: Any, model: str, build: str, parents: Sequence[str]) -> Seen:
    """Return what the task of a model sees at this moment."""
    return _seen(*_ask(ti.dag_id, ti.run_id, build), model, build, parents, _used(ti))


def _ask(dag_id: str, run_id: str, build: str) -> tuple[Mapping[str, Any], Mapping[str, str | None]]:
    """Return the outcomes that the dbt process wrote, and the states of the tasks."""
    # states first: a process that had ended then has written all that it will
    states = states_of(dag_id, run_id, build.rpartition(".")[0])
    return xcom_of(dag_id, run_id, build, MODELS) or {}, states


def _used(ti: Any) -> str:
    if ti.try_number <= 1:
        return ""
    return str((xcom_of(ti.dag_id, ti.run_id, ti.task_id, USED) or {}).get("process", ""))


def _seen(
    said: Mapping[str, Any],
    states: Mapping[str, str | None],
    model: str,
    build: str,
    parents: Sequence[str],
    used: str,
) -> Seen:
    stored = said.get("models", {}).get(model)
    outcome = Outcome.of_stored(stored) if stored else None
    of_parents = [states.get(name) for name in parents]
    return Seen(outcome, said.get("process", ""), used, states.get(build), of_parents, said.get("over", False))


class _Watch:
    """What Airflow says of one group of one run: asked by the first who wants to know, at most once a second.

    While the dbt process runs its words are enough for most, and to look at the states of all tasks costs the most. So
    those are looked at less often, and again before a word of theirs counts.
    """

    def __init__(self, dag_id: str, run_id: str, build: str) -> None:
        self.dag_id, self.run_id, self.build = dag_id, run_id, build
        self._asking = asyncio.Lock()
        self._asked = self._looked = float("-inf")
        self._words: Mapping[str, Any] = {}
        self._states: Mapping[str, str | None] = {}

    async def said(self, states_within: float) -> tuple[Mapping[str, Any], Mapping[str, str | None]]:
        """Return the outcomes that the dbt process wrote, and the states of tasks, not older than that."""
        from asgiref.sync import sync_to_async

        async with self._asking:
            if time.monotonic() - self._looked >= (_EVERY if self._words.get("over") else states_within):
                self._words, self._states = await sync_to_async(_ask)(self.dag_id, self.run_id, self.build)
                self._looked = self._asked = time.monotonic()
            elif time.monotonic() - self._asked >= _EVERY:
                self._words = await sync_to_async(xcom_of)(self.dag_id, self.run_id, self.build, MODELS) or {}
                self._asked = time.monotonic()
            return self._words, self._states


_watches: WeakValueDictionary[tuple[str, str, str], _Watch] = WeakValueDictionary()


class ModelTrigger(BaseTrigger):
    """Watches one model until its task can end, or a worker has something to do.

    Args:
        model: The model, as dbt names it.
        build: The task of the dbt process.
        parents: The tasks of the models that this one reads.
    """

    def __init__(self, model: str, build: str, parents: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.build, self.parents = model, build, list(parents)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes this trigger of."""
        named = {"model": self.model, "build": self.build, "parents": self.parents}
        return f"{type(self).__module__}.{type(self).__qualname__}", named

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """End the task when its model is good; wake a worker up where it failed, or must be built."""
        from asgiref.sync import sync_to_async

        ti: Any = self.task_instance
        key = (ti.dag_id, ti.run_id, self.build)
        watch = _watches.get(key)
        if watch is None:
            watch = _watches[key] = _Watch(*key)
        used = await sync_to_async(_used)(ti) if ti.try_number > 1 else ""
        within = _STATES_EVERY
        while (seen := await self._look(watch, used, within)).verdict == "wait" or (within > _EVERY and seen.by_states):
            # what the states alone say counts when they have been looked at just now
            within = _EVERY if seen.by_states else _STATES_EVERY
            await asyncio.sleep(0 if seen.by_states else _EVERY)
        yield self._event(seen)

    async def _look(self, watch: _Watch, used: str, states_within: float) -> Seen:
        return _seen(*await watch.said(states_within), self.model, self.build, self.parents, used)

    def _event(self, seen: Seen) -> TriggerEvent:
        if seen.verdict == "passed" and seen.outcome:
            for line in seen.outcome.lines:
                self.log.info(line)
            return TaskSuccessEvent(xcoms={USED: {"process": seen.process, "seconds": seen.outcome.seconds}})
        if seen.verdict == "skip":
            self.log.info("not built: a model that it reads, or dbt itself, has failed")
            return TaskSkippedEvent()
        outcome = dataclasses.asdict(seen.outcome) if seen.outcome else None
        payload = {"verdict": seen.verdict, "process": seen.process, "outcome": outcome}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]


class DoneTrigger(BaseTrigger):
    """Looks, once, whether every model of a group is built.

    Args:
        start: The first task of the group.
        models: The tasks that build its models.
    """

    def __init__(self, start: str, models: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.start, self.models = start, list(models)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes this trigger of."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"start": self.start, "models": self.models}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """End the task if every model is built, or there was nothing to build; else a worker says what is missing."""
        from asgiref.sync import sync_to_async

        ti: Any = self.task_instance
        states = await sync_to_async(states_of)(ti.dag_id, ti.run_id, self.start.rpartition(".")[0])
        if states.get(self.start) == "skipped":
            yield TaskSkippedEvent()
        elif not_built(states, self.models):
            yield TriggerEvent({})  # type: ignore[no-untyped-call]
        else:
            yield TaskSuccessEvent()


def not_built(states: Mapping[str, str | None], models: Sequence[str]) -> list[str]:
    """Return the tasks of models that did not succeed, given the states of all tasks of their group."""
    return [name for name in models if states.get(name) != "success"]
