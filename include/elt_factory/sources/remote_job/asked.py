"""What is known of a job of another system, and what a run asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from elt_factory.config.models.remote_jobs import RemoteJob
from elt_factory.config.models.templates import Values, render, typed, uses
from elt_factory.core.connection import Connection
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.extract.request import Memory
from elt_factory.sources.remote_job.description import AsText, Phase


class State(msgspec.Struct):
    """What the tries of a run know of its job.

    `sent` says that its start was sent; without an id, no answer came. `before` are the ids that were listed before it
    was, and `marks` the values of the marks. `troubles` counts looks that found it failed or gone, `clears` how often
    the run was cleared before it was started. `extra` is the caller's own.
    """

    key: str
    started: datetime
    sent: bool = False
    id: str | None = None
    link: str = ""
    before: list[str] = []
    marks: dict[str, str | None] = {}
    troubles: int = 0
    clears: int = 0
    done: bool = False
    extra: Any = None


@dataclass(frozen=True)
class JobRequest:
    """A job of one run.

    Args:
        job: What the YAML says of it.
        connection: The system's address and credentials.
        source: The config.
        step: The task that it is of.
        values: The values of templates.
        zone: The zone of the config.
        memory: What the tries of the run know.
        log: Takes a line of progress for people.
        now: The clock.
    """

    job: RemoteJob
    connection: Connection
    source: str
    step: str
    values: Values
    zone: str
    memory: Memory
    log: Callable[[str], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def label(self) -> TableLabel:
        """Whose messages these are."""
        return TableLabel(self.source, self.step, secrets_of(self.connection))


@dataclass(frozen=True)
class Seen:
    """What a look found: the status as the system says it, its own words for what went wrong."""

    phase: Phase
    said: str = ""
    error: str = ""


def filled(value: Any, values: Values, zone: str) -> Any:
    """Return JSON with the templates in its texts filled in; one template alone keeps the type of its value."""
    if isinstance(value, Mapping):
        return {name: filled(below, values, zone) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [filled(below, values, zone) for below in value]
    if isinstance(value, AsText):
        return msgspec.json.encode(filled(value.value, values, zone)).decode()
    if not isinstance(value, str) or "{{" not in value:
        return value
    found = list(uses(value))
    if len(found) == 1 and value.startswith("{{") and value.endswith("}}"):
        alone = typed(found[0], values, zone)
        if isinstance(alone, bool | int | float):
            return alone
    return render(value, values, zone)


def word(value: Any) -> str:
    """Return a value of JSON as a word, to compare it with others."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
