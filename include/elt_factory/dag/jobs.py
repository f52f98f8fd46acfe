"""Jobs that a source does for us: remembered for the next try, waited for in the triggerer, cancelled with the run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from elt_factory.config.models.source import SOURCES, Source
from elt_factory.core.failures import EltError, JobRunningError, PermanentError
from elt_factory.core.window import Window
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.places import Place

_FILE = "job.json"
_AS_READ = {"name", "timezone", "params", "extract"}  # what a look at a job needs of a config, next to its table


class _Kept(msgspec.Struct):
    """What is known of a job, and when the try began that started it."""

    began: datetime
    known: bytes


@dataclass(frozen=True)
class PlaceMemory:
    """What the tries of one run know of their job, next to the landings of its load; this try began at a moment."""

    place: Place
    began_now: datetime

    @classmethod
    def of(cls, load: Place, run_id: str, began: datetime | None = None) -> PlaceMemory:
        """Return the memory of a run, below the place of its load: another run of the window has a job of its own."""
        place = load.below(f"job-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}")
        return cls(place, began or datetime.now(UTC))

    @property
    def began(self) -> datetime:
        """When the try began that started the job: what a job exports is as old as that."""
        kept = self._kept()
        return kept.began if kept else self.began_now

    def read(self) -> bytes | None:
        """Return what is known."""
        kept = self._kept()
        return kept.known if kept else None

    def write(self, content: bytes) -> None:
        """Keep what is known."""
        self.place.write(_FILE, msgspec.json.encode(_Kept(self.began, content)))

    def forget(self) -> None:
        """Forget it."""
        if self._kept() is not None:
            self.place.remove([_FILE])

    def _kept(self) -> _Kept | None:
        try:
            return msgspec.json.decode(self.place.read(_FILE), type=_Kept)
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class Told:
    """What a trigger was given."""

    content: bytes

    def read(self) -> bytes | None:
        """Return it."""
        return self.content

    def write(self, content: bytes) -> None:
        """Leave that to the worker."""

    def forget(self) -> None:
        """Leave that to the worker."""


# the triggers that this process runs: where it is a run by hand, they end with it
WAITING: dict[int, Any] = {}


def cancel_waiting() -> None:
    """Cancel the jobs that this process waits for: a person has ended the run."""
    for trigger in [*WAITING.values()]:
        try:
            asyncio.run(trigger.on_kill())
        except EltError as error:
            trigger.log.warning("%s", error)
    WAITING.clear()


class WaitingTrigger(BaseTrigger):
    """Looks at a job until a worker has something to do.

    Args:
        every: Seconds between two looks.
        until: When it has taken too long, in ISO 8601.
    """

    def __init__(self, every: float, until: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.every, self.until = every, until

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wake a worker up when the job needs one."""
        until = datetime.fromisoformat(self.until)
        WAITING[id(self)] = self
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(self.every, left))
            try:
                if await self._is_over():
                    break
            except EltError as error:
                # a server that is down may be up again; what is wrong for good a worker says with all that it knows
                self.log.info("%s", error)
                if isinstance(error, PermanentError):
                    break
        WAITING.pop(id(self), None)
        yield TriggerEvent({})  # type: ignore[no-untyped-call]

    async def _is_over(self) -> bool:
        """Whether a worker has something to do."""
        raise NotImplementedError


class JobTrigger(WaitingTrigger):
    """Looks at a job until a worker has something to do: it is done, it failed, it took too long.

    Args:
        config: What a look needs of the config: no secrets.
        asked: The request for the table: its name, window, load, run and params.
        state: What is known of the job.
        every: Seconds between two looks.
        until: When it has taken too long, in ISO 8601.
    """

    def __init__(
        self, config: Mapping[str, Any], asked: Mapping[str, Any], state: str, every: float, until: str
    ) -> None:
        super().__init__(every, until)
        self.config, self.asked, self.state = config, asked, state

    @classmethod
    def of(cls, request: ReadRequest, error: JobRunningError) -> JobTrigger:
        """Return the trigger that waits for the job of a request."""
        source, table = request.source, request.table
        dumped = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
        config = {name: value for name, value in dumped.items() if name in _AS_READ}
        window = {"start": request.window.start.isoformat(), "end": request.window.end.isoformat()}
        asked = {
            "table": table,
            "window": window,
            "load_id": request.load_id,
            "run_id": request.run_id,
            "params": dict(request.params),
        }
        state = (request.memory.read() if request.memory else None) or b""
        until = error.until or datetime.now(UTC)
        config["tables"] = {name: dumped["tables"][name] for name in source.with_parents(table)}
        return cls(config, asked, state.decode(), error.every.total_seconds(), until.isoformat())

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes this trigger of."""
        named = {name: getattr(self, name) for name in ("config", "asked", "state", "every", "until")}
        return f"{type(self).__module__}.{type(self).__qualname__}", named

    async def on_kill(self) -> None:
        """Cancel the job, and forget it: a person has ended the task."""
        from asgiref.sync import sync_to_async

        request = await self._request()
        jobs = SOURCES.get(request.source.extract.type).jobs
        await asyncio.to_thread(jobs.cancel, request)
        await sync_to_async(self._forget)(request)

    @staticmethod
    def _forget(request: ReadRequest) -> None:
        from elt_factory.dag.runtime import landing_place

        place = landing_place(request.source.name, request.table).below(request.load_id)
        PlaceMemory.of(place, request.run_id).forget()

    async def _is_over(self) -> bool:
        request = await self._request()
        jobs = SOURCES.get(request.source.extract.type).jobs
        return bool(await asyncio.to_thread(jobs.is_over, request))

    async def _request(self) -> ReadRequest:
        from asgiref.sync import sync_to_async

        from elt_factory.dag.runtime import get_connection

        config = self.config
        source: Source = SOURCES.get(config["extract"]["type"]).config.model_validate(config)
        conn_id, asked = source.extract.connection, self.asked
        window = Window(*(datetime.fromisoformat(asked["window"][end]) for end in ("start", "end")))
        return ReadRequest(
            source=source,
            table=asked["table"],
            window=window,
            load_id=asked["load_id"],
            connection=await sync_to_async(get_connection)(conn_id) if conn_id else None,
            workdir=Path(),
            project=Path(),
            log=self.log.info,
            run_id=asked["run_id"],
            params=asked["params"],
            memory=Told(self.state.encode()),
        )
