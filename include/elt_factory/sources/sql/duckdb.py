"""A DuckDB file as a source: opened for reading alone, and with no way to other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
from pyarrow import parquet

from elt_factory.config.errors import near_name
from elt_factory.config.models.values import ColumnType
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.landing.casting import from_duckdb_type
from elt_factory.sources.sql.arrow_road import cuts_by, ends_by, read_by, unknown_table
from elt_factory.sources.sql.cuts import Cuts
from elt_factory.sources.sql.database_url import file_of
from elt_factory.sources.sql.described import Ends, Listed
from elt_factory.sources.sql.model import SILENCE, SqlSource
from elt_factory.sources.sql.origin import Origin, relation_of
from elt_factory.sources.sql.statements import Column, Speech, Sql, quoted

SPEECH = Speech(quoted, "TIMESTAMPTZ", "TIMESTAMP")
_MAIN = "main"
_BATCH_ROWS = 50_000
# whole numbers that may have more digits than a warehouse's, and that Arrow has none for
_HUGE = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM"})


def read(request: ReadRequest, connection: Connection) -> Spool:
    """Read a table or query. See `elt_factory.sources.sql.reader.read`."""
    label = TableLabel.of(request)
    with _spoken(label), _connected(connection, request.project, label) as database:
        relation = relation_of(request, source_of(request, SqlSource))
        if relation.query is None:
            names = [one.name for one in database.catalogue(relation.schema)]
            # the database finds a name in any case
            if relation.table.casefold() not in map(str.casefold, names):
                raise unknown_table(relation, near_name(relation.table, names), label)
        return read_by(database, request, label)


def first_value(connection: Connection, project: Path, query: str, label: TableLabel) -> object:
    """Return the first value of a query's answer. See `elt_factory.sources.sql.reader.first_value`."""
    with _spoken(label), _connected(connection, project, label) as database:
        row = database.one(Sql(query))
    return row[0] if row else None


def catalogue(connection: Connection, project: Path, schema: str | None, label: TableLabel) -> list[Listed]:
    """Return the tables and views of a schema. See `elt_factory.sources.sql.reader.catalogue`."""
    with _spoken(label), _connected(connection, project, label) as database:
        return database.catalogue(schema)


def ends_of(
    connection: Connection,
    project: Path,
    relation: Origin,
    column: str,
    label: TableLabel,
    silence: timedelta = SILENCE,  # noqa: ARG001 - a file is never silent
) -> Ends:
    """Return the least and the greatest value of a column. See `elt_factory.sources.sql.reader.ends_of`."""
    with _spoken(label), _connected(connection, project, label) as database:
        return ends_by(database, relation, column)


def cuts_of(request: ReadRequest, connection: Connection, most: int) -> Cuts:
    """Return values that divide a load by its cursor. See `elt_factory.sources.sql.reader.cuts_of`."""
    label = TableLabel.of(request)
    with _spoken(label), _connected(connection, request.project, label) as database:
        return cuts_by(database, request, most, label)


@contextmanager
def _connected(connection: Connection, project: Path, label: TableLabel) -> Iterator[_DuckDB]:
    file = file_of(connection, project, label, "DuckDB")
    # a query of the config could else read any file of the worker
    with duckdb.connect(str(file), read_only=True, config={"enable_external_access": False}) as opened:
        opened.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        # all statements see one moment
        opened.execute("BEGIN")
        yield _DuckDB(opened)


@contextmanager
def _spoken(label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words."""
    try:
        yield
    except duckdb.Error as error:
        raise label.error(_kind(error), " ".join(str(error).split())) from None


def _kind(error: duckdb.Error) -> type[EltError]:
    if "set lock on file" in str(error).lower():
        return SourceUnavailableError
    damaged = isinstance(error, duckdb.IOException | duckdb.SerializationException)
    return BadDataError if damaged else BadRequestError


@dataclass(frozen=True)
class _DuckDB:
    """An open file; a `Driver`."""

    connection: duckdb.DuckDBPyConnection
    speech: Speech = SPEECH

    def one(self, statement: Sql) -> tuple[object, ...] | None:
        found = self.connection.execute(statement.text, list(statement.values)).fetchall()
        return found[0] if found else None

    def described(self, place: Sql) -> Mapping[str, Column]:
        statement = Sql("DESCRIBE SELECT * FROM ") + place
        found = self.connection.execute(statement.text, list(statement.values)).fetchall()
        return {name: _column(name, kind) for name, kind, *_ in found}

    def copy(self, statement: Sql, columns: Mapping[str, Column], file: Path, progress: Progress) -> int:  # noqa: ARG002
        batches = self.connection.sql(statement.text, params=list(statement.values)).to_arrow_reader(_BATCH_ROWS)
        rows = 0
        with parquet.ParquetWriter(file, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
                progress.seen(rows)
        progress.done(rows)
        return rows

    def catalogue(self, schema: str | None) -> list[Listed]:
        asked = (
            "SELECT t.table_name, t.table_type = 'VIEW', "
            "(SELECT any_value(c.constraint_column_names) FROM duckdb_constraints() c "
            "WHERE c.schema_name = t.table_schema AND c.table_name = t.table_name "
            "AND c.constraint_type = 'PRIMARY KEY') "
            "FROM information_schema.tables t WHERE t.table_schema = ? ORDER BY 2, 1"
        )
        found = self.connection.execute(asked, [schema or _MAIN]).fetchall()
        return [Listed(name, tuple(key or ()), bool(view)) for name, view, key in found]


def _column(name: str, kind: str) -> Column:
    column = quoted(name)
    if kind in _HUGE:
        return Column(f"CAST({column} AS VARCHAR)", ColumnType("decimal", 38, 0))
    found = from_duckdb_type(kind) or ColumnType("text")
    if found.name == "json" and kind != "JSON":
        return Column(f"CAST(to_json({column}) AS VARCHAR)", found)
    # an ENUM is a dictionary for Arrow, an INTERVAL or BIT nothing that is text
    is_text = found.name == "text" and kind != "VARCHAR"
    return Column(f"CAST({column} AS VARCHAR)", found, kind.partition("(")[0]) if is_text else Column(column, found)
