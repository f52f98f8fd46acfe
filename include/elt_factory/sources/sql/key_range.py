"""The part of a table that one of several tasks reads: a range of its key, or of its cursor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from elt_factory.config.models.cursor_rules import NUMBERS
from elt_factory.config.models.table import source_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.extract.bounds import is_temporal
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest


@dataclass(frozen=True)
class KeyRange:
    """`start <= key < end`; an open start has the rows without a key, too. The key may be a numeric cursor."""

    key: str
    start: int | None = None
    end: int | None = None

    @classmethod
    def of(cls, request: ReadRequest) -> KeyRange | None:
        """Return the range that a task has to read; None for a table that is read whole."""
        part = request.part or {}
        return cls(part["key"], part["start"], part["end"]) if "key" in part else None

    def __str__(self) -> str:
        """Return the range for people."""
        ends = [f"from {self.start}"] if self.start is not None else []
        ends += [f"below {self.end}"] if self.end is not None else []
        return f"{self.key} {' and '.join(ends)}" if ends else "all rows"


@dataclass(frozen=True)
class CursorWindow:
    """The piece of a load's window that one task reads, of a cursor that is a time.

    Pieces follow each other as windows of runs do, so no clock or precision of the cursor loses or repeats a row. Rows
    without a cursor are in no window, and `null_cursors` says which one of the tasks has them.
    """

    window: Window
    null_cursors: bool

    @classmethod
    def of(cls, request: ReadRequest) -> CursorWindow | None:
        """Return the piece that a task has to read; None for a window that is read whole."""
        part = request.part or {}
        if "window" not in part:
            return None
        start, end = map(datetime.fromisoformat, part["window"])
        return cls(Window(start, end), part["null_cursors"])

    def kept(self) -> Mapping[str, object]:
        """Return this as JSON keeps it."""
        ends = [self.window.start.isoformat(), self.window.end.isoformat()]
        return {"window": ends, "null_cursors": self.null_cursors}


def has_null_cursors(request: ReadRequest) -> bool:
    """Tell whether rows without a cursor are among those that a task reads or counts."""
    piece = CursorWindow.of(request)
    return piece is None or piece.null_cursors


def by_source_name(request: ReadRequest) -> ReadRequest:
    """Return the request with the cursor as the source calls it: what is reserved here is loaded as `_source...`."""
    spec = request.source.all_tables[request.table]
    if spec.incremental is None or source_name(spec.incremental.cursor) == spec.incremental.cursor:
        return request
    cursor = {"cursor": source_name(spec.incremental.cursor)}
    table = spec.model_copy(update={"incremental": spec.incremental.model_copy(update=cursor)})
    tables = {**request.source.tables, request.table: table}
    return replace(request, source=request.source.model_copy(update={"tables": tables}))


def as_split(request: ReadRequest) -> ReadRequest:
    """Return the request of a task with the ends that its split gave it: of the window, of a cursor for all parts."""
    request = by_source_name(request)
    upto, piece = (request.part or {}).get("upto"), CursorWindow.of(request)
    if piece:
        request = replace(request, window=piece.window)
    return replace(request, cursor=replace(request.cursor, upto=upto)) if upto is not None else request


def check_numbers(request: ReadRequest, types: Mapping[str, ColumnType], label: TableLabel) -> None:
    """Refuse a key, or a cursor with an end that all parts share, that is not kept as a number.

    Texts of digits are compared as texts by some databases: rows would be in two ranges, or after the shared end.

    Raises:
        BadRequestError: the database says another type of it.
    """
    part, incremental = request.part or {}, request.source.all_tables[request.table].incremental
    needed = {part["key"]: "the first column of primary_key"} if "key" in part else {}
    if incremental and part.get("upto") is not None:
        needed[incremental.cursor] = "a cursor with initial: 0"
    for name, what in needed.items():
        kind = types.get(name)
        if kind is not None and kind.name not in NUMBERS:
            text = f"split needs a number as {what}, and {name} is {kind}"
            raise label.error(BadRequestError, text, "remove split")


def check_shared_end(request: ReadRequest, types: Mapping[str, ColumnType], label: TableLabel) -> None:
    """Refuse a cursor that each part would read up to another value: the load keeps one for all of them.

    Raises:
        BadRequestError: it is a number, and its `initial` does not say so.
    """
    incremental = request.source.all_tables[request.table].incremental
    if request.part is None or incremental is None or request.cursor.upto is not None:
        return
    kind = types.get(incremental.cursor)
    if isinstance(incremental.initial, int) or is_temporal(incremental, kind):
        return
    text = f"split needs to know where the cursor {incremental.cursor} ({kind}) ends before any part is read"
    raise label.error(BadRequestError, text, "write initial: 0 for a numeric cursor, or remove split")
