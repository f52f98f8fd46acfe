"""What Oracle does in its own way: types as the driver describes a result, and values that need SQL to be exact."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.sources.sql.described import Chosen, Described, Read
from elt_factory.sources.sql.origin import decimal_of
from elt_factory.sources.sql.values_as_text import text_column

REFUSALS = re.compile(r"ORA-(01017|01031|01045|28000|28001|01749|41900)\b")
# a snapshot that is too old, sessions used up, locks, an instance that starts or stops, a connection that was lost
MAY_HEAL = re.compile(
    r"ORA-(00018|00020|00028|00054|00060|01033|01034|01089|01090|01555|01652|02391|03113|03114|03135|04031|08103|08176|"
    r"12170|12516|12519|12520|12528|12537|12541|12547|12571|30036)\b"
    # the driver's own: a lost connection, and a call that took too long
    r"|DPY-(1001|4011|4024)\b"
)
_NUMBER, _INSTANTS = "DB_TYPE_NUMBER", frozenset({"DB_TYPE_TIMESTAMP_TZ", "DB_TYPE_TIMESTAMP_LTZ"})
_VECTOR, _MONTHS = "DB_TYPE_VECTOR", "DB_TYPE_INTERVAL_YM"
_PADDED = frozenset({"DB_TYPE_CHAR", "DB_TYPE_NCHAR"})  # with blanks up to their length
_NO_SCALE = -127  # of NUMBER without digits, and of FLOAT
_DIGITS_OF_INTEGER = 18
_NAMES: Mapping[str, TypeName] = {
    **dict.fromkeys(("DB_TYPE_BINARY_DOUBLE", "DB_TYPE_BINARY_FLOAT"), "float"),
    "DB_TYPE_BINARY_INTEGER": "integer",
    "DB_TYPE_BOOLEAN": "boolean",
    **dict.fromkeys(("DB_TYPE_DATE", "DB_TYPE_TIMESTAMP"), "datetime"),  # a DATE has a time of day
    **dict.fromkeys(_INSTANTS, "timestamp"),
    **dict.fromkeys(("DB_TYPE_BLOB", "DB_TYPE_BFILE", "DB_TYPE_RAW", "DB_TYPE_LONG_RAW"), "binary"),
    **dict.fromkeys(("DB_TYPE_JSON", _VECTOR), "json"),
}
_UTC = 'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"'


def not_through_silence(database: sa.Connection, silence: timedelta) -> None:
    """Let each question to the server fail that is not answered for so long."""
    driver: Any = database.connection.dbapi_connection
    driver.call_timeout = max(1, int(silence.total_seconds() * 1000))


def described(database: sa.Connection, place: sa.FromClause, chosen: Chosen) -> Described:
    """Return what a SELECT has: types as the driver describes the result, of queries as of tables."""
    empty: sa.CursorResult[Any] = database.execute(sa.select(chosen).select_from(place).limit(0))
    description: Sequence[Any] = empty.context.cursor.description
    columns, types, forms = dict[str, Read](), dict[str, ColumnType](), dict[str, str]()
    for name, column in zip(empty.keys(), description, strict=True):
        types[name] = type_of(column[1].name, column[4], column[5])
        as_text = _months if column[1].name == _MONTHS else partial(text_column, kind=types[name])
        columns[name] = Read(read_as(name, column[1].name), as_text)
        if column[1].name in _PADDED:
            forms[name] = f"char({column[2]})"
    return Described(place, columns, types, forms)


def type_of(kind: str, precision: int | None, scale: int | None) -> ColumnType:
    """Return the type of a column by the driver's type, with the digits of a NUMBER."""
    if kind != _NUMBER:
        return ColumnType(_NAMES.get(kind, "text"))
    digits, after = precision or 0, scale or 0
    if after == _NO_SCALE:
        # FLOAT is a NUMBER with a precision in bits
        return ColumnType("float") if digits else decimal_of(0, 0)
    if after == 0 and 1 <= digits <= _DIGITS_OF_INTEGER:
        return ColumnType("integer")
    return decimal_of(digits, after)


def _months(values: Sequence[Any]) -> pa.Array:
    """Return intervals of years and months in ISO 8601."""
    return pa.array([months_text(value) for value in values], pa.string())


def months_text(value: Any) -> str | None:
    """Write the driver's pair of years and months: `P1Y2M`, `P-3M`, `P0Y`."""
    if value is None:
        return None
    parts = ((value.years, "Y"), (value.months, "M"))
    return f"P{''.join(f'{number}{unit}' for number, unit in parts if number) or '0Y'}"


def read_as(name: str, kind: str) -> sa.ColumnElement[Any]:
    """Return how a column is read: the driver gives instants without their zone, and vectors as arrays of Python."""
    column: sa.ColumnClause[Any] = sa.column(name)
    if kind in _INSTANTS:
        return sa.func.to_char(sa.func.sys_extract_utc(column), sa.literal_column(f"'{_UTC}'"))
    return sa.func.from_vector(column) if kind == _VECTOR else column
