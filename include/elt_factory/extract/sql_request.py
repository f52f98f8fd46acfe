"""What is read from a database: the relation, and the part of it that belongs to a window or a range of the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from elt_factory.config.errors import near_name
from elt_factory.config.source import SqlSource
from elt_factory.config.table import Incremental
from elt_factory.config.templates import Typed, Use, query_parts, typed
from elt_factory.config.values import MAX_PRECISION, ColumnType
from elt_factory.extract.request import ReadRequest
from elt_factory.extract.subject import Subject
from elt_factory.extract.templating import values_of
from elt_factory.failures import BadRequestError

Operator = Literal[">", ">=", "<", "<="]
_TEMPORAL = frozenset({"timestamp", "datetime", "date"})


@dataclass(frozen=True)
class Given:
    """A value that a template in a query stands for; it never becomes text of the query."""

    value: Typed


@dataclass(frozen=True)
class Relation:
    """A table or view, or a query in its place: pieces of SQL, and the values between them; no semicolon at its end."""

    table: str
    schema: str | None = None
    query: tuple[str | Given, ...] | None = None


@dataclass(frozen=True)
class Bound:
    """One end of what is read: `cursor operator value`.

    A datetime with a zone for instants, one without for wall-clock times (UTC), a date for dates (the source's zone);
    for cursors that are no time an int, or text as the last load wrote it.
    """

    operator: Operator
    value: datetime | date | int | str


def relation_of(request: ReadRequest, source: SqlSource) -> Relation:
    """Return what the config says to read."""
    table = source.tables[request.table]
    query = _query(table.query, request) if table.query else None
    return Relation(table.table or request.table, source.extract.schema_name, query)


def _query(text: str, request: ReadRequest) -> tuple[str | Given, ...]:
    values = values_of(request)
    parts = query_parts(text.strip().rstrip(";").rstrip())
    return tuple(
        Given(typed(part, values, request.source.timezone)) if isinstance(part, Use) else part for part in parts
    )


def bounds(request: ReadRequest, incremental: Incremental, kind: ColumnType | None) -> tuple[Bound, ...]:
    """Return the ends of what is read, for a cursor of this type (None: not known, taken for a time)."""
    if is_temporal(incremental, kind):
        return _window(request, kind)
    return tuple(_range(request, incremental))


def is_temporal(incremental: Incremental, kind: ColumnType | None) -> bool:
    """Tell whether the cursor is a time: the catalogue says so, or nobody says that it is not."""
    if isinstance(incremental.initial, int):
        return False
    return kind is None or kind.name in _TEMPORAL


def check_cursor(incremental: Incremental, columns: Iterable[str], subject: Subject) -> None:
    """Raise BadRequestError when the cursor is no column of what is read."""
    names = list(columns)
    if incremental.cursor not in names:
        hint = near_name(incremental.cursor, names)
        raise subject.error(BadRequestError, f'there is no column "{incremental.cursor}" for incremental.cursor', hint)


def decimal_of(precision: int, scale: int) -> ColumnType:
    """Return the decimal type; decimal(38,9) when none is declared or it has more digits than the warehouse's.

    Found in the data, the type would be that of the first load's values: whole numbers at first, and every price
    after them rejected; or a float, and amounts inexact.
    """
    if 1 <= precision <= MAX_PRECISION and 0 <= scale <= precision:
        return ColumnType("decimal", precision, scale)
    if 1 <= precision < scale <= MAX_PRECISION:  # numeric(3,5) of PostgreSQL: 0.00123
        return ColumnType("decimal", scale, scale)
    if scale < 0 and precision - scale <= MAX_PRECISION:  # numeric(3,-2): 12300
        return ColumnType("decimal", precision - scale, 0)
    return ColumnType.parse("decimal")


def _window(request: ReadRequest, kind: ColumnType | None) -> tuple[Bound, ...]:
    ends = (_as(kind, moment, request.source.timezone) for moment in (request.window.start, request.window.end))
    start, end = ends
    return Bound(">=", start), Bound("<", end)


def _as(kind: ColumnType | None, moment: datetime, zone: str) -> datetime | date:
    if kind is not None and kind.name == "timestamp":
        return moment.astimezone(UTC)
    if kind is not None and kind.name == "date":
        return _first_date(moment.astimezone(ZoneInfo(zone)))
    return moment.astimezone(UTC).replace(tzinfo=None)


def _first_date(local: datetime) -> date:
    """The first date that begins at this moment or after it: a date stands for its midnight."""
    return local.date() if local.time() == time() else local.date() + timedelta(days=1)


def _range(request: ReadRequest, incremental: Incremental) -> Iterator[Bound]:
    after, upto = request.cursor.after, request.cursor.upto
    if after is not None:
        yield Bound(">", _number_or_text(after))
    elif incremental.initial is not None:
        initial = incremental.initial
        yield Bound(">=", initial if isinstance(initial, int) else initial.isoformat())
    if upto is not None:
        yield Bound("<=", _number_or_text(upto))


def _number_or_text(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
