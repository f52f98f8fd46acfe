"""What a kind of source is: one object, `KIND`.

Another package adds a kind by an entry point in the group `elt_factory.sources`: its name is the `type` of `extract`,
its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model, require_type, require_words
from elt_factory.config.models.source import Source
from elt_factory.core.window import Window

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import Part, ReadRequest, Spool
    from elt_factory.extract.templating import Values

Advice = tuple[tuple[str | int, ...], str, str, str]  # path, code, message, hint
Need = tuple[tuple[str | int, ...], str, str]  # path, user, extra
SAMPLE_ROWS = 100
UNKNOWN_CURSOR = "CURSOR"  # in a plan: what only a run knows


@dataclass(frozen=True)
class Asked:
    """A table in a window, as a plan or a sample sees it. `values` are those of the table's templates."""

    source: Any
    table: str
    window: Window
    values: Values


@dataclass(frozen=True)
class Wish:
    """What `elt new` is asked to look at.

    Args:
        name: The config's name.
        connection: The Airflow connection of the source.
        path: What is read below it, where the kind has such a thing.
        tables: The tables to look at; none for all of them.
        schema: Their schema.
        project: The project's folder.
        ask: Asks the person for what is missing.
    """

    name: str
    connection: Connection
    path: str | None
    tables: Sequence[str]
    schema: str | None
    project: Path
    ask: Callable[[str], str]


def _no_needs(_: Any) -> Iterable[Need]:
    return ()


def _no_advice(_: Any) -> Iterable[Advice]:
    return ()


@dataclass(frozen=True)
class Jobs:
    """How a kind looks after jobs that its sources do for us; a request's memory says which one it is.

    Args:
        is_over: Whether a worker has something to do: the job is done, or will not be.
        cancel: Cancels it.
    """

    is_over: Callable[[ReadRequest], bool]
    cancel: Callable[[ReadRequest], None]


@dataclass(frozen=True)
class SourceKind:
    """All that is known of a kind of source.

    Args:
        name: The `type` of `extract`.
        title: What it is called in the reference, as in "A SQL database".
        config: The model of a whole config: `extract`, whose type is the name, and `tables`.
        places: Its models in the order in which a config is written, each with its location in the file.
        read: Reads one table for one window into files, and counts what it read.
        asked: What the source is asked for, for people, without asking it.
        sampled: The source as `elt validate --live` reads it, a little of one table, and what that is in words. Takes
            the connection and the project's folder, too.
        connection_types: The types of Airflow connections for which `elt new` takes this kind, and that fit a config of
            it; "*" is any that no other kind takes.
        discover: What `elt new` finds behind a connection, with a folder for scratch files; None where it cannot look.
        files: What is wrong with the files of the project that a config names; takes the project's folder, too. None
            where it names none.
        advice: What is legal in a config of this kind, and unwise.
        jobs: How it looks after jobs, where its reader raises JobRunningError.
        extras: The extra of ELT Factory that a type of connection needs, for those that need one.
        types_of: The types of connections that fit what one `extract` says, where that is not those of the kind.
        needs: The extras that a config needs by what it says: the place of each, its user for people, its name.
        parts: Divides what a request would read into at most that many parts, at least one; None where it cannot.
        count: How many rows the source itself has of what a request would read; None where it cannot say.
    """

    name: str
    title: str
    config: type[Source]
    places: Sequence[tuple[type[Model], str]]
    read: Callable[[ReadRequest], Spool]
    asked: Callable[[Asked], Sequence[str]]
    sampled: Callable[[Asked, Connection | None, Path], tuple[Source, str]]
    connection_types: Sequence[str] = ()
    discover: Callable[[Wish, Path], SourceFound] | None = None
    files: Callable[[Any, Path], Iterable[MistakeError]] | None = None
    advice: Callable[[Any], Iterable[Advice]] = _no_advice
    jobs: Jobs | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    types_of: Callable[[Any], Sequence[str]] | None = None
    needs: Callable[[Any], Iterable[Need]] = _no_needs
    count: Callable[[ReadRequest], int | None] | None = None
    parts: Callable[[ReadRequest, int], Sequence[Part]] | None = None

    def __post_init__(self) -> None:
        """Refuse a kind that a config could not name, or whose reference could not explain it."""
        fields: Mapping[str, Any] = self.config.model_fields
        extract = fields["extract"].annotation
        require_type(extract, self.name)
        placed = {model for model, _ in self.places}
        for model in placed:
            require_words(model)
        if extract not in placed:
            raise TypeError(f"places lacks {extract.__name__}")
