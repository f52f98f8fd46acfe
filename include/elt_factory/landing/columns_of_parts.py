"""The columns of a load in parts, each of which has found the types of its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import ContractError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier
from elt_factory.landing.casting import duckdb_type
from elt_factory.landing.checksums import proven
from elt_factory.landing.file_names import FILE_ID
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.places import Place
from elt_factory.landing.type_of_all import type_of_all

if TYPE_CHECKING:
    import duckdb

Columns = Mapping[str, ColumnType]


def columns_of(label: str, place: Place, connection: duckdb.DuckDBPyConnection, parts: Sequence[Manifest]) -> Columns:
    """Return the columns of all parts, in the order in which the parts have them, each in a type that holds its values.

    A part without a value in a column does not count: the type that it found there says nothing.

    Raises:
        ContractError: no type of the parts holds the values of all, or two columns differ only by case.
    """
    found: dict[str, dict[ColumnType, list[Manifest]]] = {}
    for part in parts:
        for column in part.columns:
            found.setdefault(column.name, {}).setdefault(column.column_type, []).append(part)
    _refuse_case(label, found)
    columns = {}
    for name, kinds in found.items():
        columns[name] = next(iter(kinds))
        if len(kinds) > 1:
            largest = {kind: _largest(connection, place, of, name) for kind, of in kinds.items()}
            there = {kind: most for kind, most in largest.items() if most is not None}
            columns[name] = _type_of_all(label, name, there)
    return columns


def aligned(part: Manifest, columns: Columns) -> str | None:
    """Return a SELECT that gives the rows of a part the columns of the whole, FROM follows; None where they have them.

    Rows of a source's files also say from which.
    """
    own = {column.name: column.column_type for column in part.columns}
    if own == dict(columns):
        return None
    items = [
        f"CAST({identifier(name) if name in own else 'NULL'} AS {duckdb_type(kind)}) AS {identifier(name)}"
        for name, kind in columns.items()
    ]
    return f"SELECT {', '.join([*items, *([identifier(FILE_ID)] if part.ledger else [])])}"


def _type_of_all(label: str, name: str, largest: Mapping[ColumnType, float]) -> ColumnType:
    if not largest:
        return ColumnType("text")
    found = type_of_all(largest)
    if found is None:
        types = " and ".join(sorted(map(str, largest)))
        raise ContractError(
            f"{label}: the parts of this load found {types} in the column {name}; declare its type under columns:"
        )
    return found


def _largest(connection: duckdb.DuckDBPyConnection, place: Place, parts: Sequence[Manifest], name: str) -> float | None:
    """Return how large the numbers of parts are in a column, 0 for other values; None where they have no value."""
    landed = [file for part in parts for file in part.files]
    if not landed:
        return None
    with proven(place, landed) as landing:
        files = file_list([str(landing / file.path) for file in landed])
        column, rows = identifier(name), f"read_parquet({files}, {LITERAL_PATHS}, union_by_name = true)"
        query = f"SELECT count({column}), max(abs(TRY_CAST({column} AS DOUBLE))) FROM {rows}"
        count, most = connection.execute(query).fetchall()[0]
        return float(most or 0) if count else None


def _refuse_case(label: str, names: Mapping[str, object]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ContractError(f"{label}: the parts of this load have the columns {other} and {name}, one name in two")
