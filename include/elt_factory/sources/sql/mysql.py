"""What MySQL and MariaDB do in their own way: a result says its types itself, and some values need SQL to be exact."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.sources.sql.described import Chosen, Described, Read
from elt_factory.sources.sql.origin import decimal_of
from elt_factory.sources.sql.values_as_text import text_column

SESSION = "SET time_zone = '+00:00'"
_BIT, _FLOAT, _TIME, _TIMESTAMP, _LONGLONG, _STRING, _GEOMETRY = 16, 4, 11, 7, 8, 254, 255
_DECIMALS = frozenset({0, 246})
_TEXTS = frozenset({15, 249, 250, 251, 252, 253, 254})
_BINARY_CHARSET, _UNSIGNED, _BITS_OF_INTEGER = 63, 0x20, 63
_NAMES: Mapping[int, TypeName] = {
    1: "integer",
    2: "integer",
    3: "integer",
    8: "integer",
    9: "integer",
    13: "integer",  # YEAR
    _FLOAT: "float",
    5: "float",
    10: "date",
    14: "date",
    _TIME: "time",
    12: "datetime",
    _TIMESTAMP: "timestamp",
    245: "json",
    _GEOMETRY: "binary",
}
# the driver keeps charset and flags of a column, which the DB API has no place for
_Field = Any


def described(database: sa.Connection, place: sa.FromClause, chosen: Chosen) -> Described:
    """Return what a SELECT has: types as the server sends them, so queries have them as tables do.

    BIT is read as a number, FLOAT with all its digits (the server shows six), TIME as text, since it may be longer than
    a day.
    """
    empty: sa.CursorResult[Any] = database.execute(sa.select(chosen).select_from(place).limit(0))
    fields: Sequence[_Field] = empty.context.cursor._result.fields  # noqa: SLF001
    documents = _documents(database, fields)
    types = {field.name: _type(field, documents) for field in fields}
    forms = {field.name: form for field in fields if (form := _form(field, types[field.name]))}
    return Described(place, {field.name: _read(field, types[field.name]) for field in fields}, types, forms)


def _form(field: _Field, kind: ColumnType) -> str:
    """Return how keys of a type are written that others write in another way; an empty text for all others."""
    if kind.name == "binary" and field.type_code == _STRING:
        return f"binary({field.length})"  # with zeros behind it
    # the flags of a number are not those of a text, but of what MariaDB makes one of
    return "UUID or INET" if kind.name == "text" and field.flags & _UNSIGNED else ""


def _type(field: _Field, documents: frozenset[tuple[str, str]]) -> ColumnType:
    code, unsigned = field.type_code, bool(field.flags & _UNSIGNED)
    if code == _BIT:
        return _bits(field.length)
    if code in _DECIMALS:
        return decimal_of(field.length - (field.scale > 0) - (not unsigned), field.scale)
    if code == _LONGLONG and unsigned:
        return ColumnType("decimal", 20, 0)
    if code in _TEXTS and field.charsetnr == _BINARY_CHARSET:
        return ColumnType("binary")
    if (field.org_table, field.org_name) in documents:
        return ColumnType("json")
    return ColumnType(_NAMES.get(code, "text"))


def _bits(length: int) -> ColumnType:
    if length == 1:
        return ColumnType("boolean")
    return ColumnType("integer") if length <= _BITS_OF_INTEGER else ColumnType("decimal", 20, 0)


def _read(field: _Field, kind: ColumnType) -> Read:
    column: sa.ColumnClause[Any] = sa.column(field.name)
    if field.type_code == _BIT:
        return Read(sa.literal_column("0") + column, text_column)
    if field.type_code == _FLOAT:
        return Read(sa.literal_column("0e0") + column, _shortest, _single)
    if field.type_code == _TIME:
        return Read(sa.cast(column, sa.CHAR), text_column)
    if field.type_code == _TIMESTAMP:
        return Read(column, _instants)
    return Read(column, partial(text_column, kind=kind), _in_bytes if kind.name == "text" else _as_it_is)


def compared(column: sa.ColumnElement[Any], kind: ColumnType | None) -> sa.ColumnElement[Any]:
    """Return a cursor as it is compared with an end: a text by its bytes, as warehouses do, whatever its collation."""
    if kind is None or kind.name != "text":
        return column
    return sa.cast(sa.func.convert(column.op("USING")(sa.literal_column("utf8mb4"))), sa.BINARY)


def _as_it_is(value: Any) -> Any:
    return value


def _in_bytes(text: Any) -> bytes:
    return str(text).encode()


def _shortest(values: Sequence[float | None]) -> pa.Array:
    """Single floats with the fewest digits that tell them apart."""
    return pa.array(values, pa.float32()).cast(pa.string())


def _single(value: float | str) -> float:
    """Return the double that a single float is: 0.7 in its fewest digits is another number for the server."""
    return ctypes.c_float(float(value)).value


def _instants(values: Sequence[object]) -> pa.Array:
    """Return times of the session's zone with their offset; a zero date is not one, and the driver gives its text."""
    return text_column([v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for v in values])


def _documents(database: sa.Connection, fields: Sequence[_Field]) -> frozenset[tuple[str, str]]:
    """Columns that MariaDB's JSON made: text with the check that it is JSON."""
    tables = {field.org_table for field in fields if field.org_table}
    if database.dialect.server_version_info is None or not getattr(database.dialect, "is_mariadb", False) or not tables:
        return frozenset()
    schema = next(field.db.decode() for field in fields if field.org_table)
    query = sa.text(
        "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS "
        "WHERE CONSTRAINT_SCHEMA = :schema AND TABLE_NAME IN :tables"
    ).bindparams(sa.bindparam("tables", expanding=True))
    found = database.execute(query, {"schema": schema, "tables": sorted(tables)}).fetchall()
    names = {(field.org_table, field.org_name) for field in fields}
    return frozenset(
        (table, name) for table, name in names if (table, f"json_valid(`{name}`)") in {(t, c) for t, c in found}
    )
