"""dlt sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.sources.connectors.kind import connector_kind
from elt_factory.sources.dlt.model import Dlt, DltSource, DltTable

if TYPE_CHECKING:
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.dlt import reader

    return reader.read(request)


KIND = connector_kind("dlt", "A dlt source", DltSource, ((Dlt, "extract"), (DltTable, "tables.<name>")), _read)
