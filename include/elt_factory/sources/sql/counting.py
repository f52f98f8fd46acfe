"""How many rows a database has of what a load would read: a second query, which the same reader sends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from elt_factory.config.models.table import source_name
from elt_factory.core.sql_text import LITERAL_PATHS, file_list
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql.model import SqlSource, SqlTable

# names that every database reads the same without quotes
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def count(request: ReadRequest) -> int | None:
    """Return how many rows the database has in the window; None where only the load's own cursor says what is read.

    Raises as the reader does.
    """
    found = value_in_window(request, "count(*)")
    return int(str(found[0])) if found else None


def value_in_window(request: ReadRequest, *values: str) -> tuple[str | None, ...] | None:
    """Return what expressions over the rows of the window yield, as text; None where no plain query says it."""
    from elt_factory.sources.sql.reader import read

    source = cast("SqlSource", request.source)
    query = counting_query(source, request.table, values)
    of_texts = request.connection is not None and request.connection.conn_type == "sqlite"
    # SQLite keeps times as texts of many forms, which only the reader compares as what they say
    if query is None or (of_texts and source.tables[request.table].incremental):
        return None
    counting = SqlTable(query=query)
    tables = {**source.tables, request.table: counting}
    return _values(read(replace(request, source=source.model_copy(update={"tables": tables}))))


def counting_query(source: SqlSource, name: str, values: Sequence[str] = ("count(*)",)) -> str | None:
    """Return the query of a table's rows in a window, with templates; None where no query without a cursor says it."""
    spec = source.tables[name]
    if spec.incremental and spec.counts_by_number:
        return None
    if spec.query:
        # the query may end in a comment
        place: str | None = f"(\n{spec.query}\n) q"
    else:
        names = [part for part in (source.extract.schema_name, spec.table or name) if part]
        place = ".".join(names) if all(PLAIN.fullmatch(part) for part in names) else None
    if place is None:
        return None
    chosen = ", ".join(f"{value} AS n{number}" for number, value in enumerate(values))
    if spec.incremental is None:
        return f"SELECT {chosen} FROM {place}"
    cursor = source_name(spec.incremental.cursor)
    if not PLAIN.fullmatch(cursor):
        return None
    inside = f"{cursor} >= {{{{ window.start }}}} AND {cursor} < {{{{ window.end }}}}"
    null = f" OR {cursor} IS NULL" if spec.null_cursor == "include" else ""
    return f"SELECT {chosen} FROM {place} WHERE ({inside}){null}"


def _values(spool: Spool) -> tuple[str | None, ...] | None:
    """Return the only row of what was read, as texts."""
    import duckdb

    files = file_list(map(str, spool.files))
    relation = f"read_csv({files}, {LITERAL_PATHS}, all_varchar = true)"
    if spool.format == "parquet":
        relation = f"(SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet({files}, {LITERAL_PATHS}))"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT * FROM {relation}").fetchall()
    return rows[0] if rows else None
