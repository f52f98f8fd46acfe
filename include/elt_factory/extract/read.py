"""The one door to all readers."""

from __future__ import annotations

from elt_factory.config.extract import Files, RestApi, Sql
from elt_factory.disk import naming_a_full_disk
from elt_factory.extract.request import ReadRequest, Spool


def read(request: ReadRequest) -> Spool:
    """Read one table for one window into files, with the reader of its source's kind.

    Raises:
        SourceUnavailableError, SourceNotReadyError, DiskFullError: may heal by itself.
        AccessDeniedError, BadRequestError, BadDataError: somebody has to change something.
    """
    with naming_a_full_disk(f"{request.source.name}.{request.table}", [request.workdir]):
        return _read(request)


def _read(request: ReadRequest) -> Spool:
    match request.source.extract:
        case RestApi():
            from elt_factory.extract import rest

            return rest.read(request)
        case Sql():
            from elt_factory.extract import sql

            return sql.read(request)
        case Files():
            from elt_factory.extract import files

            return files.read(request)
