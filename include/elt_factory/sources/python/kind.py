"""Functions in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.kind import Asked, SourceKind
from elt_factory.sources.python import model
from elt_factory.sources.python.model import PythonSource

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.extract.request import ReadRequest, Spool

_WHAT = {
    "window": "the rows of the window",
    "state": "what has changed since the state of the load before",
    "full": "everything there is",
}


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.python import reader

    return reader.read(request)


def _asked(asked: Asked) -> list[str]:
    source: PythonSource = asked.source
    spec = source.tables[asked.table]
    given = ", ".join(["what it is asked for", *(f"{name}={value!r}" for name, value in spec.arguments.items())])
    return [f"{spec.function}({given}): {_WHAT[spec.sync]}"]


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: PythonSource = asked.source
    return source, "the first rows"


KIND = SourceKind(
    name="python",
    title="Functions in Python",
    config=PythonSource,
    places=((model.Python, "extract"), (model.PythonTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
)
