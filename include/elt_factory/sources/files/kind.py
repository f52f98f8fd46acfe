"""Files in a folder."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.core.stores import EXTRAS_OF_TYPES, FOLDER_TYPES, WEB, address_of, is_url, store_of
from elt_factory.sources.files import model
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.kind import Advice, Asked, Need, SourceKind, Wish

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import Part, ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.files import reader as files

    return files.read(request)


def _count(request: ReadRequest) -> int | None:
    from elt_factory.sources.files.counting import count

    return count(request)


def _parts(request: ReadRequest, most: int) -> Sequence[Part]:
    from elt_factory.sources.files import reader as files

    return files.parts(request, most)


def _asked(asked: Asked) -> list[str]:
    from elt_factory.extract.templating import pattern_of, web_path_of
    from elt_factory.sources.files.periods import expand_pattern

    source: FilesSource = asked.source
    place, zone = source.extract.folder or "", source.timezone
    written = web_path_of if store_of(place) is WEB else pattern_of
    patterns = [written(one, asked.values, zone) for one in source.tables[asked.table].patterns]
    where = f"{place}: " if is_url(place) else ""
    return [where + one for pattern in patterns for one in expand_pattern(pattern, asked.window, zone)]


def _sampled(asked: Asked, connection: Connection | None, project: Path) -> tuple[Source, str]:
    from elt_factory.extract.templating import pattern_of, web_path_of
    from elt_factory.sources.files.archives import split
    from elt_factory.sources.files.matching import matching_files
    from elt_factory.sources.files.opening import open_store

    source: FilesSource = asked.source
    with open_store(source.extract.folder, connection, project) as store:
        written = pattern_of if store.lists else web_path_of
        pattern = written(source.tables[asked.table].patterns[0], asked.values, source.timezone)
        archives, members = split(pattern)
        name = matching_files(store, archives, asked.window, source.timezone)[0].name
    literal = (glob.escape(name) if store.lists else name).replace("%", "%%")
    below = f"/{members}".replace("%", "%%") if members else ""
    alone = source.tables[asked.table].model_copy(update={"path": literal + below})
    return source.model_copy(update={"tables": {**source.tables, asked.table: alone}}), f"the whole file {name}"


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.discover.found import Guess
    from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files, look_at_store
    from elt_factory.sources.files.local import LocalStore
    from elt_factory.sources.files.opening import open_store

    holds = {"connection": Guess(wish.connection.conn_id, "an Airflow connection holds the folder")}
    with open_store(None, wish.connection, wish.project) as store:
        if isinstance(store, LocalStore):
            return look_at_files(FilesToLookAt(store.folder, wish.path or "*", holds), scratch)
        return look_at_store(store, wish.path or "*", holds, scratch)


def _types_of(extract: model.Files) -> Sequence[str]:
    store = store_of(extract.folder or "")
    return store.conn_types if store else FOLDER_TYPES


def _needs(source: FilesSource) -> Iterator[Need]:
    folder = source.extract.folder or ""
    store = store_of(folder)
    if store and store.extra:
        yield ("extract", "folder"), f"a folder in {address_of(folder).scheme}://", store.extra


def _advice(source: FilesSource) -> Iterator[Advice]:
    for name, table in source.tables.items():
        compared = {getattr(check.spec, "compared_with", None) for check in source.quality.get(name, ())}
        if table.declared_rows and "source" not in compared:
            hint = f"add quality: {{{name}: [{{row_count: {{within: 0%, of: source}}}}]}}, or remove it"
            message = f"no check compares the rows of {name} with the number that the delivery declares"
            yield ("tables", name, "declared_rows"), "idle-declaration", message, hint


KIND = SourceKind(
    name="files",
    title="Files",
    config=FilesSource,
    places=(
        (model.Files, "extract"),
        (model.FilesTable, "tables.<name>"),
        (model.DeclaredRows, "tables.<name>.declared_rows"),
    ),
    read=_read,
    count=_count,
    parts=_parts,
    asked=_asked,
    sampled=_sampled,
    connection_types=("fs", "sftp", "ssh"),
    extras=EXTRAS_OF_TYPES,
    discover=_discover,
    types_of=_types_of,
    needs=_needs,
    advice=_advice,
)
