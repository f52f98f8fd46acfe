"""What SQLite does in its own way: times are text in several ISO forms, errors are distinguished by their text."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import sqlalchemy as sa

from elt_factory.config.models.templates import Typed
from elt_factory.core.failures import (
    BadDataError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)

Moment = datetime | date | int | str | bytes


class UndecodableError(BadDataError):
    """A text of the file is not UTF-8."""


_KINDS: tuple[tuple[str, type[EltError]], ...] = (
    ("locked", SourceUnavailableError),
    ("busy", SourceUnavailableError),
    ("disk i/o", SourceUnavailableError),
    ("not a database", BadDataError),
    ("malformed", BadDataError),
    ("decode to utf-8", UndecodableError),
)


def comparable(column: sa.ColumnElement[object]) -> sa.ColumnElement[str]:
    """Return the column's time in one form, in UTC: `2013-01-01 05:00:00.000`; an offset in the text is taken in."""
    return sa.func.strftime("%Y-%m-%d %H:%M:%f", column)


def comparable_text(moment: Moment) -> str:
    """Write a bound in the form of `comparable`; a date stands for its midnight."""
    if not isinstance(moment, date):
        raise TypeError(f"{moment!r} is not a time")
    whole = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    return whole.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def on_its_clock(column: sa.ColumnElement[object], wall: Moment, instant: Moment) -> sa.ColumnElement[str]:
    """Return a bound as the column's own clock has it: in UTC for a text with an offset, else on the cursor's clock."""
    return sa.case((has_offset(column), comparable_text(instant)), else_=comparable_text(wall))


def has_offset(column: sa.ColumnElement[object]) -> sa.ColumnElement[bool]:
    """Return the condition for a time with an offset, which makes it an instant."""
    return sa.or_(column.op("GLOB")("*[Zz]"), column.op("GLOB")("*[+-][0-9][0-9]:[0-9][0-9]"))


def as_number(bound: Any) -> Any:
    """Return a bound as a number where it is the text of one: what has no declared type is less than any text."""
    return sa.cast(sa.literal(bound, sa.String), sa.NUMERIC) if isinstance(bound, str) else bound


def time_text(value: Typed) -> Typed:
    """Return a time as SQLite's own functions write it: `2013-01-01 05:00:00`, `2013-01-01`; all else as it is."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def decoded(raw: bytes) -> str | bytes:
    """Return a text as SQLite holds it; its bytes where they are not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def unreadable(column: sa.ColumnElement[object]) -> sa.ColumnElement[bool]:
    """Return the condition for a value that no window would ever find, since it is not ISO text."""
    no_text = sa.func.typeof(column) != "text"
    # SQLite takes numbers for days of a calendar of its own, and a time alone for one of the year 2000
    no_day = sa.not_(column.op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"))
    return sa.and_(column.is_not(None), sa.or_(no_text, no_day, sa.func.julianday(column).is_(None)))


def kind_of(message: str) -> type[EltError]:
    """Return the kind of error that a message of SQLite means."""
    return next((kind for words, kind in _KINDS if words in message.lower()), BadRequestError)
