"""What a source is asked for in a window, in words, without asking it."""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import urlencode

from elt_factory.config.source import FilesSource, RestSource, Source, SqlSource
from elt_factory.config.templates import CURSOR, Use, query_parts, render, typed
from elt_factory.config.window import Window
from elt_factory.extract.periods import expand_pattern
from elt_factory.extract.templating import Values, cursor_value, endpoint_of, pattern_of, template_values
from elt_factory.sql_text import text_literal

_UNKNOWN_CURSOR = "CURSOR"


def asked(source: Source, table: str, window: Window, load_id: str) -> list[str]:
    """Return the request, the query or the files of one table; `window` reaches back by the lag already."""
    match source:
        case RestSource():
            return [_request(source, table, _values(source, table, window, load_id))]
        case SqlSource():
            return [_query(source, table, window, _values(source, table, window, load_id))]
        case FilesSource():
            pattern = pattern_of(source.tables[table].path, _values(source, table, window, load_id), source.timezone)
            return list(expand_pattern(pattern, window, source.timezone))


def _values(source: Source, table: str, window: Window, load_id: str) -> Values:
    """Return the values of templates; a capital word stands for what only a run knows."""
    cursor = cursor_value(source.all_tables[table].incremental, window, None)
    known = cursor if isinstance(cursor, datetime) else _UNKNOWN_CURSOR
    return template_values(source, window, {"load_id": load_id, "run_id": "RUN-ID", CURSOR: known}, {})


def _request(source: RestSource, table: str, values: Values) -> str:
    spec = source.tables[table]
    params = {
        name: render(value, values, source.timezone) if isinstance(value, str) else value
        for name, value in spec.params.items()
    }
    query = f"?{urlencode(params, safe=':/,')}" if params else ""
    return f"GET {source.extract.connection}:{endpoint_of(spec.path, values, source.timezone)}{query}"


def _query(source: SqlSource, table: str, window: Window, values: Values) -> str:
    spec = source.tables[table]
    names = (source.extract.schema_name, spec.table or table)
    origin = (
        f"({_given(spec.query, values, source.timezone)})" if spec.query else ".".join(name for name in names if name)
    )
    read = f"{source.extract.connection}: SELECT * FROM {origin}"
    if spec.incremental is None:
        return read
    cursor = spec.incremental.cursor
    if isinstance(spec.incremental.initial, int):
        return f"{read} WHERE {cursor} > the last load's, from {spec.incremental.initial}"
    return f"{read} WHERE {cursor} in {window}, where {cursor} is a time"


def _given(query: str, values: Values, zone: str) -> str:
    """Return the query with its values as one would write them."""
    parts = query_parts(query.strip())
    return "".join(_literal(part, values, zone) if isinstance(part, Use) else part for part in parts)


def _literal(use: Use, values: Values, zone: str) -> str:
    value = typed(use, values, zone)
    known = value != _UNKNOWN_CURSOR
    return text_literal(str(value)) if isinstance(value, (str, date)) and known else str(value)
