"""The rows of a landing that another table of the same run is read with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.errors import near_name
from elt_factory.config.models.deletes import DELETED_AT
from elt_factory.core.failures import BadRequestError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier, text_literal
from elt_factory.core.window import iso_utc
from elt_factory.landing import memory
from elt_factory.landing.casting import bound_text, duckdb_type
from elt_factory.landing.checksums import proven
from elt_factory.landing.manifest import LandedColumn, Manifest
from elt_factory.landing.places import Place
from elt_factory.landing.scratch import confine

if TYPE_CHECKING:
    import duckdb

_AT_ONCE = 10_000
_NUMBERS = ("integer", "decimal", "boolean", "json")
_REWRITTEN = ("timestamp", "datetime", "float")  # types that keep what a text means, and not how it was written
_NO_MICROSECONDS = r"(\.\d{3})000(Z?)$"
_EXACT = 10**15  # of larger floats the digits say no more


@dataclass(frozen=True)
class Keys:
    """Rows to ask with: a file with an object a line, how many, and how many rows lack a value.

    `rewritten` are columns whose text is no longer known: their type keeps what it means.
    """

    file: Path
    count: int
    left_out: int = 0
    rewritten: tuple[str, ...] = ()


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
        rows = f"({_rows_of(manifest, folder)})"
        empty = " OR ".join(map(_is_empty, wanted))
        left_out = connection.execute(f"SELECT count(*) FROM {rows} WHERE {empty}").fetchall()[0][0]
        limit = f" LIMIT {most}" if most is not None else ""
        query = f"SELECT DISTINCT {_line(wanted)} AS line FROM {rows} WHERE NOT ({empty}) ORDER BY line{limit}"
        rewritten = tuple(column.name for column in wanted if column.column_type.name in _REWRITTEN)
        return Keys(file, write_lines(file, _lines(connection, query)), left_out, rewritten)


def keys_of_landings(
    landings: Mapping[str, tuple[Place, Manifest]],
    query: str | None,
    columns: Sequence[str],
    workdir: Path,
    most: int | None = None,
) -> Keys:
    """Write the rows of a landing, or those of a query over several by their tables' names, as `landed_keys` does.

    Raises:
        BadRequestError: the query cannot be run, or has no such column.
        LandingError: a file is missing or has changed.
    """
    if query is None:
        ((place, manifest),) = landings.values()
        return landed_keys(place, manifest, columns, workdir, most)
    import duckdb

    with ExitStack() as stack:
        connection = stack.enter_context(duckdb.connect(str(workdir / "keys.duckdb")))
        connection.execute("SET TimeZone = 'UTC'")
        memory.set_limit(connection)
        folders = []
        for name, (place, manifest) in landings.items():
            folders.append(stack.enter_context(proven(place, manifest.files)))
            connection.execute(f"CREATE VIEW {identifier(name)} AS {_rows_of(manifest, folders[-1])}")
        confine(connection, folders)
        connection.execute("SET lock_configuration = true")
        try:
            rows, left_out = _distinct(connection, query, columns, most)
            return Keys(workdir / "keys.ndjson", write_lines(workdir / "keys.ndjson", rows), left_out)
        except duckdb.Error as error:
            empty = [name for name, (_, manifest) in landings.items() if not manifest.columns]
            hint = f"; hint: {empty[0]} has no rows yet: declare its columns" if empty else ""
            raise BadRequestError(f"the query of for_each: {str(error).splitlines()[0]}{hint}") from None


def _rows_of(manifest: Manifest, folder: Path) -> str:
    """SELECT of the rows of a landing, each column in its type, also where there are none.

    Those that do not meet `where` are landed for their keys alone.
    """
    if manifest.files:
        parts = file_list([str(folder / part.path) for part in manifest.files])
        marked = any(column.name == DELETED_AT for column in manifest.columns)
        there = f" WHERE {identifier(DELETED_AT)} IS NULL" if marked else ""
        return f"SELECT * FROM read_parquet({parts}, {LITERAL_PATHS}, union_by_name = true){there}"
    columns = [
        f"CAST(NULL AS {duckdb_type(column.column_type)}) AS {identifier(column.name)}" for column in manifest.columns
    ]
    return f"SELECT {', '.join(columns) or 'NULL'} WHERE FALSE"


def _distinct(
    connection: duckdb.DuckDBPyConnection, query: str, columns: Sequence[str], most: int | None
) -> tuple[Iterator[str], int]:
    """Return the rows of a query as lines, each once in an order that does not change; how many lack a value."""
    described = connection.execute(f"DESCRIBE ({query}\n)").fetchall()
    found = {str(row[0]).casefold(): str(row[0]) for row in described}
    missing = next((name for name in columns if name.casefold() not in found), None)
    if missing:
        raise BadRequestError(f'the query of for_each has no column "{missing}"; hint: {near_name(missing, found)}')
    wanted = ", ".join(f"{identifier(found[name.casefold()])} AS {identifier(name)}" for name in columns)
    empty = " OR ".join(f"coalesce(CAST({identifier(name)} AS VARCHAR), '') = ''" for name in columns)
    chosen = f"(SELECT {wanted} FROM ({query}\n))"
    left_out = int(connection.execute(f"SELECT count(*) FROM {chosen} WHERE {empty}").fetchall()[0][0])
    limit = f" LIMIT {most}" if most is not None else ""
    rows = connection.execute(f"SELECT DISTINCT * FROM {chosen} WHERE NOT ({empty}) ORDER BY ALL{limit}")
    return _as_lines(rows, columns), left_out


def _as_lines(rows: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Iterator[str]:
    while some := rows.fetchmany(_AT_ONCE):
        for row in some:
            yield _object(dict(zip(columns, row, strict=True)))


def _object(values: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{_text(name)}:{_value(value)}" for name, value in values.items()) + "}"


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
            complete.add(_object(values))
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
        case float() if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        case bool() | int() | float():
            return json.dumps(value)
        case Decimal():
            return format(value, "f")
        case datetime() if value.tzinfo:
            return _text(re.sub(_NO_MICROSECONDS, r"\1\2", iso_utc(value)))
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
    if kind.name in ("timestamp", "datetime"):
        text = _shortest(text)
    quoted = f"CAST(to_json({text}) AS VARCHAR)"
    if kind.name != "float":
        return quoted
    shortest = f"regexp_replace({text}, '\\.0$', '')"
    whole = f"CASE WHEN {name} = 0 THEN '0' WHEN abs({name}) < {_EXACT} THEN {shortest} ELSE {text} END"
    return f"CASE WHEN isfinite({name}) THEN {whole} ELSE {quoted} END"


def _shortest(text: str) -> str:
    """Return SQL of a time as most APIs write it: to the second or, where that is not exact, to the millisecond."""
    without = f"regexp_replace({text}, '\\.000000(Z?)$', '\\1')"
    return f"regexp_replace({without}, {text_literal(_NO_MICROSECONDS)}, '\\1\\2')"


def _is_empty(column: LandedColumn) -> str:
    # an empty text among values of other types is a text of JSON
    none = "('', '\"\"', 'null')" if column.column_type.name == "json" else "('')"
    return f"coalesce(CAST({identifier(column.name)} AS VARCHAR), '') IN {none}"


def _lines(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    found = connection.execute(query)
    while rows := found.fetchmany(_AT_ONCE):
        yield from (row[0] for row in rows)
