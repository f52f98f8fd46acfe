"""The types of the columns of Parquet files, which say them, over all files of a load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from elt_factory.config.models.table import loaded_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import ContractError
from elt_factory.extract.request import ParquetGroup, Spool
from elt_factory.landing import casting, parquet_groups
from elt_factory.landing.schema import KnownTable, settled
from elt_factory.landing.type_of_all import type_of_all

if TYPE_CHECKING:
    import duckdb

Types = dict[str, ColumnType | None]
_TEXT = ColumnType("text")
_NUMBERS = ("integer", "decimal", "float")


def types_in_groups(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, names: Sequence[str]
) -> Types:
    """Return the types of columns, each one that holds the values of all files.

    Files without a value in a column do not count, whatever type they have for it.

    Raises:
        ContractError: the files have types of which none holds the values of all.
    """
    types_of_each = [_types_of(connection, known, spool, group, names) for group in spool.groups]
    kinds = {name: list(dict.fromkeys(types[name] for types in types_of_each if name in types)) for name in names}
    # where a table has the column its type is settled, and each value is cast to that
    open_names = [name for name, found in kinds.items() if len(found) > 1 and not _is_settled(known, name)]
    largest: dict[str, dict[ColumnType, float]] = {name: {} for name in open_names}
    for group, types in zip(spool.groups, types_of_each, strict=True):
        some = {name: types[name] for name in open_names if name in types}
        for name, most in _largest(connection, group, some).items():
            largest[name][types[name]] = max(most, largest[name].get(types[name], 0))
    first: Types = {name: found[0] if found else None for name, found in kinds.items()}
    return first | {name: _type_of_all(known, name, found, kinds[name]) for name, found in largest.items()}


def _is_settled(known: KnownTable, name: str) -> bool:
    return settled(known, [loaded_name(name)])


def _types_of(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool, group: ParquetGroup, names: Sequence[str]
) -> dict[str, ColumnType]:
    """Return the types that the files of a group have for columns."""
    kinds = {name: group.kinds[name] for name in names if name in group.kinds}
    finer = [name for name, kind in kinds.items() if casting.is_of_nanoseconds(kind) and not _is_settled(known, name)]
    found = {name: _type_in(name, kind, spool) for name, kind in kinds.items()}
    found |= dict.fromkeys(_with_nanoseconds(connection, group, finer), _TEXT)
    return {name: kind for name, kind in found.items() if kind is not None}


def _type_in(name: str, kind: str, spool: Spool) -> ColumnType | None:
    # what a source says of a column is said of all files, unless they have it in different types
    said = len({group.kinds[name] for group in spool.groups if name in group.kinds}) == 1 or kind == "VARCHAR"
    return (spool.types.get(name) if said else None) or casting.from_duckdb_type(kind)


def _with_nanoseconds(connection: duckdb.DuckDBPyConnection, group: ParquetGroup, names: Sequence[str]) -> list[str]:
    """Return the columns of times of which some value says more than microseconds: only text holds all of it."""
    if not names:
        return []
    texts = [f"CAST({parquet_groups.column(name)} AS VARCHAR)" for name in names]
    tests = ", ".join(f"bool_or({casting.has_nanoseconds(text)})" for text in texts)
    answer = connection.execute(f"SELECT {tests} FROM {parquet_groups.read(group)}").fetchall()[0]
    return [name for name, is_finer in zip(names, answer, strict=True) if is_finer]


def _largest(
    connection: duckdb.DuckDBPyConnection, group: ParquetGroup, types: Mapping[str, ColumnType]
) -> dict[str, float]:
    """Return how large the numbers of columns are, 0 for other values; without the columns that have no value."""
    if not types:
        return {}
    items = []
    for name, kind in types.items():
        column = parquet_groups.column(name)
        size = f"max(abs(CAST({column} AS DOUBLE)))" if kind.name in _NUMBERS else "0"
        items.append(f"count({column}), {size}")
    answer = connection.execute(f"SELECT {', '.join(items)} FROM {parquet_groups.read(group)}").fetchall()[0]
    pairs = zip(types, answer[::2], answer[1::2], strict=True)
    return {name: float(most or 0) for name, count, most in pairs if count}


def _type_of_all(
    known: KnownTable, name: str, largest: Mapping[ColumnType, float], kinds: Sequence[ColumnType]
) -> ColumnType:
    found = type_of_all(largest or dict.fromkeys(kinds, 0.0))
    # each value has one text by the type that its file says
    if found is None and _TEXT in largest:
        return _TEXT
    if found is None and largest:
        types = " and ".join(sorted(map(str, largest)))
        raise ContractError(
            f"{known.label}: the files of this load have {types} in the column {name}, and none of these types holds "
            "all of their values; declare its type under columns:"
        )
    return found or _TEXT
