"""How many records an API says it has of what a load would read: the total in the first page of each list."""

from __future__ import annotations

from elt_factory.extract.request import ReadRequest
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.reader import Reading


def count(request: ReadRequest) -> int | None:
    """Return the sum of the totals that an API gives; None where it gives none, or more than the window decides.

    Raises as the reader does.
    """
    source = request.source
    if not isinstance(source, RestSource) or not _asks_alike(source.tables[request.table]):
        return None
    if getattr(source.api_of(request.table).paginator, "total", None) is None:
        return None
    found = Reading.of(request).totals()
    return None if None in found else sum(total for total in found if total is not None)


def _asks_alike(table: RestTable) -> bool:
    """Whether the requests of a load follow from the window alone."""
    of_rows = table.parents or table.query_of_keys is not None
    return not (of_rows or table.counts_on or table.has_job or table.format)
