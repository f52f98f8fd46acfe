"""MongoDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.sources.kind import SAMPLE_ROWS, Asked, SourceKind, Wish
from elt_factory.sources.mongodb import model
from elt_factory.sources.mongodb.model import MongoDbSource, MongoDbTable

if TYPE_CHECKING:
    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import ReadRequest, Spool


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.mongodb import reader

    return reader.read(request)


def _asked(asked: Asked) -> list[str]:
    source: MongoDbSource = asked.source
    spec = source.tables[asked.table]
    names = ".".join(name for name in (source.extract.database, spec.collection or asked.table) if name)
    chosen = f" where {_filter(spec, asked)}" if spec.filter else ""
    find = f"{source.extract.connection}: find in {names}{chosen}"
    keys = [f"{find}, only {', '.join(spec.primary_key)}"] if spec.deletes and spec.deletes.compare else []
    return [f"{find}{_part(spec, asked)}", *keys]


def _filter(spec: MongoDbTable, asked: Asked) -> str:
    from elt_factory.config.models.templates import render

    return render(str(spec.filter), asked.values, asked.source.timezone)


def _part(spec: MongoDbTable, asked: Asked) -> str:
    if spec.incremental is None:
        return ""
    cursor = spec.incremental.cursor
    if isinstance(spec.incremental.initial, int):
        return f", {cursor} after the last load's, from {spec.incremental.initial}"
    return f", {cursor} in {asked.window}, where {cursor} is a date"


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: MongoDbSource = asked.source
    anywhere = source.tables[asked.table].model_copy(update={"incremental": None, "deletes": None})
    tables = {**source.tables, asked.table: anywhere}
    return source.model_copy(update={"tables": tables}), f"{SAMPLE_ROWS} documents"


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.sources.mongodb.discovery import look_at_collections

    return look_at_collections(wish, scratch)


# Airflow's own, and that of an address
_TYPES = ("mongo", "mongodb")
KIND = SourceKind(
    name="mongodb",
    title="MongoDB",
    config=MongoDbSource,
    places=((model.MongoDb, "extract"), (model.MongoDbTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
    connection_types=_TYPES,
    discover=_discover,
    extras=dict.fromkeys(_TYPES, "mongodb"),
)
