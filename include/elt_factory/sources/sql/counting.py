"""How many rows a database has of what a load would read: a second query, which the same reader sends."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import cast

from elt_factory.core.sql_text import LITERAL_PATHS, file_list
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql.model import SqlSource, SqlTable

# names that every database reads the same without quotes
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def count(request: ReadRequest) -> int | None:
    """Return how many rows the database has in the window; None where only the load's own cursor says what is read.

    Raises as the reader does.
    """
    from elt_factory.sources.sql.reader import read

    source = cast("SqlSource", request.source)
    query = counting_query(source, request.table)
    of_texts = request.connection is not None and request.connection.conn_type == "sqlite"
    # SQLite keeps times as texts of many forms, which only the reader compares as what they say
    if query is None or (of_texts and source.tables[request.table].incremental):
        return None
    counting = SqlTable(query=query)
    tables = {**source.tables, request.table: counting}
    return _value(read(replace(request, source=source.model_copy(update={"tables": tables}))))


def counting_query(source: SqlSource, name: str) -> str | None:
    """Return the query of a table's rows in a window, with templates; None where no query without a cursor says it."""
    spec = source.tables[name]
    if spec.incremental and spec.counts_by_number:
        return None
    if spec.query:
        # the query may end in a comment
        place: str | None = f"(\n{spec.query}\n) q"
    else:
        names = [part for part in (source.extract.schema_name, spec.table or name) if part]
        place = ".".join(names) if all(_PLAIN.fullmatch(part) for part in names) else None
    if place is None:
        return None
    if spec.incremental is None:
        return f"SELECT count(*) AS n FROM {place}"
    cursor = spec.incremental.cursor
    if not _PLAIN.fullmatch(cursor):
        return None
    inside = f"{cursor} >= {{{{ window.start }}}} AND {cursor} < {{{{ window.end }}}}"
    null = f" OR {cursor} IS NULL" if spec.null_cursor == "include" else ""
    return f"SELECT count(*) AS n FROM {place} WHERE ({inside}){null}"


def _value(spool: Spool) -> int | None:
    """Return the only value of what was read."""
    import duckdb

    files = file_list(map(str, spool.files))
    relation = f"read_csv({files}, {LITERAL_PATHS}, all_varchar = true)"
    if spool.format == "parquet":
        relation = f"read_parquet({files}, {LITERAL_PATHS})"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT * FROM {relation}").fetchall()
    return int(rows[0][0]) if rows else None
