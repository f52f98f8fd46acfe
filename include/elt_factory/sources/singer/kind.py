"""Singer taps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.connectors.asking import asked_of
from elt_factory.sources.kind import Asked, SourceKind
from elt_factory.sources.singer import model
from elt_factory.sources.singer.model import SingerSource

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.singer import reader

    return reader.read(request)


def _asked(asked: Asked) -> list[str]:
    source: SingerSource = asked.source
    return asked_of(source.extract, source.tables[asked.table], asked.table)


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: SingerSource = asked.source
    return source, "the first records"


KIND = SourceKind(
    name="singer",
    title="A Singer tap",
    config=SingerSource,
    places=((model.Singer, "extract"), (model.SingerTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    needs=lambda _: [(("extract", "type"), "a source of type singer", "connectors")],
)
