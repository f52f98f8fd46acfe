"""The road of databases whose own driver gives Arrow: what is the same of them, whatever the driver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from elt_factory.core.failures import BadRequestError
from elt_factory.extract.bounds import check_cursor, clock_of
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql.cuts import Cuts, check_divisible, cursor_of, walked
from elt_factory.sources.sql.described import Ends
from elt_factory.sources.sql.key_range import check_numbers, check_shared_end, has_null_cursors
from elt_factory.sources.sql.model import SqlSource
from elt_factory.sources.sql.origin import Origin, keys_of, only_postgres, relation_of
from elt_factory.sources.sql.statements import Column, Speech, Sql, in_part, in_window, place_of, selected, where
from elt_factory.sources.sql.values_as_text import as_text


class Driver(Protocol):
    """An open connection to a database."""

    @property
    def speech(self) -> Speech:
        """How it writes SQL."""

    def described(self, place: Sql) -> Mapping[str, Column]:
        """Return the columns of what is read, without reading it."""

    def one(self, statement: Sql) -> tuple[object, ...] | None:
        """Return the first row of an answer; None where it has none."""

    def copy(self, statement: Sql, columns: Mapping[str, Column], file: Path, progress: Progress) -> int:
        """Write the rows of an answer into a Parquet file, and return how many."""


def read_by(driver: Driver, request: ReadRequest, label: TableLabel) -> Spool:
    """Read a table or query. See `elt_factory.sources.sql.reader.read`.

    Rows and keys are statements of their own, each of one moment. The keys come last, so a row that is deleted while
    the rows are read is gone, and one that is inserted meanwhile was never loaded before.
    """
    only_postgres(request, label)
    relation = relation_of(request, source_of(request, SqlSource))
    columns = driver.described(place_of(driver.speech, relation))
    types = {name: column.type for name, column in columns.items()}
    incremental = request.source.all_tables[request.table].incremental
    if incremental:
        check_cursor(incremental, types, types, label)
    place = place_of(driver.speech, relation, _clock(request, types))
    check_numbers(request, types, label)
    check_shared_end(request, types, label)
    conditions = [*in_part(driver.speech, request), *in_window(driver.speech, request, types)]
    statement = selected(columns, place, conditions, request.most_rows)
    null_cursors = _null_cursors(driver, request, place)
    file = request.workdir / "part-00000.parquet"
    rows = driver.copy(statement, columns, file, Progress(request.log, request.table))
    keys = _keys(driver, request, place, {name: columns[name] for name in keys_of(request, types, label)})
    forms = {name: column.form for name, column in columns.items() if column.form}
    return Spool("parquet", (file,), rows, types, null_cursors=null_cursors, keys=keys, forms=forms)


def ends_by(driver: Driver, relation: Origin, column: str) -> Ends:
    """Return the least and the greatest value of a column. See `elt_factory.sources.sql.reader.ends_of`."""
    name = driver.speech.name(column)
    row = driver.one(Sql(f"SELECT min({name}), max({name}) FROM ") + place_of(driver.speech, relation))
    least, greatest = row or (None, None)
    return as_text(least), as_text(greatest)


def cuts_by(driver: Driver, request: ReadRequest, most: int, label: TableLabel) -> Cuts:
    """Return values that divide a load by its cursor. See `elt_factory.sources.sql.reader.cuts_of`."""
    incremental = cursor_of(request)
    place = place_of(driver.speech, relation_of(request, source_of(request, SqlSource)))
    types = {name: column.type for name, column in driver.described(place).items()}
    check_cursor(incremental, types, types, label)
    check_divisible(incremental, types, label)
    check_shared_end(request, types, label)
    name = driver.speech.name(incremental.cursor)
    inside = [*in_window(driver.speech, request, types), Sql(f"{name} IS NOT NULL")]

    def value_at(after: object, behind: int) -> object:
        further = [] if after is None else [Sql(f"{name} > ") + driver.speech.value(after)]
        asked = Sql(f"SELECT {name} FROM ") + place + where([*inside, *further])
        row = driver.one(asked + f" ORDER BY {name} LIMIT 1 OFFSET {behind}")
        return row[0] if row else None

    rows = driver.one(Sql("SELECT count(*) FROM ") + place + where(inside))
    return Cuts(types[incremental.cursor], walked(int(str((rows or (0,))[0])), most, value_at))


def _clock(request: ReadRequest, types: Mapping[str, object]) -> str:
    incremental = request.source.all_tables[request.table].incremental
    zoned = incremental is None or str(types.get(incremental.cursor)) == "timestamp"
    return "UTC" if zoned else clock_of(request)


def _null_cursors(driver: Driver, request: ReadRequest, place: Sql) -> int | None:
    incremental = request.source.all_tables[request.table].incremental
    if incremental is None:
        return None
    if not has_null_cursors(request):
        return 0
    name = driver.speech.name(incremental.cursor)
    empty = [*in_part(driver.speech, request), Sql(f"{name} IS NULL")]
    row = driver.one(Sql("SELECT count(*) FROM ") + place + where(empty))
    return int(str(row[0])) if row else None


def _keys(driver: Driver, request: ReadRequest, place: Sql, columns: Mapping[str, Column]) -> Spool | None:
    """Return the keys of all rows; None where no one compares them."""
    if not columns:
        return None
    there = [Sql(f"{driver.speech.name(name)} IS NOT NULL") for name in columns]
    file, progress = request.workdir / "keys.parquet", Progress(request.log, f"keys of {request.table}")
    rows = driver.copy(selected(columns, place, there), columns, file, progress)
    return Spool("parquet", (file,), rows, {name: column.type for name, column in columns.items()})


def unknown_table(relation: Origin, hint: str, label: TableLabel) -> BadRequestError:
    """Return the error of a table that is not there."""
    return label.error(BadRequestError, f'unknown table "{relation.table}"', hint)
