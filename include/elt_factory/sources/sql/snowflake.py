"""Snowflake as a source, through its own connector: Arrow batches go to the file as they come.

The dialect of SQLAlchemy does not import with SQLAlchemy 2.1, and gives a Python object per value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from elt_factory.config.errors import near_name
from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql.arrow_road import cuts_by, ends_by, read_by, unknown_table
from elt_factory.sources.sql.cuts import Cuts
from elt_factory.sources.sql.described import Ends, Listed
from elt_factory.sources.sql.model import SILENCE, SqlSource
from elt_factory.sources.sql.origin import Origin, decimal_of, relation_of
from elt_factory.sources.sql.statements import Column, Speech, Sql, quoted
from elt_factory.storage.snowflake_errors import Fault, fault_of, raised, said

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

_TAG = "elt-factory: read"
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_DIGITS_OF_INTEGER = 18
_NAMES: Mapping[str, TypeName] = {
    "REAL": "float",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP_NTZ": "datetime",
    "TIMESTAMP_LTZ": "timestamp",
    "TIMESTAMP_TZ": "timestamp",
    "BINARY": "binary",
    **dict.fromkeys(("VARIANT", "OBJECT", "ARRAY", "MAP", "VECTOR"), "json"),
}
# what is selected of a column whose Arrow type is not that of its text
_SELECTED: Mapping[str, str] = {
    **dict.fromkeys(("OBJECT", "ARRAY", "MAP"), "CAST({} AS VARIANT)"),  # one with a structure would be a struct
    "VECTOR": "CAST({} AS ARRAY)",
    **dict.fromkeys(("INTERVAL_YEAR_MONTH", "INTERVAL_DAY_TIME", "FILE"), "TO_VARCHAR({})"),
}
_ARROW: Mapping[TypeName, pa.DataType] = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "json": pa.string(),
    "text": pa.string(),
}
_KINDS: Mapping[Fault, type[EltError]] = {
    Fault.DENIED: AccessDeniedError,
    **dict.fromkeys((Fault.BUSY, Fault.TIMEOUT, Fault.UNAVAILABLE), SourceUnavailableError),
}


def stored(name: str) -> str:
    """Return a name as Snowflake keeps it: one in small letters without odd signs is in capitals there."""
    return name.upper() if _PLAIN.fullmatch(name) else name


def spoken(name: str) -> str:
    """Return a name as configs say it: the inverse of `stored`."""
    return name.lower() if _PLAIN.fullmatch(name.lower()) and name == name.upper() else name


SPEECH = Speech(lambda name: quoted(stored(name)), "TIMESTAMP_TZ", "TIMESTAMP_NTZ")


def read(request: ReadRequest, connection: Connection) -> Spool:
    """Read a table or query. See `elt_factory.sources.sql.reader.read`."""
    label = TableLabel.of(request)
    relation = relation_of(request, source_of(request, SqlSource))
    with _connected(connection, label) as database:
        try:
            with _translated(label):
                return read_by(database, request, label)
        except _NoSuchObjectError as error:
            if relation.query is not None:
                raise label.error(BadRequestError, str(error)) from None
            with _translated(label):
                names = [one.name for one in database.catalogue(relation.schema)]
            raise unknown_table(relation, near_name(relation.table, names), label) from None


def first_value(connection: Connection, project: Path, query: str, label: TableLabel) -> object:  # noqa: ARG001
    """Return the first value of a query's answer. See `elt_factory.sources.sql.reader.first_value`."""
    with _connected(connection, label) as database, _refused(label):
        row = database.one(Sql(query))
    return row[0] if row else None


def catalogue(connection: Connection, project: Path, schema: str | None, label: TableLabel) -> list[Listed]:  # noqa: ARG001
    """Return the tables and views of a schema. See `elt_factory.sources.sql.reader.catalogue`."""
    with _connected(connection, label) as database, _refused(label):
        return database.catalogue(schema)


def ends_of(
    connection: Connection,
    project: Path,  # noqa: ARG001
    relation: Origin,
    column: str,
    label: TableLabel,
    silence: timedelta = SILENCE,  # noqa: ARG001 - its driver has a patience of its own
) -> Ends:
    """Return the least and the greatest value of a column. See `elt_factory.sources.sql.reader.ends_of`."""
    with _connected(connection, label) as database, _refused(label):
        return ends_by(database, relation, column)


def cuts_of(request: ReadRequest, connection: Connection, most: int) -> Cuts:
    """Return values that divide a load by its cursor. See `elt_factory.sources.sql.reader.cuts_of`."""
    label = TableLabel.of(request)
    with _connected(connection, label) as database, _refused(label):
        return cuts_by(database, request, most, label)


class _NoSuchObjectError(Exception):
    """A table, schema or column is not there, or the role may not see it."""


@contextmanager
def _connected(connection: Connection, label: TableLabel) -> Iterator[_Snowflake]:
    with _refused(label):
        opened = _opened(connection, label)
    try:
        yield _Snowflake(opened, connection.schema or None)
    finally:
        with suppress(*raised()):
            opened.close()


def _opened(connection: Connection, label: TableLabel) -> SnowflakeConnection:
    from elt_factory.storage.snowflake import connect

    try:
        return connect(connection, _TAG, paramstyle="qmark", arrow_number_to_decimal=True)
    except AccessDeniedError as error:
        raise label.error(AccessDeniedError, str(error)) from None


@contextmanager
def _translated(label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words; a table that is not there is for others to say."""
    try:
        yield
    except raised() as error:
        fault, text = fault_of(error), said(error, label.secrets)
        if fault is Fault.NO_SUCH_OBJECT:
            raise _NoSuchObjectError(text) from None
        raise label.error(_KINDS.get(fault, BadRequestError), text) from None


@contextmanager
def _refused(label: TableLabel) -> Iterator[None]:
    try:
        with _translated(label):
            yield
    except _NoSuchObjectError as error:
        raise label.error(BadRequestError, str(error)) from None


@dataclass(frozen=True)
class _Snowflake:
    """An open session; a `Driver`."""

    connection: SnowflakeConnection
    schema: str | None
    speech: Speech = SPEECH

    def _run(self, statement: Sql) -> SnowflakeCursor:
        return self.connection.cursor().execute(statement.text, statement.values or None)  # type: ignore[return-value]

    def one(self, statement: Sql) -> tuple[object, ...] | None:
        row: Any = self._run(statement).fetchone()
        return tuple(row) if row else None

    def described(self, place: Sql) -> Mapping[str, Column]:
        statement = Sql("SELECT * FROM ") + place
        found = self.connection.cursor().describe(statement.text, statement.values or None)
        names = Counter(spoken(column.name) for column in found)
        # what differs only by case is for the contract to refuse
        apart = (spoken(column.name) if names[spoken(column.name)] == 1 else column.name for column in found)
        return dict(zip(apart, map(_column, found), strict=True))

    def copy(self, statement: Sql, columns: Mapping[str, Column], file: Path, progress: Progress) -> int:
        schema = pa.schema([(name, _arrow(column.type)) for name, column in columns.items()])
        rows = 0
        with parquet.ParquetWriter(file, schema) as writer:
            for batch in self._run(statement).fetch_arrow_batches(force_microsecond_precision=True):
                writer.write_table(_of_schema(batch, schema))
                rows += batch.num_rows
                progress.seen(rows)
        progress.done(rows)
        return rows

    def catalogue(self, schema: str | None) -> list[Listed]:
        meant = stored(schema or self.schema or "PUBLIC")
        asked = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = ? ORDER BY 1"
        found: Any = self._run(Sql(asked, (meant,))).fetchall()
        keys = self._keys(meant)
        tables = [Listed(spoken(name), keys.get(name, ())) for name, kind in found if "VIEW" not in kind]
        return [*tables, *(Listed(spoken(name), (), is_view=True) for name, kind in found if "VIEW" in kind)]

    def _keys(self, schema: str) -> dict[str, tuple[str, ...]]:
        cursor = self._run(Sql(f"SHOW PRIMARY KEYS IN SCHEMA {quoted(schema)}"))
        names = [column.name.lower() for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        keys: dict[str, tuple[str, ...]] = {}
        for row in sorted(rows, key=lambda row: int(row["key_sequence"])):
            table = str(row["table_name"])
            keys[table] = (*keys.get(table, ()), spoken(str(row["column_name"])))
        return keys


def _column(described: Any) -> Column:
    """Return a column by what the connector says of it: the number of its type, and the digits of a number."""
    from snowflake.connector.constants import FIELD_TYPES

    code = described.type_code
    kind = FIELD_TYPES[code].name if code < len(FIELD_TYPES) else ""
    name = quoted(described.name)
    selected = _SELECTED.get(kind, "{}" if kind else "TO_VARCHAR({})").format(name)
    return Column(selected, _type(kind, described.precision, described.scale))


def _type(kind: str, precision: int | None, scale: int | None) -> ColumnType:
    if kind != "FIXED":
        return ColumnType(_NAMES.get(kind, "text"))
    digits, after = precision or 0, scale or 0
    return ColumnType("integer") if after == 0 and 1 <= digits <= _DIGITS_OF_INTEGER else decimal_of(digits, after)


def _arrow(kind: ColumnType) -> pa.DataType:
    return pa.decimal128(kind.precision, kind.scale) if kind.name == "decimal" else _ARROW[kind.name]


def _of_schema(batch: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a batch in the types of its columns: each batch comes in the narrowest numbers that hold it."""
    # Arrow counts nanoseconds of a day, and of them the microseconds are kept, as everywhere
    cut = pc.CastOptions.unsafe
    columns = [
        column.cast(options=cut(field.type)) if pa.types.is_time(field.type) else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
