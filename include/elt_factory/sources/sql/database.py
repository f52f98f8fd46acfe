"""Every database that SQLAlchemy reaches, through a plain cursor: SQLite, MySQL, MariaDB and others."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa
from pyarrow import parquet
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from elt_factory.config.errors import near_name
from elt_factory.config.models.table import Incremental
from elt_factory.config.models.templates import Typed
from elt_factory.config.models.values import ColumnType
from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)
from elt_factory.extract.bounds import Bound, bounds, check_cursor, clock_of, is_temporal, wall_clock
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql import moments, mssql, mysql, oracle, sqlite, sqlite_types
from elt_factory.sources.sql.connections import EXTRAS
from elt_factory.sources.sql.cuts import Cuts, check_divisible, cursor_of, walked
from elt_factory.sources.sql.database_types import type_of
from elt_factory.sources.sql.database_url import not_through_silence, url_of
from elt_factory.sources.sql.described import Chosen, Described, Ends, Listed, plain
from elt_factory.sources.sql.hidden import all_columns
from elt_factory.sources.sql.key_range import KeyRange, check_numbers, check_shared_end, has_null_cursors
from elt_factory.sources.sql.model import SILENCE, SqlSource
from elt_factory.sources.sql.origin import Given, Origin, keys_of, only_postgres, relation_of
from elt_factory.sources.sql.values_as_text import as_text

_MYSQL = frozenset({"mysql", "mariadb"})
_MYSQL_REFUSALS = frozenset({1044, 1045, 1142, 1143, 1227, 1698})
# of what a server of MySQL or MariaDB refuses, what it may not refuse later: too busy, out of something, going down,
# a lock, a deadlock, a statement that was ended. All else, by its driver an error of operation too, is the request's
_MYSQL_MAY_HEAL = frozenset(
    {1021, 1030, 1037, 1038, 1040, 1041, 1053, 1077, 1079, 1080, 1129, 1135, 1152, 1158, 1159, 1160, 1161, 1184, 1190}
    | {1194, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1412, 1637, 1836, 1927, 1969, 1970, 3024, 3101, 4031}
)
_FIRST_OF_SERVER = 1000
_OF_CLIENT = range(2000, 3000)  # lost or never there, says the driver itself
_REFUSALS = (mssql.REFUSALS, oracle.REFUSALS)
_MAY_HEAL = (mssql.MAY_HEAL, oracle.MAY_HEAL)
# what drivers make of an option that they do not know, or whose value they cannot use
_UNFIT = (TypeError, ValueError, LookupError, AttributeError)
# what a result says itself of its columns, as its driver hands it out
_DESCRIBED: Mapping[str, Callable[[sa.Connection, sa.FromClause, Chosen], Described]] = {
    **dict.fromkeys(_MYSQL, mysql.described),
    "mssql": mssql.described,
    "oracle": oracle.described,
}
_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def read(request: ReadRequest, connection: Connection) -> Spool:
    """Read a table or query into one Parquet file of text. See `elt_factory.sources.sql.reader.read`."""
    try:
        return _read(request, connection)
    except sqlite.UndecodableError:
        # text that is not UTF-8 is its own trouble: only now is it worth a look at every value
        return _read(request, connection, sqlite.decoded)


def _read(
    request: ReadRequest, connection: Connection, text_factory: Callable[[bytes], str | bytes] | None = None
) -> Spool:
    label = TableLabel.of(request)
    source = source_of(request, SqlSource)
    only_postgres(request, label)
    url = url_of(connection, request.project, label)
    with _spoken(label), _connected(url, source.extract.silence, text_factory) as database:
        deletes = source.tables[request.table].deletes
        moments.begin(database, label, compares_keys=deletes is not None and deletes.compare is not None)
        relation = relation_of(request, source)
        described = _on_its_clock(database, request, relation, _describe(database, relation, label))
        where, null_cursors = _conditions(database, request, described, label)
        types = described.types
        if isinstance(database.dialect, SQLiteDialect):
            # only now is it known that all of its times can be read
            types = sqlite_types.with_cursor_of(database, request, described, label)
        file = request.workdir / "part-00000.parquet"
        progress = Progress(request.log, request.table)
        chosen = [read.expression.label(name) for name, read in described.columns.items()]
        statement = sa.select(*chosen).select_from(described.place).where(*where).limit(request.most_rows)
        rows = _spool(database, statement, described, file, source.extract.fetch_rows, progress)
        keys = _keys(database, request, described, source.extract.fetch_rows, label)
    return Spool("parquet", (file,), rows, types, null_cursors=null_cursors, keys=keys, forms=described.forms)


def _keys(
    database: sa.Connection, request: ReadRequest, described: Described, batch_rows: int, label: TableLabel
) -> Spool | None:
    """Return the keys of all rows; None where no one compares them. Those that are NULL are of no row that is loaded.

    A row that comes or goes while the rows were read is the next load's: only what was loaded before counts as gone.
    """
    names = keys_of(request, described.columns, label)
    if not names:
        return None
    of_keys = replace(described, columns={name: described.columns[name] for name in names})
    chosen = [read.expression.label(name) for name, read in of_keys.columns.items()]
    there = [sa.column(name).is_not(None) for name in names]
    statement = sa.select(*chosen).select_from(described.place).where(*there)
    file = request.workdir / "keys.parquet"
    progress = Progress(request.log, f"keys of {request.table}")
    rows = _spool(database, statement, of_keys, file, batch_rows, progress)
    return Spool("parquet", (file,), rows, {name: kind for name, kind in described.types.items() if name in names})


def catalogue(connection: Connection, project: Path, schema: str | None, label: TableLabel) -> list[Listed]:
    """Return the tables and views of a schema. See `elt_factory.sources.sql.reader.catalogue`."""
    with _spoken(label), _connected(url_of(connection, project, label)) as database:
        inspector = sa.inspect(database)
        keys: dict[str, Any] = {key[1]: found for key, found in inspector.get_multi_pk_constraint(schema).items()}
        tables = [
            Listed(name, tuple((keys.get(name) or {}).get("constrained_columns") or ()))
            for name in sorted(inspector.get_table_names(schema))
        ]
        return [*tables, *(Listed(name, (), is_view=True) for name in sorted(inspector.get_view_names(schema)))]


def ends_of(
    connection: Connection,
    project: Path,
    relation: Origin,
    column: str,
    label: TableLabel,
    silence: timedelta = SILENCE,
) -> Ends:
    """Return the least and the greatest value of a column. See `elt_factory.sources.sql.reader.ends_of`."""
    with _spoken(label), _connected(url_of(connection, project, label), silence) as database:
        place = _place(database, relation)
        value: sa.ColumnElement[Any] = sa.column(column)
        if database.dialect.name in _MYSQL:
            # with all its digits: of a FLOAT the server shows six, which may be less than its value
            (read,) = mysql.described(database, place, value).columns.values()
            value = read.expression
        row = database.execute(sa.select(sa.func.min(value), sa.func.max(value)).select_from(place)).one()
    return as_text(row[0]), as_text(row[1])


def cuts_of(request: ReadRequest, connection: Connection, most: int) -> Cuts:
    """Return values that divide a load by its cursor. See `elt_factory.sources.sql.reader.cuts_of`."""
    label, source = TableLabel.of(request), source_of(request, SqlSource)
    incremental = cursor_of(request)
    with (
        _spoken(label),
        _connected(url_of(connection, request.project, label), source.extract.silence) as database,
    ):
        described = _describe(database, relation_of(request, source), label)
        cursor, types = _in_order(database, incremental, described)
        check_divisible(incremental, types, label)
        column: sa.ColumnClause[Any] = sa.column(incremental.cursor)
        inside = [*_ends(database, request, incremental, described, label), column.is_not(None)]
        found = sa.select(cursor).select_from(described.place).where(*inside).order_by(cursor)

        def value_at(after: object, behind: int) -> object:
            further = found if after is None else found.where(cursor > after)
            return database.execute(further.limit(1).offset(behind)).scalar()

        counted = sa.select(sa.func.count()).select_from(described.place).where(*inside)
        rows = int(database.execute(counted).scalar_one())
        return Cuts(types.get(incremental.cursor), walked(rows, most, value_at))


def _in_order(
    database: sa.Connection, incremental: Incremental, described: Described
) -> tuple[sa.ColumnElement[Any], Mapping[str, ColumnType]]:
    """Return a cursor as its values are put in order, and the types that columns surely have."""
    column: sa.ColumnClause[Any] = sa.column(incremental.cursor)
    if not isinstance(database.dialect, SQLiteDialect):
        return column, described.types
    types = sqlite_types.without_texts(described.types)
    temporal = is_temporal(incremental, types.get(incremental.cursor))
    return sqlite.comparable(column) if temporal else column, types


def first_value(connection: Connection, project: Path, query: str, label: TableLabel) -> object:
    """Return the first value of a query's answer. See `elt_factory.sources.sql.reader.first_value`."""
    with _spoken(label), _connected(url_of(connection, project, label)) as database:
        # a colon in the text would be taken for a parameter
        row = database.execute(sa.text(query.replace(":", r"\:"))).first()
    return row[0] if row else None


@contextmanager
def _connected(
    url: sa.URL, silence: timedelta = SILENCE, text_factory: Callable[[bytes], str | bytes] | None = None
) -> Iterator[sa.Connection]:
    with _opened(not_through_silence(url, silence)) as database:
        if text_factory:
            database.connection.dbapi_connection.text_factory = text_factory  # type: ignore[union-attr]
        if database.dialect.name in _MYSQL:
            database.execute(sa.text(mysql.SESSION.replace(":", r"\:")))
        if database.dialect.name == "oracle":
            oracle.not_through_silence(database, silence)
        yield database


def _opened(url: sa.URL) -> sa.Connection:
    try:
        return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True).connect()
    except _UNFIT as error:
        raise _UnfitOptionsError(" ".join(str(error).split())) from error


class _UnfitOptionsError(Exception):
    """What the connection says next to address and login is not what the driver takes."""


@contextmanager
def _spoken(label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words, without the statement and its address."""
    try:
        yield
    except exc.NoSuchModuleError as error:
        hint = "SQL Server needs SQLAlchemy 2.1" if "mssqlpython" in str(error) else ""
        raise label.error(BadRequestError, f"unknown connection type: {error}", hint) from None
    except ModuleNotFoundError as error:
        extras = ", ".join(sorted({*EXTRAS.values()}))
        hint = f'install it; for {extras} there is an extra each: pip install "elt-factory[mysql]"'
        raise label.error(BadRequestError, f"the driver of this database is not installed: {error}", hint) from None
    except _UnfitOptionsError as error:
        hint = "correct sqlalchemy_query in its extra"
        raise label.error(BadRequestError, f"the driver refuses the options of the connection: {error}", hint) from None
    except exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise label.error(_kind(error), " ".join(str(cause).split())) from None


def _kind(error: exc.SQLAlchemyError) -> type[EltError]:
    cause = getattr(error, "orig", None)
    if type(cause).__module__.startswith("sqlite3"):
        return sqlite.kind_of(str(cause))
    code = next(iter(getattr(cause, "args", ())), None)
    if code in _MYSQL_REFUSALS or any(words.search(str(cause)) for words in _REFUSALS):
        return AccessDeniedError
    if any(words.search(str(cause)) for words in _MAY_HEAL):
        return SourceUnavailableError
    if type(cause).__module__.startswith("pymysql") and isinstance(code, int) and code >= _FIRST_OF_SERVER:
        return SourceUnavailableError if code in _MYSQL_MAY_HEAL or code in _OF_CLIENT else BadRequestError
    down = isinstance(error, exc.OperationalError | exc.InterfaceError)
    return SourceUnavailableError if down else BadRequestError


def _on_its_clock(database: sa.Connection, request: ReadRequest, relation: Origin, described: Described) -> Described:
    """Return what is described, with the instants in a query as the clock of its cursor shows them."""
    incremental = request.source.all_tables[request.table].incremental
    if relation.query is None or incremental is None:
        return described
    kind = described.types.get(incremental.cursor)
    zoned = kind is not None and kind.name == "timestamp"
    return described if zoned else replace(described, place=_place(database, relation, clock_of(request)))


def _describe(database: sa.Connection, relation: Origin, label: TableLabel) -> Described:
    place, dialect = _place(database, relation), database.dialect
    if relation.query is None:
        _check_there(database, relation, label)
    if dialect.name in _DESCRIBED:
        return _DESCRIBED[dialect.name](database, place, all_columns(database, relation, place))
    if isinstance(dialect, SQLiteDialect):
        return sqlite_types.described(database, relation, place)
    if relation.query is None:
        return _described_table(database, relation, place)
    empty: sa.CursorResult[Any] = database.execute(sa.select(sa.literal_column("*")).select_from(place).limit(0))
    return plain(place, list(empty.keys()), {})


def _place(database: sa.Connection, relation: Origin, clock: str = "UTC") -> sa.FromClause:
    if relation.query is None:
        return sa.table(relation.table, schema=relation.schema)
    return _bound(database, relation.query, clock).columns().subquery("q")


def _bound(database: sa.Connection, query: Sequence[str | Given], clock: str) -> sa.TextClause:
    """Return the query with a parameter for each value in it."""
    values = {f"given_{place}": piece.value for place, piece in enumerate(query) if isinstance(piece, Given)}
    # a colon in the text would be taken for a parameter
    pieces = [
        f" :given_{place} " if isinstance(piece, Given) else piece.replace(":", r"\:")
        for place, piece in enumerate(query)
    ]
    values = {name: _on_the_clock(value, clock) for name, value in values.items()}
    as_kept = sqlite.time_text if isinstance(database.dialect, SQLiteDialect) else _as_it_is
    return sa.text("".join(pieces) + "\n").bindparams(**{name: as_kept(value) for name, value in values.items()})


def _on_the_clock(value: Typed, clock: str) -> Typed:
    """Return an instant as the cursor's clock shows it: these databases keep times without a zone."""
    return wall_clock(value, ZoneInfo(clock)) if isinstance(value, datetime) else value


def _as_it_is(value: Typed) -> Typed:
    return value


def _check_there(database: sa.Connection, relation: Origin, label: TableLabel) -> None:
    inspector = sa.inspect(database)
    names = [*inspector.get_table_names(relation.schema), *inspector.get_view_names(relation.schema)]
    # a database may find a name in any case, or by a synonym
    if relation.table not in names and not inspector.has_table(relation.table, relation.schema):
        text = f'unknown table "{relation.table}"'
        raise label.error(BadRequestError, text, near_name(relation.table, names))


def _described_table(database: sa.Connection, relation: Origin, place: sa.FromClause) -> Described:
    columns = sa.inspect(database).get_columns(relation.table, relation.schema)
    found = {column["name"]: type_of(column["type"]) for column in columns}
    return plain(place, list(found), {name: kind for name, kind in found.items() if kind is not None})


def _conditions(
    database: sa.Connection, request: ReadRequest, described: Described, label: TableLabel
) -> tuple[list[sa.ColumnElement[bool]], int | None]:
    """Return what a load reads, and how many rows have no cursor value; None where the table has no cursor."""
    incremental = request.source.all_tables[request.table].incremental
    part = _in_part(request)
    check_numbers(request, described.types, label)
    if incremental is None:
        return part, None
    column: sa.ColumnClause[Any] = sa.column(incremental.cursor)
    ends = _ends(database, request, incremental, described, label)
    counted = sa.select(sa.func.count()).select_from(described.place).where(column.is_(None), *part)
    nulls = int(database.execute(counted).scalar_one()) if has_null_cursors(request) else 0
    return [*part, _with_null(column, ends, request)], nulls


def _ends(
    database: sa.Connection, request: ReadRequest, incremental: Incremental, described: Described, label: TableLabel
) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of the ends of what a load reads by its cursor."""
    check_cursor(incremental, described.columns, described.types, label)
    is_sqlite = isinstance(database.dialect, SQLiteDialect)
    if is_sqlite:
        # text, and what SQLite has no name for, may hold times or numbers
        described = replace(described, types=sqlite_types.without_texts(described.types))
    check_shared_end(request, described.types, label)
    if is_sqlite:
        return _ends_in_sqlite(database, request, incremental, described, label)
    column: sa.ColumnElement[Any] = sa.column(incremental.cursor)
    kind = described.types.get(incremental.cursor)
    read = described.columns[incremental.cursor]
    if database.dialect.name in _MYSQL:
        column = mysql.compared(column, kind)
    return [_condition(column, replace(end, value=read.bound(end.value))) for end in bounds(request, incremental, kind)]


def _in_part(request: ReadRequest) -> list[sa.ColumnElement[bool]]:
    """Return the condition of the rows of one part of a split; none where the table is read whole."""
    found = KeyRange.of(request)
    if found is None:
        return []
    key: sa.ColumnClause[Any] = sa.column(found.key)
    conditions: list[sa.ColumnElement[bool]] = [] if found.start is None else [key >= found.start]
    if found.end is not None:
        # rows without a key are in the first part
        conditions.append(key < found.end if conditions else sa.or_(key < found.end, key.is_(None)))
    return conditions


def _with_null(
    column: sa.ColumnElement[Any], ends: Sequence[sa.ColumnElement[bool]], request: ReadRequest
) -> sa.ColumnElement[bool]:
    """Return the ends, and what happens to rows that are between no ends."""
    inside = sa.and_(column.is_not(None), *ends)
    included = request.source.all_tables[request.table].null_cursor == "include" and has_null_cursors(request)
    return sa.or_(inside, column.is_(None)) if included else inside


def _ends_in_sqlite(
    database: sa.Connection, request: ReadRequest, incremental: Incremental, described: Described, label: TableLabel
) -> list[sa.ColumnElement[bool]]:
    column: sa.ColumnClause[Any] = sa.column(incremental.cursor)
    kind = described.types.get(incremental.cursor)
    ends = bounds(request, incremental, kind)
    if is_temporal(incremental, kind):
        _check_times(database, described.place, column, label)
        # a time with an offset is an instant, whatever the clock of those without
        instants = bounds(request, incremental, ColumnType("timestamp"))
        return [
            _OPERATORS[end.operator](sqlite.comparable(column), sqlite.on_its_clock(column, end.value, instant.value))
            for end, instant in zip(ends, instants, strict=True)
        ]
    return [_OPERATORS[end.operator](_as_landed(column, kind), sqlite.as_number(end.value)) for end in ends]


def _as_landed(column: sa.ColumnElement[Any], kind: ColumnType | None) -> sa.ColumnElement[Any]:
    """Return a cursor of SQLite as it is landed: a text may be a number, and in a column of bytes it is its bytes."""
    if kind is None:
        return sa.cast(column, sa.NUMERIC)
    return sa.cast(column, sa.LargeBinary) if kind.name == "binary" else column


def _check_times(
    database: sa.Connection, place: sa.FromClause, column: sa.ColumnElement[object], label: TableLabel
) -> None:
    """Refuse times that no window would ever find: those rows would be lost and no one would hear."""
    bad = database.execute(sa.select(column).select_from(place).where(sqlite.unreadable(column)).limit(1)).first()
    if bad is not None:
        text = f"the cursor {column} holds {bad[0]!r}, which is not an ISO date or time"
        raise label.error(BadDataError, text, "for a numeric cursor, write initial: 0")


def _condition(left: sa.ColumnElement[Any], bound: Bound) -> sa.ColumnElement[bool]:
    return cast("sa.ColumnElement[bool]", _OPERATORS[bound.operator](left, bound.value))


def _spool(
    database: sa.Connection,
    statement: sa.Select[Any],
    described: Described,
    file: Path,
    batch_rows: int,
    progress: Progress,
) -> int:
    rows = 0
    streamed = statement.execution_options(stream_results=True, max_row_buffer=batch_rows)
    result = database.execute(streamed)
    schema = pa.schema([(name, pa.string()) for name in described.columns])
    writers = [read.as_text for read in described.columns.values()]
    with parquet.ParquetWriter(file, schema) as writer:
        for batch in result.partitions(batch_rows):
            columns = [as_text(values) for as_text, values in zip(writers, zip(*batch, strict=True), strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            rows += len(batch)
            progress.seen(rows)
    progress.done(rows)
    return rows
