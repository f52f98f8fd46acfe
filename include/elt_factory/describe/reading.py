"""What a source is asked for in a window, in words, without asking it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from elt_factory.config.models.source import SOURCES, Source
from elt_factory.config.models.templates import CURSOR
from elt_factory.core.window import Window
from elt_factory.extract.templating import Values, cursor_value, template_values
from elt_factory.sources.kind import UNKNOWN_CURSOR, Asked, SourceKind


def asked(source: Source, table: str, window: Window, load_id: str) -> Sequence[str]:
    """Return the request, the query or the files of one table; `window` reaches back by the lag already."""
    kind: SourceKind = SOURCES.get(source.extract.type)
    return kind.asked(Asked(source, table, window, _values(source, table, window, load_id)))


def _values(source: Source, table: str, window: Window, load_id: str) -> Values:
    """Return the values of templates; a capital word stands for what only a run knows."""
    cursor = cursor_value(source.all_tables[table].incremental, window, None)
    known = cursor if isinstance(cursor, datetime) else UNKNOWN_CURSOR
    return template_values(source, window, {"load_id": load_id, "run_id": "RUN-ID", CURSOR: known}, {})
