"""What every kind of connector is as a kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.source import Source
from elt_factory.sources.kind import Asked, SourceKind

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.extract.request import ReadRequest, Spool
    from elt_factory.sources.connectors.model import Connector, ConnectorTable


def connector_kind(
    name: str,
    title: str,
    config: type[Source],
    places: Sequence[tuple[type[Model], str]],
    read: Callable[[ReadRequest], Spool],
    files: Callable[[Any, Path], Iterable[MistakeError]] | None = None,
) -> SourceKind:
    """Return the kind of source of a kind of connector; see `SourceKind`."""
    return SourceKind(
        name=name,
        title=title,
        config=config,
        places=places,
        read=read,
        files=files,
        asked=_asked,
        sampled=_sampled,
        needs=lambda _: [(("extract", "type"), f"a source of type {name}", "connectors")],
    )


def _asked(asked: Asked) -> list[str]:
    extract: Connector = asked.source.extract
    spec: ConnectorTable = asked.source.tables[asked.table]
    since = "what has changed since the state of the load before" if spec.keeps_token else "all of it"
    settings = f"settings of {extract.connection}" if extract.connection else "no connection"
    return [f"{extract.title}: stream {spec.stream_name(asked.table)}, {since}; {settings}"]


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: Source = asked.source
    return source, "the first records"
