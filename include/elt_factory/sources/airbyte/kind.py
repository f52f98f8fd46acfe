"""Airbyte connectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.errors import MistakeError
from elt_factory.sources.airbyte.model import Airbyte, AirbyteSource, AirbyteTable
from elt_factory.sources.connectors.kind import connector_kind

if TYPE_CHECKING:
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.airbyte import reader

    return reader.read(request)


def _files(source: AirbyteSource, project: Path) -> Iterator[MistakeError]:
    if source.extract.manifest is None:
        return
    from elt_factory.sources.airbyte.manifest import manifest_of, secrets_in

    try:
        manifest_of(project, source.extract.manifest)
        found = secrets_in(project, source.extract.manifest)
    except MistakeError as error:
        found = [error]
    for one in found:
        yield MistakeError(one.message, one.hint, at=("extract", "manifest"), code=one.code)


KIND = connector_kind(
    "airbyte",
    "An Airbyte connector",
    AirbyteSource,
    ((Airbyte, "extract"), (AirbyteTable, "tables.<name>")),
    _read,
    _files,
)
