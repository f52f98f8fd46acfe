"""The ends of what a load reads by its cursor: a window of time, or a range of other values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo

from elt_factory.config.errors import near_name
from elt_factory.config.models.cursor_rules import NUMBERS, lag_fault
from elt_factory.config.models.table import Incremental
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest

Operator = Literal[">", ">=", "<", "<="]
_EXACT = Context(prec=150_000)
_NO_ENDS = frozenset({"inf", "infinity", "nan"})
_TEMPORAL = frozenset({"timestamp", "datetime", "date"})
# a cursor of these types begins and ends with what a load has kept of it, and not with a number
_AS_KEPT = frozenset({"text", "binary"})
# after 23:59:59, and after true, no later row would ever be found
_DO_NOT_GROW = frozenset({"time", "boolean", "json"})


@dataclass(frozen=True)
class Bound:
    """One end of what is read: `cursor operator value`.

    A datetime with a zone for instants, one without for wall-clock times and a date for dates, both on the cursor's
    clock; for cursors that are not times an int, bytes, or text as the last load wrote it.
    """

    operator: Operator
    value: datetime | date | int | str | bytes


def bounds(request: ReadRequest, incremental: Incremental, kind: ColumnType | None) -> tuple[Bound, ...]:
    """Return the ends of what is read, for a cursor of this type (None: not known, taken for a time)."""
    if is_temporal(incremental, kind):
        return _window(request, kind)
    return tuple(_range(request, incremental, kind))


def is_temporal(incremental: Incremental, kind: ColumnType | None) -> bool:
    """Tell whether the cursor is a time: the catalogue says so, or no one says that it is not."""
    if isinstance(incremental.initial, int):
        return False
    return kind is None or kind.name in _TEMPORAL


def check_cursor(
    incremental: Incremental, columns: Iterable[str], types: Mapping[str, ColumnType], label: TableLabel
) -> None:
    """Refuse a cursor that is not a column of what is read, that does not grow, or whose lag does not fit its type."""
    names = list(columns)
    if incremental.cursor not in names:
        hint = near_name(incremental.cursor, names)
        raise label.error(BadRequestError, f'unknown column "{incremental.cursor}" in incremental.cursor', hint)
    kind = types.get(incremental.cursor)
    if kind is not None and kind.name in _DO_NOT_GROW:
        text = f"the cursor {incremental.cursor} is {kind}, which does not grow with every change"
        raise label.error(BadRequestError, text, "choose a time or number column that grows with every change")
    fault = lag_fault(incremental, kind.name if kind else None)
    if fault:
        raise label.error(BadRequestError, f"incremental.lag of {incremental.cursor}: {fault[0]}", fault[1])


def _window(request: ReadRequest, kind: ColumnType | None) -> tuple[Bound, ...]:
    zone = ZoneInfo(clock_of(request))
    start, end = (on_clock(kind, moment, zone) for moment in (request.window.start, request.window.end))
    return Bound(">=", start), Bound("<", end)


def clock_of(request: ReadRequest) -> str:
    """Return the zone of the clock that a cursor without a zone is read by."""
    return request.source.all_tables[request.table].cursor_zone or request.source.timezone


def wall_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what clocks in the zone show at a moment, so that windows that follow each other share no time.

    The hour that clocks show twice in autumn belongs to its second pass: until then they appear at its beginning.
    """
    local = moment.astimezone(zone)
    if local.fold == 0 and _repeats(local):
        return _beginning_of_the_repeat(local, zone)
    return local.replace(tzinfo=None, fold=0)


def _repeats(local: datetime) -> bool:
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    return first is not None and second is not None and first > second


def _beginning_of_the_repeat(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the time to which clocks go back.

    Bisected to the second between a moment of the first pass and a day later.
    """
    before, after = local.astimezone(UTC), local.astimezone(UTC) + timedelta(days=1)
    offset = local.utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(microsecond=0).astimezone(zone).replace(tzinfo=None, fold=0)


def on_clock(kind: ColumnType | None, moment: datetime, zone: ZoneInfo) -> datetime | date:
    """Return a moment as a cursor of this type has it, whose clock is the zone's where it has no zone of its own."""
    if kind is not None and kind.name == "timestamp":
        return moment.astimezone(UTC)
    if kind is not None and kind.name == "date":
        return _first_date(moment.astimezone(zone))
    return wall_clock(moment, zone)


def _first_date(local: datetime) -> date:
    """Return the first date that begins at this moment or after it: a date stands for its midnight."""
    return local.date() if local.time() == time() else local.date() + timedelta(days=1)


def _range(request: ReadRequest, incremental: Incremental, kind: ColumnType | None) -> Iterator[Bound]:
    after, upto = request.cursor.after, request.cursor.upto
    if kind is not None and kind.name in NUMBERS:
        _check_finite(request, incremental)
    if kind is not None and kind.name in _AS_KEPT:
        yield from _range_as_kept(request, incremental, kind)
    elif after is not None and request.source.all_tables[request.table].primary_key:
        # more rows may have the last value, and lower ones be committed late: those that come again are found by key
        yield Bound(">=", _less(after, incremental.number_lag))
    elif after is not None:
        yield Bound(">", _number_or_text(after))
    elif incremental.initial is not None:
        initial = incremental.initial
        yield Bound(">=", initial if isinstance(initial, int) else initial.isoformat())
    if upto is not None and (kind is None or kind.name not in _AS_KEPT):
        yield Bound("<=", _number_or_text(upto))


def _check_finite(request: ReadRequest, incremental: Incremental) -> None:
    """Refuse to read behind infinity, or NaN: no row is there, and no one would hear."""
    after = request.cursor.after
    if after is not None and after.strip().lower().lstrip("+-") in _NO_ENDS:
        text = f"the last load has read up to {after} of the cursor {incremental.cursor}, which no later row exceeds"
        hint = "correct such rows or leave them out by a query, then run with full refresh"
        raise TableLabel.of(request).error(BadDataError, text, hint)


def _range_as_kept(request: ReadRequest, incremental: Incremental, kind: ColumnType) -> Iterator[Bound]:
    """Yield the ends of a cursor that is text or bytes: a text of digits alone is no number.

    Raises:
        BadRequestError: the config says that it is a number; as text 10 comes before 9, and would never be read.
    """
    initial = incremental.initial
    if isinstance(initial, int) or (initial is not None and kind.name == "binary"):
        why = ", where 10 comes before 9" if kind.name == "text" else ""
        text = f"initial is {initial}, but the cursor {incremental.cursor} is {kind}{why}"
        hint = "remove initial where all values have the same length, or cast it to a number in a query"
        raise TableLabel.of(request).error(BadRequestError, text, hint)
    after, upto = request.cursor.after, request.cursor.upto
    if after is not None:
        keyed = request.source.all_tables[request.table].primary_key
        yield Bound(">=" if keyed else ">", _as_kept(after, kind, request))
    elif initial is not None:
        yield Bound(">=", initial.isoformat())
    if upto is not None:
        yield Bound("<=", _as_kept(upto, kind, request))


def _as_kept(text: str, kind: ColumnType, request: ReadRequest) -> str | bytes:
    """Return a value as the source has it; bytes are kept in hex digits."""
    try:
        return text if kind.name == "text" else bytes.fromhex(text)
    except ValueError:
        fault = f"the last value of its binary cursor is kept as {text[:40]!r}, which is not in hex digits"
        raise TableLabel.of(request).error(BadRequestError, fault, "load it with full refresh once") from None


def _less(text: str, lag: int) -> int | str:
    """Return a number less the lag, as exactly as the text has it; text that is not a number as it is."""
    try:
        # as many digits as any number has: by itself Python rounds to 28
        value = _EXACT.subtract(Decimal(text), Decimal(lag))
    except InvalidOperation:
        return text
    return int(value) if value == value.to_integral_value() else str(value)


def _number_or_text(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
