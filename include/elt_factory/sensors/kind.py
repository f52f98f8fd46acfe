"""What a kind of sensor is: one object, `KIND`, in a module of its own.

Another package adds a kind by an entry point in the group `elt_factory.sensors`: its name is the key in the YAML, its
value where the object is. docs/guides/extend.md shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.sensors import Awaited, Setting
from elt_factory.config.models.source import Config
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.warehouse.base import Warehouse


@dataclass(frozen=True)
class Look:
    """What a look may use.

    Args:
        config: The config whose run waits.
        window: The run's window.
        chosen: The tables of the run.
        awaited: The tables of the warehouse that are waited for, where the kind says so.
        project: The project's folder, below which relative paths are.
        connection: Returns an Airflow connection by its id. PermanentError where there is none.
        warehouse: Opens the warehouse for a question about a table, or "" for several.
        dag_runs: Returns how many runs of a DAG with a logical date have each state.
        updated: Returns when an asset, by its name or URI, was last updated since a moment; None where it was not.
        now: Returns the moment by a clock that workers share, where they have one.
    """

    config: Config
    window: Window
    chosen: frozenset[str]
    awaited: tuple[str, ...]
    project: Path
    connection: Callable[[str], Connection]
    warehouse: Callable[[str], AbstractContextManager[Warehouse]]
    dag_runs: Callable[[str, datetime], Mapping[str, int]]
    updated: Callable[[str, datetime], datetime | None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def _awaits_nothing(_: Any) -> Awaited | None:
    return None


def _is_right(_: Any, __: Setting) -> Iterable[MistakeError]:
    return ()


@dataclass(frozen=True)
class SensorKind:
    """All that is known of a kind of sensor.

    Args:
        name: The key in the YAML.
        model: What is written under the key. Each field has a description and an example.
        description: What it does, in one sentence.
        examples: What may be written under the key.
        poke: Looks once, and says what was seen. TransientError counts as not ready, any other error fails the task.
        words: What it waits for, for people.
        about: What its task is named after, besides the kind; "" for nothing.
        awaits: The tables of the warehouse that it waits for: their events come before a SELECT.
        mistakes: What cannot be true of it where it is, each at its place below the key.
        connection_types: The types of Airflow connections that its `connection` may have; none for any, "*" for one
            that is of no kind of source but SQL.
        extras: The extra of ELT Factory that a type of connection needs, for those that need one.
        types_of: The types that fit what one sensor says, where that is not those of the kind.
        on_worker: Whether each look is on a worker, because it needs what the triggerer cannot ask of Airflow.
    """

    name: str
    model: type[Model]
    description: str
    examples: tuple[Any, ...]
    poke: Callable[[Any, Look], Verdict]
    words: Callable[[Any], str]
    about: Callable[[Any], str]
    awaits: Callable[[Any], Awaited | None] = _awaits_nothing
    mistakes: Callable[[Any, Setting], Iterable[MistakeError]] = _is_right
    connection_types: Sequence[str] = ()
    extras: Mapping[str, str] = field(default_factory=dict)
    types_of: Callable[[Any], Sequence[str]] | None = None
    on_worker: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain."""
        if not self.description or not self.examples:
            raise TypeError(f"the sensor {self.name} needs a description and an example")
        for name, entry in self.model.model_fields.items():
            if not entry.description or not entry.examples:
                raise TypeError(f"{self.model.__name__}.{name} needs a description and an example")
