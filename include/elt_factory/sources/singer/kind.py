"""Singer taps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.sources.connectors.kind import connector_kind
from elt_factory.sources.singer.model import Singer, SingerSource, SingerTable

if TYPE_CHECKING:
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.singer import reader

    return reader.read(request)


KIND = connector_kind(
    "singer", "A Singer tap", SingerSource, ((Singer, "extract"), (SingerTable, "tables.<name>")), _read
)
