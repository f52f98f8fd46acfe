"""A look at collections of MongoDB: some documents of each, and where their cursors begin."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError, PermanentError
from elt_factory.discover.beginnings import beginnings_of
from elt_factory.discover.found import Guess, SkippedTable, SourceFound, TableFound
from elt_factory.discover.periods import sane_name
from elt_factory.discover.sample import LOOKED_AT, config_of_look, look_at, sample_of
from elt_factory.discover.table import Ground, named_apart, table_of
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.kind import Wish
from elt_factory.sources.mongodb.client import client_of
from elt_factory.sources.mongodb.model import MongoDbSource
from elt_factory.sources.mongodb.reader import collections_of, database_of, ends_of, read

if TYPE_CHECKING:
    from pymongo.database import Database


def look_at_collections(wish: Wish, workdir: Path) -> SourceFound:
    """Return what the collections hold. One that cannot be read is left out.

    Raises:
        EltError: MongoDB cannot be reached, a collection is not there, or none can be read.
    """
    label = TableLabel(wish.name, "tables", secrets_of(wish.connection))
    with client_of(wish.connection, label) as client:
        database = database_of(client, wish.schema, wish.connection.schema, label)
        there = collections_of(database)
        names = _chosen(wish, there)
        tables, skipped = list[TableFound](), list[SkippedTable]()
        for place, name in enumerate(names):
            scratch = workdir / str(place)
            scratch.mkdir()
            try:
                tables.append(_table(wish, database, name, scratch))
            except PermanentError as error:
                skipped.append(SkippedTable(name, str(error)))
    if not tables:
        raise BadRequestError(skipped[0].reason if skipped else f'no collections found in "{database.name}"')
    extract = {
        "type": Guess("mongodb", ""),
        "connection": Guess(wish.connection.conn_id, "an Airflow connection holds the address and credentials"),
        "database": Guess(json.dumps(database.name), ""),
    }
    return SourceFound(extract, named_apart(tables, "collection", "name in MongoDB"), skipped=skipped)


def _chosen(wish: Wish, there: dict[str, str] | None) -> list[str]:
    for name in wish.tables:
        if there is not None and name not in there:
            raise BadRequestError(f'unknown collection "{name}"; {near_name(name, there)}')
    return [*wish.tables] or [*(there or {})]


def _table(wish: Wish, database: Database[dict[str, Any]], name: str, workdir: Path) -> TableFound:
    spool = read(_request(wish, database.name, name, workdir))
    sample = sample_of(spool)
    plain = sane_name(name) or "records"
    key = ("_id",) if "_id" in sample.types else ()
    beginnings = beginnings_of(sample, partial(ends_of, database.get_collection(name)))
    ground = Ground(plain, key=key, whole=True, deletes=True, beginnings=beginnings, origin=name)
    return table_of(sample, ground)


def _request(wish: Wish, database: str, name: str, workdir: Path) -> ReadRequest:
    tables = {LOOKED_AT: {"collection": name, "write_disposition": "replace", "snapshot": False}}
    extract = {"type": "mongodb", "connection": wish.connection.conn_id, "database": database}
    source = config_of_look(MongoDbSource, {"name": wish.name, "extract": extract, "tables": tables})
    return look_at(source, wish.connection, wish.project, workdir)
