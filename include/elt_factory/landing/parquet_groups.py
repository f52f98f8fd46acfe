"""Parquet files by the types of their columns: files with a column in two types are never read as one relation.

DuckDB would cast each value to a type of the others' before the contract sees it: an integer to a double, a decimal to
another scale, a text to hex digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadDataError
from elt_factory.core.sql_text import file_list, identifier
from elt_factory.extract.request import ParquetGroup, Spool
from elt_factory.landing import casting
from elt_factory.landing.contract import parquet_relation, place_in_parquet
from elt_factory.landing.file_names import with_path

if TYPE_CHECKING:
    import duckdb

_Fields = tuple[tuple[str, int, str], ...]  # of a schema in its order: names, how many are within each, DuckDB's types
_FILES_AT_ONCE = 256
_INTEGER = ColumnType("integer")
_VIRTUAL = ("file_index", "file_row_number")  # DuckDB's own columns, which those of a file hide


def in_groups(connection: duckdb.DuckDBPyConnection, spool: Spool, label: str) -> Spool:
    """Return the spool with the groups of its files, where it is of Parquet.

    Raises:
        BadDataError: a file has a column twice.
    """
    if spool.format != "parquet" or spool.groups:
        return spool
    paths = list(map(str, spool.files))
    places = {path: place for place, path in enumerate(paths)}
    groups: list[ParquetGroup] = []
    for fields, files in _schemas(connection, paths):
        _refuse_repeated(label, Path(files[0]).name, fields)
        group = ParquetGroup(tuple(map(Path, files)), tuple(map(places.__getitem__, files)), _kinds(connection, files))
        _add(groups, group)
    return replace(spool, groups=tuple(map(_in_order, groups)))


def place_of(group: ParquetGroup, spool: Spool) -> str:
    """Return the expression for where a row of a group is in the list of all files."""
    if len(spool.groups) == 1:
        return place_in_parquet()
    return place_in_parquet(f"CAST({list(group.places)} AS BIGINT[])[CAST(file_index AS BIGINT) + 1]")


def read(group: ParquetGroup, *, by_file: bool = False) -> str:
    """Return the files of a group as a relation, the columns of which are what `column` says."""
    relation = parquet_relation([str(file) for file in group.files])
    relation = with_path(relation) if by_file else relation
    if not any(name.lower() in _VIRTUAL for name in group.kinds):
        return relation
    return f"{relation} AS records({', '.join(map(column, group.kinds))})"


def column(name: str) -> str:
    """Return what a column of the files is called in their relation."""
    return identifier(f"\x01{name}" if name.lower() in _VIRTUAL else name)


def _schemas(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> list[tuple[_Fields, list[str]]]:
    """Return the different schemas and the files of each, the one of the first file first."""
    field = "{'name': name, 'children': num_children, 'kind': duckdb_type}"
    found: dict[_Fields, list[str]] = {}
    # the schemas of all files at the same time may not fit into memory
    for start in range(0, len(paths), _FILES_AT_ONCE):
        some = paths[start : start + _FILES_AT_ONCE]
        of_each = (
            f"SELECT file_name, list({field} ORDER BY column_id) AS fields FROM parquet_schema({file_list(some)}) "
            "GROUP BY file_name"
        )
        rows = connection.execute(f"SELECT fields, list(file_name) FROM ({of_each}) GROUP BY fields").fetchall()
        for fields, files in rows:
            key = tuple((str(one["name"]), int(one["children"] or 0), str(one["kind"])) for one in fields)
            found.setdefault(key, []).extend(files)
    places = {path: place for place, path in enumerate(paths)}
    schemas = [(fields, sorted(files, key=places.__getitem__)) for fields, files in found.items()]
    return sorted(schemas, key=lambda schema: places[schema[1][0]])


def _refuse_repeated(label: str, file: str, fields: _Fields) -> None:
    """Refuse a name that two columns of a file have, in whatever case: DuckDB would rename one without a word."""
    seen: dict[str, str] = {}
    for name in _outermost(fields):
        other = seen.get(name.casefold())
        if other is not None:
            what = f"column {name} is repeated" if other == name else f"columns {other} and {name} differ only by case"
            raise BadDataError(f"{label}: {file}: {what}; hint: rename one of them where the file is written")
        seen[name.casefold()] = name


def _outermost(fields: _Fields) -> list[str]:
    """Return the names of the columns of a schema, which has the fields within each behind it."""
    names, within = [], 0
    for name, children, _ in fields[1:]:
        if not within:
            names.append(name)
        within += children - (1 if within else 0)
    return names


def _kinds(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet_relation(files[:1])}").fetchall()
    return {row[0]: row[1] for row in rows}


def _add(groups: list[ParquetGroup], new: ParquetGroup) -> None:
    """Add files to the first group that has none of their columns in another type."""
    for index, group in enumerate(groups):
        if all(_same(group.kinds.get(name, kind), kind) for name, kind in new.kinds.items()):
            files, places = (*group.files, *new.files), (*group.places, *new.places)
            more = {name: kind for name, kind in new.kinds.items() if name not in group.kinds}
            groups[index] = ParquetGroup(files, places, {**group.kinds, **more})
            return
    groups.append(new)


def _same(one: str, other: str) -> bool:
    """Whether DuckDB can read values of both types as those of one, each as it is: integers of at most 64 bits can."""
    kinds = {casting.from_duckdb_type(one), casting.from_duckdb_type(other)}
    return one == other or kinds == {_INTEGER}


def _in_order(group: ParquetGroup) -> ParquetGroup:
    """Return a group with its files in the order of all; that of the columns stays, the first file says it first."""
    order = sorted(range(len(group.files)), key=group.places.__getitem__)
    return ParquetGroup(
        tuple(group.files[index] for index in order), tuple(group.places[index] for index in order), group.kinds
    )
