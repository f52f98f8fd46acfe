"""What a SQLite table or query holds: the declared types, else the storage classes of all values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from elt_factory.config.models.table import Column
from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.failures import BadDataError
from elt_factory.extract.bounds import is_temporal
from elt_factory.extract.label import TableLabel
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.sql import sqlite
from elt_factory.sources.sql.database_types import type_of
from elt_factory.sources.sql.described import Described, plain
from elt_factory.sources.sql.origin import Origin

_HIDDEN = 1  # a column of a virtual table that SELECT * does not have
_STORAGE = ("text", "blob", "real", "integer")
_WHOLE_IN_FLOAT = 2**53  # every whole number up to it is a float exactly
_NUMBERS = frozenset({"NUMERIC", "DECIMAL", "DEC", "NUMBER", "FIXED"})
_BYTES = frozenset({"BINARY", "VARBINARY", "BYTEA"})
# SQLite takes both for integers: POINT ends in INT, INTERVAL begins with it
_NOT_INTEGERS = ("POINT", "INTERVAL")


def described(database: sa.Connection, relation: Origin, place: sa.FromClause) -> Described:
    """Return what a SELECT of everything has. A query's columns have the types of the columns that they come from.

    All statements see one moment of the file.
    """
    database.exec_driver_sql("BEGIN")
    declared = _declared(database, relation, place)
    open_names = [name for name, kind in declared.items() if kind is None]
    stored = _stored(database, place, open_names)
    # without any value nothing is known: text holds all that may come
    types = {name: kind or stored.get(name) or ColumnType("text") for name, kind in declared.items()}
    return plain(place, list(declared), types)


def without_texts(types: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
    """Return the types that say of their values what they are: a text may be a time or a number."""
    return {name: kind for name, kind in types.items() if kind != ColumnType("text")}


def with_cursor_of(
    database: sa.Connection, request: ReadRequest, described: Described, label: TableLabel
) -> Mapping[str, ColumnType]:
    """Return the types of the columns, with that of the cursor by its values where it is a time or a number in texts.

    Rows are read by what their texts say, in whatever form each is written: as texts, and on clocks of several offsets,
    they would have another order in the warehouse. What the YAML says of the column comes first.

    Raises:
        BadDataError: some of the times have an offset, and some have none: no type holds both.
    """
    table, types = request.source.all_tables[request.table], described.types
    name = table.incremental.cursor if table.incremental else ""
    kind, said = without_texts(types).get(name), table.columns.get(name, Column())
    open_kind = kind is None or kind.name == "datetime"
    if table.incremental is None or name not in types or said.type or said.pii or not open_kind:
        return types
    column: sa.ColumnClause[Any] = sa.column(name)
    if not is_temporal(table.incremental, kind):
        real = sa.func.max(sa.func.typeof(sa.cast(column, sa.NUMERIC)) == "real")
        has_fractions = database.execute(sa.select(real).select_from(described.place)).scalar()
        return {**types, name: ColumnType("float" if has_fractions else "integer")} if kind is None else types
    has = sqlite.has_offset(column)
    found = sa.select(sa.func.min(has), sa.func.max(has)).select_from(described.place).where(column.is_not(None))
    some_without, some_with = database.execute(found).one()
    if some_with and not some_without:
        text = f"the cursor {name} has times with an offset and times without one"
        where = f"tables.{request.table}.columns.{name}"
        hint = (
            f"write type: timestamp (without an offset it is UTC) or type: datetime (offsets are dropped) under {where}"
        )
        raise label.error(BadDataError, text, hint)
    return {**types, name: ColumnType("timestamp" if some_with else "datetime")}


def _declared(database: sa.Connection, relation: Origin, place: sa.FromClause) -> Mapping[str, ColumnType | None]:
    if relation.query is None:
        name, schema = relation.table, relation.schema
    else:
        # the catalogue has the types of a view's columns, and a temporary one is not in the file
        shown: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(place)
        compiled = shown.compile(database, compile_kwargs={"literal_binds": True})
        database.exec_driver_sql(f"CREATE TEMPORARY VIEW elt_query AS {compiled}")
        name, schema = "elt_query", "temp"
    query = sa.text("SELECT name, type, hidden FROM pragma_table_xinfo(:name, :schema)")
    rows = database.execute(query, {"name": name, "schema": schema or "main"}).fetchall()
    return {str(name): _kind(database.dialect, str(kind)) for name, kind, hidden in rows if hidden != _HIDDEN}


def _kind(dialect: Any, declared: str) -> ColumnType | None:
    """Return the column type; None for a declaration that says nothing of the values."""
    if not declared or not isinstance(dialect, SQLiteDialect):
        return None
    name = declared.upper()
    head = name.split("(")[0].strip()
    if head in _BYTES:
        return ColumnType("binary")
    kind = dialect._resolve_type_affinity(name)  # type: ignore[no-untyped-call] # noqa: SLF001
    # what SQLite does not know it calls NUMERIC, with the length of ENUM(5) as digits
    unknown = isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float)
    if head.endswith(_NOT_INTEGERS) or (unknown and (head not in _NUMBERS or kind.precision is None)):
        return None
    return type_of(kind)


def _stored(database: sa.Connection, place: sa.FromClause, names: Sequence[str]) -> Mapping[str, ColumnType | None]:
    """Return the types of columns by the storage classes of all their values; None without a value."""
    if not names:
        return {}
    tests = [sa.func.max(test).label(f"t{number}") for number, test in enumerate(chain(*map(_tests, names)))]
    row = database.execute(sa.select(*tests).select_from(place)).one()
    width = len(_STORAGE) + 1
    return {name: _of_storage(row[index * width : (index + 1) * width]) for index, name in enumerate(names)}


def _tests(name: str) -> Iterator[sa.ColumnElement[bool]]:
    column: sa.ColumnClause[Any] = sa.column(name)
    kind = sa.func.typeof(column)
    yield from (kind == storage for storage in _STORAGE)
    yield sa.and_(kind == "integer", sa.not_(column.between(-_WHOLE_IN_FLOAT, _WHOLE_IN_FLOAT)))


def _of_storage(seen: Sequence[Any]) -> ColumnType | None:
    """Return the type by what there is of each storage class, and whether some integers are beyond those of floats."""
    text, blob, real, integer, large = map(bool, seen)
    # no number that is known before its values are read holds them all
    if text or (blob and (real or integer)) or (real and large):
        return ColumnType("text")
    kinds: tuple[tuple[bool, TypeName], ...] = ((blob, "binary"), (real, "float"), (integer, "integer"))
    return next((ColumnType(name) for found, name in kinds if found), None)
