"""Files in a folder."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.files import model
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.kind import Asked, SourceKind, Wish

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.files import reader as files

    return files.read(request)


def _pattern(asked: Asked) -> str:
    from elt_factory.extract.templating import pattern_of

    source: FilesSource = asked.source
    return pattern_of(source.tables[asked.table].path, asked.values, source.timezone)


def _asked(asked: Asked) -> list[str]:
    from elt_factory.sources.files.periods import expand_pattern

    return list(expand_pattern(_pattern(asked), asked.window, asked.source.timezone))


def _sampled(asked: Asked, connection: Connection | None, project: Path) -> tuple[Source, str]:
    from elt_factory.sources.files.reader import matching_files, source_folder

    source: FilesSource = asked.source
    folder = source_folder(connection, source.extract.folder, project)
    first = matching_files(folder, _pattern(asked), asked.window, source.timezone)[0]
    name = str(first.relative_to(folder.resolve()))
    alone = source.tables[asked.table].model_copy(update={"path": glob.escape(name).replace("%", "%%")})
    return source.model_copy(update={"tables": {**source.tables, asked.table: alone}}), f"the whole file {name}"


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.discover.found import Guess
    from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files
    from elt_factory.sources.files.reader import source_folder

    holds = {"connection": Guess(wish.connection.conn_id, "an Airflow connection holds the folder")}
    folder = source_folder(wish.connection, None, wish.project)
    return look_at_files(FilesToLookAt(folder, wish.path or "*", holds), scratch)


KIND = SourceKind(
    name="files",
    title="Files",
    config=FilesSource,
    places=(
        (model.Files, "extract"),
        (model.FilesTable, "tables.<name>"),
    ),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    connection_types=("fs",),
    discover=_discover,
)
