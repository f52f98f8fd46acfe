"""What SQL Server does in its own way: the driver says the ODBC type of each column of a result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.sources.sql.described import Chosen, Described, plain
from elt_factory.sources.sql.origin import decimal_of

REFUSALS = re.compile(r"Login failed|permission was denied|Cannot open database", re.IGNORECASE)
MAY_HEAL = re.compile(r"deadlock victim|Lock request time out period exceeded", re.IGNORECASE)
_DECIMALS = frozenset({2, 3})  # money is DECIMAL(19,4), smallmoney DECIMAL(10,4)
_GUID, _PADDED = -11, {1: "char", -8: "char", -2: "binary"}
_NAMES: Mapping[int, TypeName] = {
    -7: "boolean",
    **dict.fromkeys((-6, 5, 4, -5), "integer"),
    **dict.fromkeys((6, 7, 8), "float"),
    **dict.fromkeys((9, 91), "date"),
    **dict.fromkeys((10, 92, -154), "time"),
    **dict.fromkeys((11, 93), "datetime"),
    -155: "timestamp",  # datetimeoffset
    **dict.fromkeys((-2, -3, -4, -151), "binary"),  # rowversion, geometry, geography and hierarchyid, too
}


def described(database: sa.Connection, place: sa.FromClause, chosen: Chosen) -> Described:
    """Return what a SELECT has: types as the driver describes the result, of queries as of tables."""
    empty: sa.CursorResult[Any] = database.execute(sa.select(chosen).select_from(place).limit(0))
    cursor: Any = empty.context.cursor
    # the description of the DB API knows no difference between datetime2 and datetimeoffset
    codes = cursor._column_sql_types  # noqa: SLF001
    names = list(empty.keys())
    types = {
        name: type_of(code, column[4], column[5])
        for name, code, column in zip(names, codes, cursor.description, strict=True)
    }
    forms = {
        name: form
        for name, *about in zip(names, codes, cursor.description, strict=True)
        if (form := form_of_key(*about))
    }
    return replace(plain(place, names, types), forms=forms)


def form_of_key(code: int, column: Sequence[Any]) -> str:
    """Return how keys are written that others write in another way: of a fixed length with blanks or zeros behind."""
    return f"{_PADDED[code]}({column[4]})" if code in _PADDED else "uniqueidentifier" if code == _GUID else ""


def type_of(code: int, size: int | None, digits: int | None) -> ColumnType:
    """Return the type of a column by its ODBC type, its size and its digits after the point."""
    if code in _DECIMALS:
        return decimal_of(size or 0, digits or 0)
    return ColumnType(_NAMES.get(code, "text"))
