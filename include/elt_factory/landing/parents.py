"""The rows of a landing that another table of the same run is read with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import near_name
from elt_factory.core.failures import BadRequestError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, text_literal
from elt_factory.core.window import iso_utc
from elt_factory.landing import memory
from elt_factory.landing.casting import bound_text
from elt_factory.landing.checksums import proven
from elt_factory.landing.manifest import LandedColumn, Manifest
from elt_factory.landing.places import Place

if TYPE_CHECKING:
    import duckdb

_AT_ONCE = 10_000
_NUMBERS = ("integer", "decimal", "boolean", "json")


@dataclass(frozen=True)
class Keys:
    """Rows to ask with: a file with an object a line, how many, and how many rows lack a value."""

    file: Path
    count: int
    left_out: int = 0


def landed_keys(
    place: Place, manifest: Manifest, columns: Sequence[str], workdir: Path, most: int | None = None
) -> Keys:
    """Write the values of some columns of a landing, each combination once, in an order that does not change.

    A row without a value in one of them cannot be asked for: it is left out and counted.

    Raises:
        BadRequestError: the landing has no such column.
        LandingError: a file of it is missing or has changed.
    """
    file = workdir / "keys.ndjson"
    if not manifest.files:
        file.write_bytes(b"")
        return Keys(file, 0)
    wanted = [_column(manifest, name) for name in columns]
    import duckdb

    with proven(place, manifest.files) as folder, duckdb.connect(str(workdir / "keys.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        memory.set_limit(connection)
        parts = file_list([str(folder / part.path) for part in manifest.files])
        rows = f"read_parquet({parts}, {LITERAL_PATHS}, union_by_name = true)"
        empty = " OR ".join(f"coalesce(CAST({identifier(column.name)} AS VARCHAR), '') = ''" for column in wanted)
        left_out = connection.execute(f"SELECT count(*) FROM {rows} WHERE {empty}").fetchall()[0][0]
        limit = f" LIMIT {most}" if most is not None else ""
        query = f"SELECT DISTINCT {_line(wanted)} AS line FROM {rows} WHERE NOT ({empty}) ORDER BY line{limit}"
        return Keys(file, write_lines(file, _lines(connection, query)), left_out)


def queried_keys(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], workdir: Path) -> Keys:
    """Write some columns of a query's rows, as `landed_keys` does.

    Raises:
        BadRequestError: the query has no such column.
    """
    file = workdir / "keys.ndjson"
    complete, left_out = set[str](), 0
    for row in rows:
        # a warehouse may write names in capitals
        found = {name.casefold(): value for name, value in row.items()}
        missing = next((name for name in columns if name.casefold() not in found), None)
        if missing:
            hint = near_name(missing, found)
            raise BadRequestError(f'the query of for_each has no column "{missing}"; hint: {hint}')
        values = {name: found[name.casefold()] for name in columns}
        if any(value is None or value == "" for value in values.values()):
            left_out += 1
        else:
            complete.add("{" + ",".join(f"{_text(name)}:{_value(value)}" for name, value in values.items()) + "}")
    return Keys(file, write_lines(file, sorted(complete)), left_out)


def write_lines(file: Path, lines: Iterable[str]) -> int:
    """Write a text a line, and return how many."""
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(line + "\n")
            count += 1
    return count


def _value(value: Any) -> str:
    """Return a value of a warehouse as JSON: numbers with all their digits, times in ISO 8601."""
    match value:
        case bool() | int() | float():
            return json.dumps(value)
        case Decimal():
            return format(value, "f")
        case datetime() if value.tzinfo:
            return _text(iso_utc(value))
    return _text(str(value))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _column(manifest: Manifest, name: str) -> LandedColumn:
    found = {column.name.casefold(): column for column in manifest.columns}
    if name.casefold() not in found:
        hint = near_name(name, [column.name for column in manifest.columns])
        raise BadRequestError(f'{manifest.source}.{manifest.table} has no column "{name}" to ask with; hint: {hint}')
    return LandedColumn(name, found[name.casefold()].type)


def _line(columns: Sequence[LandedColumn]) -> str:
    """Return SQL of an object in JSON: numbers with all their digits, times in ISO 8601."""
    fields = (f"{text_literal(f'{_text(column.name)}:')}, {_json(column)}" for column in columns)
    return "concat('{', " + ", ',', ".join(fields) + ", '}')"


def _json(column: LandedColumn) -> str:
    name, kind = identifier(column.name), column.column_type
    text = bound_text(name, kind)
    if kind.name in _NUMBERS:
        return text
    quoted = f"CAST(to_json({text}) AS VARCHAR)"
    return f"CASE WHEN isfinite({name}) THEN {text} ELSE {quoted} END" if kind.name == "float" else quoted


def _lines(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    found = connection.execute(query)
    while rows := found.fetchmany(_AT_ONCE):
        yield from (row[0] for row in rows)
