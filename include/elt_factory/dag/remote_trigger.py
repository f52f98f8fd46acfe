"""Waiting for a job of another system in the triggerer, and cancelling it with its run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elt_factory.config.models.remote_jobs import AfterJob, RemoteJob
from elt_factory.core.failures import JobRunningError
from elt_factory.core.window import Window, load_id
from elt_factory.dag.jobs import PlaceMemory, Told, WaitingTrigger
from elt_factory.extract.templating import Values


@dataclass(frozen=True)
class JobOfRun:
    """A job of a run, without its connection: what a task hands to the triggerer.

    Args:
        source: The config.
        step: The task.
        job: What the YAML says of it.
        connection: The name of the Airflow connection.
        window: The run's window.
        run_id: The run.
        values: The values of templates, without times.
        zone: The zone of the config.
    """

    source: str
    step: str
    job: RemoteJob
    connection: str
    window: Window
    run_id: str
    values: Mapping[str, Any]
    zone: str

    def memory(self, began: datetime | None = None) -> PlaceMemory:
        """Return where the tries of the run keep what they know, next to the landings of the config."""
        from elt_factory.dag.runtime import landing_place

        # no table has such a name
        place = landing_place(self.source, f"_{self.step}").below(load_id(self.source, self.step, self.window))
        return PlaceMemory.of(place, self.run_id, began)

    @property
    def all_values(self) -> Values:
        """The values of templates."""
        times = {"window.start": self.window.start, "window.end": self.window.end, "cursor": self.window.start}
        return {**times, **self.values}

    def stored(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "source": self.source,
            "step": self.step,
            "job": self.job.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "connection": self.connection,
            "window": [self.window.start.isoformat(), self.window.end.isoformat()],
            "run_id": self.run_id,
            "values": dict(self.values),
            "zone": self.zone,
        }

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> JobOfRun:
        """Return it out of what `stored` gave."""
        window = Window(*map(datetime.fromisoformat, stored["window"]))
        model = AfterJob if "connection" in stored["job"] else RemoteJob
        return cls(**{**stored, "job": model.model_validate(stored["job"]), "window": window})


class RemoteTrigger(WaitingTrigger):
    """Looks at a job until a worker has something to do: it has ended, or took too long.

    Args:
        job: The job of the run.
        state: What is known of it.
        every: Seconds between two looks.
        until: When it has taken too long, in ISO 8601.
    """

    def __init__(self, job: Mapping[str, Any], state: str, every: float, until: str) -> None:
        super().__init__(every, until)
        self.job, self.state = job, state

    @classmethod
    def of(cls, job: JobOfRun, known: bytes | None, error: JobRunningError) -> RemoteTrigger:
        """Return the trigger that waits for a job."""
        until = error.until or datetime.now(UTC)
        return cls(job.stored(), (known or b"").decode(), error.every.total_seconds(), until.isoformat())

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes this trigger of."""
        named = {name: getattr(self, name) for name in ("job", "state", "every", "until")}
        return f"{type(self).__module__}.{type(self).__qualname__}", named

    async def on_kill(self) -> None:
        """Cancel the job, and forget it: a person has ended the task."""
        from asgiref.sync import sync_to_async

        from elt_factory.sources.remote_job.remote import cancel

        await asyncio.to_thread(cancel, await self._request())
        await sync_to_async(JobOfRun.of_stored(self.job).memory().forget)()

    async def _is_over(self) -> bool:
        from elt_factory.sources.remote_job.remote import is_over

        return await asyncio.to_thread(is_over, await self._request())

    async def _request(self) -> Any:
        from asgiref.sync import sync_to_async

        from elt_factory.dag.runtime import get_connection
        from elt_factory.sources.remote_job.asked import JobRequest

        job = JobOfRun.of_stored(self.job)
        connection = await sync_to_async(get_connection)(job.connection)
        memory = Told(self.state.encode())
        return JobRequest(job.job, connection, job.source, job.step, job.all_values, job.zone, memory, self.log.info)
