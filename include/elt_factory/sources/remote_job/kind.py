"""Tables that a job of another system loads by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.core.failures import PermanentError
from elt_factory.sources.kind import Asked, SourceKind
from elt_factory.sources.remote_job import model
from elt_factory.sources.remote_job.model import RemoteExtract, RemoteSource

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    text = f"{request.source.name}.{request.table} is loaded by another system, and is not read"
    raise PermanentError(text)


def _asked(asked: Asked) -> list[str]:
    source: RemoteSource = asked.source
    table, date = source.tables[asked.table], source.tables[asked.table].business_date
    moved = " and ".join([source.loaded_at_of(asked.table), *([date] if date else [])])
    return [f"{source.extract.job.words}; then {moved} of {table.relation} must have moved"]


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: RemoteSource = asked.source
    return source, "nothing"


def _types_of(extract: RemoteExtract) -> Sequence[str]:
    found: Sequence[str] = REMOTE_JOBS.get(extract.job.kind).connection_types
    return found


KIND = SourceKind(
    name="remote_job",
    title="A job of another system",
    config=RemoteSource,
    places=((model.RemoteExtract, "extract"), (model.RemoteTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    types_of=_types_of,
)
