"""The one way to read a source, of whatever kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.config.models.source import SOURCES
from elt_factory.core.disk import naming_a_full_disk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elt_factory.extract.request import Part, ReadRequest, Spool
    from elt_factory.sources.kind import SourceKind


def read(request: ReadRequest) -> Spool:
    """Read one table for one window into files, with the reader of its source's kind.

    Raises:
        SourceUnavailableError, SourceNotReadyError, DiskFullError: a later try may succeed.
        AccessDeniedError, BadRequestError, BadDataError: something has to be changed first.
    """
    kind: SourceKind = SOURCES.get(request.source.extract.type)
    with naming_a_full_disk(f"{request.source.name}.{request.table}", [request.workdir]):
        return kind.read(request)


def count(request: ReadRequest) -> int | None:
    """Return how many rows a source says it has of what a request would read; None where it cannot say.

    Raises as `read` does.
    """
    kind: SourceKind = SOURCES.get(request.source.extract.type)
    return kind.count(request) if kind.count else None


def parts(request: ReadRequest, most: int) -> Sequence[Part]:
    """Return the parts of what a request would read, at least one: each record of it is in exactly one of them.

    Raises as `read` does.
    """
    kind: SourceKind = SOURCES.get(request.source.extract.type)
    if kind.parts:
        return kind.parts(request, most)
    from elt_factory.extract.request import Part

    return [Part({}, "all")]
