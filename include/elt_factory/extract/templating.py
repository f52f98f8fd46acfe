"""What the templates of a table become in one load, made harmless for the place they appear in."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from urllib.parse import quote

from elt_factory.config.models.source import Source
from elt_factory.config.models.table import Incremental
from elt_factory.config.models.templates import CURSOR, Value, render
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.request import ReadRequest

Values = Mapping[str, datetime | Value]


def values_of(request: ReadRequest) -> Values:
    """Return the value of every name that the templates of the request's table may use."""
    ids = {"load_id": request.load_id, "run_id": request.run_id}
    spec = request.source.all_tables[request.table]
    cursor = cursor_value(spec.incremental, request.window, request.cursor.after)
    return template_values(request.source, request.window, {**ids, CURSOR: cursor}, request.params)


def template_values(
    source: Source, window: Window, more: Mapping[str, datetime | Value], params: Mapping[str, Value]
) -> Values:
    """Return the values of a window, with those of the run and the load.

    A param that the run was not given has its own.
    """
    named = {f"params.{name}": value for name, value in {**source.params, **params}.items()}
    return {"window.start": window.start, "window.end": window.end, **more, **named}


def cursor_value(incremental: Incremental | None, window: Window, after: str | None) -> datetime | Value:
    """Where an extract begins: the window's start for a cursor that is a time, else behind the last load's."""
    if incremental is None or not isinstance(incremental.initial, int):
        return window.start
    if after is None:
        return incremental.initial
    return int(after) if after.lstrip("-").isdecimal() else after


def endpoint_of(path: str, values: Values, zone: str) -> str:
    """Return the path of an address. A value stays one part of it.

    Raises:
        BadRequestError: a value makes a part that is empty or leads to the part above.
    """
    rendered = render(path, values, zone, partial(quote, safe=":"))
    parts = rendered.strip("/").split("/")
    if rendered != path and not {"", ".", ".."}.isdisjoint(parts):
        raise BadRequestError(
            f'invalid path "{rendered}" from "{path}": a template value would add or empty a path segment'
        )
    return rendered


def web_path_of(path: str, values: Values, zone: str) -> str:
    """Return a path of a web server with periods. A value stays one part of it, and none of its signs is the path's.

    Raises:
        BadRequestError: as `endpoint_of`.
    """
    rendered = render(path, values, zone, lambda text: quote(text, safe=":").replace("%", "%%"))
    parts = rendered.partition("?")[0].strip("/").split("/")
    if rendered != path and not {"", ".", ".."}.isdisjoint(parts):
        raise BadRequestError(
            f'invalid path "{rendered}" from "{path}": a template value would add or empty a path segment'
        )
    return rendered


def pattern_of(path: str, values: Values, zone: str) -> str:
    """Return the pattern of file names. A value stays a part of one name, and none of its signs is a pattern's.

    Raises:
        BadRequestError: a value holds a slash.
    """

    def safe(text: str) -> str:
        if not text or "/" in text or "\\" in text:
            raise BadRequestError(f'invalid file name part "{text}" in path: {path}')
        return glob.escape(text).replace("%", "%%")

    return render(path, values, zone, safe)
