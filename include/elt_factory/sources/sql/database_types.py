"""The types that a database declares, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import types as sa

from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.sources.sql.origin import decimal_of

# in this order: a Float is a Numeric too, an Enum a String
_NAMES: Mapping[type, TypeName] = {
    sa.Boolean: "boolean",
    sa.Integer: "integer",
    sa.Float: "float",
    sa.Date: "date",
    sa.Time: "time",
    sa.JSON: "json",
    sa.ARRAY: "json",
    sa.LargeBinary: "binary",
    sa.BINARY: "binary",
    sa.VARBINARY: "binary",
    sa.String: "text",
    sa.Uuid: "text",
}


def type_of(declared: sa.TypeEngine[Any]) -> ColumnType | None:
    """Return the column type; None for a type that we have no word for, so that it is found in the data."""
    if isinstance(declared, sa.DateTime):
        return ColumnType("timestamp" if declared.timezone else "datetime")
    if isinstance(declared, sa.Numeric) and not isinstance(declared, sa.Float):
        return decimal_of(declared.precision or 0, declared.scale or 0)
    name = next((name for kind, name in _NAMES.items() if isinstance(declared, kind)), None)
    return ColumnType(name) if name else None
