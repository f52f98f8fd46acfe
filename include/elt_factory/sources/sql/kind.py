"""SQL databases."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.table import source_name
from elt_factory.config.models.templates import Use, query_parts, typed
from elt_factory.core.sql_text import text_literal
from elt_factory.sources.kind import SAMPLE_ROWS, UNKNOWN_CURSOR, Asked, SourceKind, Wish
from elt_factory.sources.sql import model
from elt_factory.sources.sql.connections import EXTRAS, TYPES
from elt_factory.sources.sql.model import SqlSource, SqlTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elt_factory.config.models.source import Source
    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound
    from elt_factory.extract.request import Part, ReadRequest, Spool
    from elt_factory.extract.templating import Values


def _read(request: ReadRequest) -> Spool:
    from elt_factory.sources.sql import reader as sql

    return sql.read(request)


def _count(request: ReadRequest) -> int | None:
    from elt_factory.sources.sql.counting import count

    return count(request)


def _parts(request: ReadRequest, most: int) -> Sequence[Part]:
    from elt_factory.sources.sql.ranges import parts

    return parts(request, most)


def _asked(asked: Asked) -> list[str]:
    source: SqlSource = asked.source
    spec = source.tables[asked.table]
    names = (source.extract.schema_name, spec.table or asked.table)
    query = f"({_given(spec.query, asked.values, source.timezone)})" if spec.query else ""
    read = f"{source.extract.connection}: SELECT * FROM {query or '.'.join(name for name in names if name)}"
    return [f"{read}{_part(spec, asked)}", *_all_keys(spec, read)]


def _part(spec: SqlTable, asked: Asked) -> str:
    if spec.incremental is None:
        return ""
    cursor = source_name(spec.incremental.cursor)
    if isinstance(spec.incremental.initial, int):
        return f" WHERE {cursor} > the last load's, from {spec.incremental.initial}"
    return f" WHERE {cursor} in {asked.window}, where {cursor} is a time"


def _all_keys(spec: SqlTable, read: str) -> list[str]:
    """Return what is read next to the rows to find those that are deleted."""
    if not (spec.deletes and spec.deletes.compare):
        return []
    return [read.replace("SELECT *", f"SELECT {', '.join(spec.primary_key)}", 1)]


def _given(query: str, values: Values, zone: str) -> str:
    """Return the query with its values as one would write them."""
    parts = query_parts(query.strip())
    return "".join(_literal(part, values, zone) if isinstance(part, Use) else part for part in parts)


def _literal(use: Use, values: Values, zone: str) -> str:
    value = typed(use, values, zone)
    known = value != UNKNOWN_CURSOR
    return text_literal(str(value)) if isinstance(value, (str, date)) and known else str(value)


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    source: SqlSource = asked.source
    anywhere = _anywhere(source.tables[asked.table])
    return source.model_copy(update={"tables": {**source.tables, asked.table: anywhere}}), f"{SAMPLE_ROWS} rows"


def _anywhere(spec: SqlTable) -> SqlTable:
    """Take any rows, not those of the window: the database need not look for them. A query may name its cursor."""
    numbered = spec.incremental if spec.query and spec.counts_by_number else None
    return spec.model_copy(update={"incremental": numbered, "deletes": None, "partitions": 1, "split": None})


def _discover(wish: Wish, scratch: Path) -> SourceFound:
    from elt_factory.sources.sql.discovery import Tables, look_at_tables

    return look_at_tables(Tables(wish.connection, wish.name, wish.tables, wish.schema, wish.project), scratch)


KIND = SourceKind(
    name="sql",
    title="A SQL database",
    config=SqlSource,
    places=((model.Sql, "extract"), (model.SqlTable, "tables.<name>")),
    read=_read,
    count=_count,
    parts=_parts,
    asked=_asked,
    sampled=_sampled,
    connection_types=TYPES,
    discover=_discover,
    extras=EXTRAS,
)
