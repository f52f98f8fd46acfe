"""A table divided into ranges of its key or its cursor for several tasks: each row is in exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from elt_factory.config.models.table import source_name
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.bounds import clock_of
from elt_factory.extract.label import TableLabel, needed_connection, source_of
from elt_factory.extract.request import Part, ReadRequest
from elt_factory.sources.sql.counting import PLAIN, value_in_window
from elt_factory.sources.sql.cuts import cursor_of
from elt_factory.sources.sql.key_range import CursorWindow, KeyRange, by_source_name
from elt_factory.sources.sql.model import SqlSource
from elt_factory.sources.sql.origin import relation_of
from elt_factory.sources.sql.reader import cuts_of, ends_of


def parts(request: ReadRequest, most: int) -> list[Part]:
    """Return ranges of the first column of the key, or of the cursor, as the config says.

    Raises as `read` does.
    """
    request = by_source_name(request)
    spec = source_of(request, SqlSource).tables[request.table]
    by_cursor = spec.split is not None and spec.split.by == "cursor"
    return _parts_by_cursor(request, most) if by_cursor else _parts_by_key(request, most)


def _parts_by_key(request: ReadRequest, most: int) -> list[Part]:
    """Return ranges of about the same width between the least and the greatest key that there is."""
    label = TableLabel.of(request)
    spec = source_of(request, SqlSource).tables[request.table]
    key = source_name(spec.primary_key[0])
    low, high = _ends(request, key, label)
    upto = _highest_cursor(request, label)
    shared = {"upto": upto}
    # of a cursor that is a number and has no value yet, it cannot be said where it ends
    open_end = spec.counts_by_number and upto is None
    if low is None or high is None or open_end:
        return [_part(KeyRange(key), shared)]
    width = -(-(high - low + 1) // most)
    cuts = [low + width * number for number in range(1, most) if low + width * number <= high]
    return _between(key, cuts, shared)


def _parts_by_cursor(request: ReadRequest, most: int) -> list[Part]:
    """Return ranges of the cursor with about as many rows in each; rows of one value are in one of them."""
    incremental = cursor_of(request)
    upto = _highest_cursor(request, TableLabel.of(request))
    if upto is None and isinstance(incremental.initial, int):
        # without a value yet, it cannot be said where the cursor ends
        return [_part(KeyRange(incremental.cursor), {"upto": None})]
    cuts = cuts_of(replace(request, part={"upto": upto}), most)
    if upto is not None:
        return _between(incremental.cursor, cuts.numbers(), {"upto": upto})
    ended = request.window.end <= request.clock.now()
    if not ended:
        # a row that changes before the window ends would move to a part that may have been read already
        request.log(f"{request.table}: the window has not ended yet, so one task reads all of it")
    moments = cuts.moments(request.window, ZoneInfo(clock_of(request))) if ended else []
    ends = [request.window.start, *moments, request.window.end]
    return [_piece(incremental.cursor, *two, first=not number) for number, two in enumerate(pairwise(ends))]


def _between(name: str, cuts: Sequence[int], shared: Mapping[str, Any]) -> list[Part]:
    """Return the ranges between values of a column, the first and the last open."""
    return [_part(KeyRange(name, *ends), shared) for ends in pairwise([None, *cuts, None])]


def _piece(cursor: str, start: datetime, end: datetime, *, first: bool) -> Part:
    piece = CursorWindow(Window(start, end), null_cursors=first)
    return Part(piece.kept(), f"{cursor} from {_shown(start)} and below {_shown(end)}")


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None)} UTC"


def _part(found: KeyRange, shared: Mapping[str, Any]) -> Part:
    return Part({"key": found.key, "start": found.start, "end": found.end, **shared}, str(found))


def _ends(request: ReadRequest, key: str, label: TableLabel) -> tuple[int | None, int | None]:
    """Return the least and the greatest key: of the window's rows where a plain query says it, else of the table's."""
    found = _ends_in_window(request, key)
    with suppress(BadRequestError):  # the query has the key without quotes: user may be the login
        if found:
            return _whole(found[0], key, label), _whole(found[1], key, label)
    low, high = _ends_of_all(request, key, label)
    return _whole(low, key, label), _whole(high, key, label)


def _ends_in_window(request: ReadRequest, key: str) -> tuple[str | None, ...] | None:
    if not PLAIN.fullmatch(key):
        return None
    with suppress(BadRequestError):  # as with a cursor that does not compare with times: the read itself says why
        return value_in_window(request, f"min({key})", f"max({key})")
    return None


def _ends_of_all(request: ReadRequest, column: str, label: TableLabel) -> tuple[str | None, str | None]:
    source = source_of(request, SqlSource)
    relation, silence = relation_of(request, source), source.extract.silence
    return ends_of(needed_connection(request, label), request.project, relation, column, label, silence)


def _highest_cursor(request: ReadRequest, label: TableLabel) -> str | None:
    """Return where a cursor that is a number ends: a part that is read later must not reach farther than the others.

    The load keeps one cursor for all of its parts, and rows up to it would never be read again.
    """
    spec = request.source.all_tables[request.table]
    if spec.incremental is None or not spec.counts_by_number:
        return None
    return request.cursor.upto or _ends_of_all(request, spec.incremental.cursor, label)[1]


def _whole(text: str | None, key: str, label: TableLabel) -> int | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value != value.to_integral_value():
        message = f"split needs a whole number as the first column of primary_key, and {key} has the value {text[:40]}"
        raise label.error(BadRequestError, message, "remove split, or for a table with a cursor add by: cursor to it")
    return int(value)
