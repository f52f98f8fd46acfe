"""PostgreSQL, through COPY: the server writes CSV and its bytes go to the file as they come."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from elt_factory.config.errors import near_name
from elt_factory.config.models.values import ColumnType, TypeName
from elt_factory.core.connection import Connection
from elt_factory.core.extras import needs
from elt_factory.core.failures import AccessDeniedError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.extract.bounds import bounds, check_cursor, clock_of, is_temporal
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.parts import all_parts
from elt_factory.extract.progress import Progress
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.sql import late_commits
from elt_factory.sources.sql.cuts import Cuts, check_divisible, cursor_of, walked
from elt_factory.sources.sql.described import Ends, Listed
from elt_factory.sources.sql.key_range import KeyRange, check_numbers, check_shared_end, has_null_cursors
from elt_factory.sources.sql.model import SILENCE, SqlSource
from elt_factory.sources.sql.origin import Given, Origin, decimal_of, keys_of, relation_of
from elt_factory.sources.sql.postgres_silence import KEEPALIVES, Impatient

with needs("postgres", "a connection of type postgres"):
    import psycopg
    from psycopg import errors, pq, sql

from elt_factory.sources.sql.postgres_copy import Copied, copied
from elt_factory.sources.sql.postgres_parts import both, in_part, ranges_of, value_behind, whole_key

if TYPE_CHECKING:
    Database = psycopg.Connection[tuple[object, ...]]

_NUMERIC, _BYTEA, _BOOLEAN, _MONEY = 1700, 17, 16, 790
# what has a collation; and what is compared by its bytes in any case: "char", name, uuid
_COLLATED, _IN_BYTES = (25, 1042, 1043), (18, 19, 2950)
_PLAIN_TEXTS = (18, 19, 25, 1043)  # "char", name, text, varchar of any length
_MONEY_TYPE = ColumnType("decimal", 19, 2)
_TYPES: Mapping[int, TypeName] = {
    _BOOLEAN: "boolean",
    _BYTEA: "binary",
    20: "integer",
    21: "integer",
    23: "integer",
    26: "integer",
    700: "float",
    701: "float",
    114: "json",
    3802: "json",
    1082: "date",
    1083: "time",
    1114: "datetime",
    1184: "timestamp",
}
# the text of a value must not depend on how a server or role is set up
_SESSION = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'iso_8601'; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL idle_in_transaction_session_timeout = 0"
)
_CONNECT_SECONDS = 30
_CANCEL_SECONDS = 5.0
# 72: a snapshot that is too old
_MAY_HEAL = frozenset({"08", "40", "53", "55", "57", "58", "72", "XX"})
_REFUSED = re.compile(r"authentication|no password supplied|role .* does not exist|pg_hba\.conf|permission denied")


def read(request: ReadRequest, connection: Connection) -> Spool:
    """Read a table or query into one CSV file. See `elt_factory.sources.sql.reader.read`."""
    label = TableLabel.of(request)
    source = source_of(request, SqlSource)
    relation = relation_of(request, source)
    file = request.workdir / "part-00000.csv"
    with _spoken(label), _connected(connection, source.extract.silence) as database:
        columns = _columns(database, relation, label)
        nested = _nested(database, [column.type_code for column in columns])
        types = {column.name: _type(column, nested) for column in columns}
        cursor = _compared(database, request, columns, types, label)
        settled = _settled(database, relation, request, types, cursor)
        check_numbers(request, types, label)
        check_shared_end(request, types, label)
        part = in_part(KeyRange.of(request))
        null_cursors = _null_cursors(database, relation, request, part)
        where = both(_where(request, types, cursor, settled), part)
        known = Spool(
            "csv", (), 0, types, headers=(tuple(types),), integers=_integers(columns), forms=_forms(columns, types)
        )
        if request.growing is not None:
            request.growing.described = known
        if source.tables[request.table].partitions > 1 and request.most_rows is None:
            parted = _Parted(connection, source.extract.silence, request, _clock(request, relation, types))
            key = whole_key(request, types, label)
            parts = ranges_of(database, _from(relation), key, source.tables[request.table].partitions)
            statements = [_select(relation, columns, nested, both(where, part)) for part in parts]
            files, found = _copy_parts(database, parted, statements)
        else:
            statement = _select(relation, columns, nested, where)
            if request.most_rows is not None:
                statement += sql.SQL(" LIMIT {}").format(request.most_rows)
            progress = Progress(request.log, request.table)
            files, found = (file,), copied(database, statement, file, progress, request.growing)
        key_columns = [column for column in columns if column.name in keys_of(request, types, label)]
        keys = _keys(database, request, relation, key_columns, nested)
    spool = replace(known, files=files, rows_read=found.rows, longest=found.longest, headers=None)
    return replace(spool, null_cursors=null_cursors, keys=keys)


@dataclass(frozen=True)
class _Parted:
    """A read in parts, each by a connection of its own; `clock` as in `_set_up`."""

    connection: Connection
    silence: timedelta
    request: ReadRequest
    clock: str


def _copy_parts(
    database: Database, parted: _Parted, statements: Sequence[sql.Composable]
) -> tuple[tuple[Path, ...], Copied]:
    """Copy each part by a connection of its own; all see what the first one sees."""
    request = parted.request
    snapshot = str(cast("tuple[object]", database.execute("SELECT pg_export_snapshot()").fetchone())[0])
    files = tuple(request.workdir / f"part-{number:05}.csv" for number in range(len(statements)))
    opened: list[Database] = []

    def copy(number: int) -> Copied:
        progress = Progress(request.log, f"{request.table}, part {number + 1} of {len(statements)}")
        with _connected(parted.connection, parted.silence, snapshot) as other:
            opened.append(other)
            _set_up(other, parted.clock)
            return copied(other, statements[number], files[number], progress, request.growing)

    def stop() -> None:
        for other in opened:
            with suppress(psycopg.Error):
                other.cancel_safe(timeout=_CANCEL_SECONDS)

    found = all_parts(len(statements), copy, stop)
    return files, Copied(sum(part.rows for part in found), max(part.longest for part in found))


def _keys(
    database: Database,
    request: ReadRequest,
    relation: Origin,
    columns: Sequence[psycopg.Column],
    nested: frozenset[int],
) -> Spool | None:
    """Return the keys of all rows, of the moment at which the rows were read; None where no one compares them."""
    if not columns:
        return None
    there = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(c.name)) for c in columns)
    statement = _select(relation, columns, nested, sql.SQL(" WHERE {}").format(there))
    file = request.workdir / "keys.csv"
    found = copied(database, statement, file, Progress(request.log, f"keys of {request.table}"))
    types = {column.name: _type(column, nested) for column in columns}
    return Spool("csv", (file,), found.rows, types, longest=found.longest, integers=_integers(columns))


_CATALOGUE = (
    "SELECT c.relname, c.relkind IN ('v', 'm'), ARRAY(SELECT a.attname::text FROM pg_index i "
    "CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(number, place) "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    # a partition's rows are its table's
    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND CASE WHEN %(schema)s::text IS NULL "
    "THEN n.nspname NOT IN ('pg_catalog', 'information_schema') AND pg_table_is_visible(c.oid) "
    "ELSE n.nspname = %(schema)s END ORDER BY 2, 1"
)


def catalogue(connection: Connection, project: Path, schema: str | None, label: TableLabel) -> list[Listed]:  # noqa: ARG001
    """Return the tables and views of a schema. See `elt_factory.sources.sql.reader.catalogue`."""
    with _spoken(label), _connected(connection) as database:
        rows = database.execute(_CATALOGUE, {"schema": schema}).fetchall()
    return [Listed(str(name), tuple(cast("list[str]", key)), bool(view)) for name, view, key in rows]


def ends_of(
    connection: Connection,
    project: Path,  # noqa: ARG001
    relation: Origin,
    column: str,
    label: TableLabel,
    silence: timedelta = SILENCE,
) -> Ends:
    """Return the least and the greatest value of a column. See `elt_factory.sources.sql.reader.ends_of`."""
    query = sql.SQL("SELECT min({0})::text, max({0})::text FROM {1}").format(sql.Identifier(column), _from(relation))
    with _spoken(label), _connected(connection, silence) as database:
        row = database.execute(query).fetchone()
    least, greatest = cast("Ends", row)
    return least, greatest


def cuts_of(request: ReadRequest, connection: Connection, most: int) -> Cuts:
    """Return values that divide a load by its cursor. See `elt_factory.sources.sql.reader.cuts_of`."""
    label, source = TableLabel.of(request), source_of(request, SqlSource)
    relation, incremental = relation_of(request, source), cursor_of(request)
    with _spoken(label), _connected(connection, source.extract.silence) as database:
        columns = _columns(database, relation, label)
        types = {column.name: _type(column, frozenset()) for column in columns}
        cursor = _compared(database, request, columns, types, label)
        check_divisible(incremental, types, label)
        check_shared_end(request, types, label)
        there = sql.SQL("{} IS NOT NULL").format(sql.Identifier(incremental.cursor))
        inside = both(_where(request, types, cursor, sql.SQL("TRUE")), there)
        row = database.execute(sql.SQL("SELECT count(*) FROM {}{}").format(_from(relation), inside)).fetchone()
        rows = int(str(row[0])) if row else 0
        value_at = partial(value_behind, database, _from(relation), incremental.cursor, inside)
        return Cuts(types[incremental.cursor], walked(rows, most, value_at))


def first_value(connection: Connection, project: Path, query: str, label: TableLabel) -> object:  # noqa: ARG001
    """Return the first value of a query's answer. See `elt_factory.sources.sql.reader.first_value`."""
    with _spoken(label), _connected(connection) as database:
        row = database.execute(query.encode()).fetchone()
    return row[0] if row else None


@contextmanager
def _connected(connection: Connection, silence: timedelta = SILENCE, snapshot: str = "") -> Iterator[Database]:
    """Provide a connection; with the snapshot of another one it sees what that one sees."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    options = {name: value for name, value in connection.extra.items() if name in known}
    named = {
        "host": connection.host,
        "port": connection.port,
        "dbname": connection.schema,
        "user": connection.login,
        "password": connection.password,
    }
    options |= {name: value for name, value in named.items() if value}
    options = {"connect_timeout": _CONNECT_SECONDS, **KEEPALIVES, **options, "client_encoding": "utf8"}
    with Impatient.connect(**options) as database:
        database.silence = silence.total_seconds()
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        database.read_only = True
        if snapshot:
            database.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        _set_up(database)
        yield database


@contextmanager
def _spoken(label: TableLabel) -> Iterator[None]:
    """Say what went wrong in our words; the driver's own error holds the connection with its password."""
    try:
        yield
    except psycopg.Error as error:
        kind, text = _kind(error), " ".join(str(error).split())
        hint = "check login, password and privileges of the connection" if kind is AccessDeniedError else ""
        raise label.error(kind, text, hint) from None


def _kind(error: psycopg.Error) -> type[EltError]:
    state = error.sqlstate
    if state is None:
        # the server's refusal of a connection comes as text alone
        text = str(error)
        if _REFUSED.search(text):
            return AccessDeniedError
        unknown_database = "database" in text and "does not exist" in text
        usable = isinstance(error, psycopg.OperationalError) and not unknown_database
        return SourceUnavailableError if usable else BadRequestError
    if state.startswith("28") or state == errors.InsufficientPrivilege.sqlstate:
        return AccessDeniedError
    return SourceUnavailableError if state[:2] in _MAY_HEAL else BadRequestError


def _columns(database: Database, relation: Origin, label: TableLabel) -> Sequence[psycopg.Column]:
    """Return the columns that a SELECT of everything has, known without a row."""
    try:
        cursor = database.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(_from(relation)))
    except errors.UndefinedTable as error:
        if relation.query:
            raise
        database.rollback()
        raise label.error(BadRequestError, str(error).splitlines()[0], _near_table(database, relation)) from None
    return cursor.description or []


def _near_table(database: Database, relation: Origin) -> str:
    if relation.schema:
        rows = database.execute("SELECT nspname FROM pg_namespace").fetchall()
        schemas = [str(name) for (name,) in rows if not str(name).startswith("pg_")]
        if relation.schema not in schemas:
            return near_name(relation.schema, schemas)
    names = database.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND CASE WHEN %(schema)s::text IS NULL "
        "THEN n.nspname <> 'pg_catalog' AND pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END",
        {"schema": relation.schema},
    ).fetchall()
    return near_name(relation.table, [str(name) for (name,) in names])


def _nested(database: Database, codes: Sequence[int]) -> frozenset[int]:
    """Those of the types that are arrays, rows, or pairs of keys and values: JSON says them best."""
    found = database.execute(
        "SELECT oid FROM pg_type WHERE (typcategory = 'A' OR typtype = 'c' OR typname = 'hstore') AND oid = ANY(%s)",
        [list(codes)],
    )
    return frozenset(int(str(code)) for (code,) in found)


def _type(column: psycopg.Column, nested: frozenset[int]) -> ColumnType:
    if column.type_code == _NUMERIC:
        return decimal_of(column.precision or 0, column.scale or 0)
    if column.type_code == _MONEY:
        return _MONEY_TYPE
    return ColumnType("json" if column.type_code in nested else _TYPES.get(column.type_code, "text"))


def _forms(columns: Sequence[psycopg.Column], types: Mapping[str, ColumnType]) -> Mapping[str, str]:
    """Return how columns that are text are written: `char(6)` with blanks behind it, `uuid` with its dashes."""
    texts = [column for column in columns if types[column.name].name == "text" and column.type_code not in _PLAIN_TEXTS]
    forms = {column.name: column.type_display.replace("bpchar", "char") for column in texts}
    # enums and citext have a number for a name, which is another one after a restore
    return {name: form for name, form in forms.items() if not form.rstrip("[]").isdigit()}


def _integers(columns: Sequence[psycopg.Column]) -> frozenset[str]:
    """Return the columns whose texts are integers, as the server writes them whatever it is set up like."""
    return frozenset(column.name for column in columns if _TYPES.get(column.type_code) == "integer")


def _compared(
    database: Database,
    request: ReadRequest,
    columns: Sequence[psycopg.Column],
    types: Mapping[str, ColumnType],
    label: TableLabel,
) -> sql.Composable:
    """Return the cursor as it is compared: a text by its bytes, as warehouses do, whatever its collation.

    Raises:
        BadRequestError: there is no such column, or it is text in the warehouse and has another order there.
    """
    incremental = request.source.all_tables[request.table].incremental
    if incremental is None:
        return sql.SQL("NULL")
    check_cursor(incremental, types, types, label)
    name = incremental.cursor
    code = next(column.type_code for column in columns if column.name == name)
    if types[name].name == "text" and code not in (*_COLLATED, *_IN_BYTES):
        row = database.execute("SELECT format_type(%s::oid, NULL)", [code]).fetchone()
        text = f"the cursor {name} is {row[0] if row else code}, whose order is not that of its text"
        raise label.error(BadRequestError, text, "cast it in a query to a number, a time or a text that grows")
    return sql.SQL('{} COLLATE "C"' if code in _COLLATED else "{}").format(sql.Identifier(name))


def _where(
    request: ReadRequest, types: Mapping[str, ColumnType], cursor: sql.Composable, highest: sql.Composable
) -> sql.Composable:
    """Return the condition of the rows that a load reads, up to the highest value that was settled before."""
    table = request.source.all_tables[request.table]
    if table.incremental is None:
        return sql.SQL("")
    name = sql.Identifier(table.incremental.cursor)
    ends = [
        sql.SQL("{} {} {}").format(cursor, sql.SQL(end.operator), sql.Literal(end.value))
        for end in bounds(request, table.incremental, types[table.incremental.cursor])
    ]
    inside = sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(name), *ends, highest])
    includes = table.null_cursor == "include" and has_null_cursors(request)
    null = sql.SQL(" OR {} IS NULL").format(name) if includes else sql.SQL("")
    return sql.SQL(" WHERE (({}){})").format(inside, null)


def _settled(
    database: Database, relation: Origin, request: ReadRequest, types: Mapping[str, ColumnType], cursor: sql.Composable
) -> sql.Composable:
    """Wait for who is writing; the condition of what is settled then. See `elt_factory.sources.sql.late_commits`."""
    incremental = request.source.all_tables[request.table].incremental
    if incremental is None:
        return sql.SQL("TRUE")
    clock = _clock(request, relation, types)
    _set_up(database, clock)
    if incremental.late_commits == "ignore":
        return sql.SQL("TRUE")
    temporal = is_temporal(incremental, types[incremental.cursor])
    limit = None if temporal else late_commits.highest(database, _from(relation), cursor)
    name = None if relation.query else _from(relation).as_string(database)
    late_commits.wait_for_writers(database, name, TableLabel.of(request), request.log)
    # what comes next is read at a new moment
    database.rollback()
    _set_up(database, clock)
    if temporal:
        return sql.SQL("TRUE")
    if limit is None:
        return sql.SQL("FALSE")
    return sql.SQL("{} <= {}").format(cursor, sql.Literal(limit))


def _set_up(database: Database, clock: str = "UTC") -> None:
    database.execute(_SESSION)
    database.execute("SELECT set_config('timezone', %s, true)", [clock])


def _clock(request: ReadRequest, relation: Origin, types: Mapping[str, ColumnType]) -> str:
    """Return the zone in which the server compares a query's templates, which are instants.

    It applies to a cursor without a zone.
    """
    incremental = request.source.all_tables[request.table].incremental
    zoneless = incremental is not None and types[incremental.cursor].name in ("datetime", "date")
    return clock_of(request) if relation.query and zoneless else "UTC"


def _null_cursors(database: Database, relation: Origin, request: ReadRequest, part: sql.Composable) -> int | None:
    incremental = request.source.all_tables[request.table].incremental
    if incremental is None:
        return None
    if not has_null_cursors(request):
        return 0
    empty = both(sql.SQL(" WHERE {} IS NULL").format(sql.Identifier(incremental.cursor)), part)
    row = database.execute(sql.SQL("SELECT count(*) FROM {}{}").format(_from(relation), empty)).fetchone()
    return int(str(row[0])) if row else None


def _select(
    relation: Origin, columns: Sequence[psycopg.Column], nested: frozenset[int], where: sql.Composable
) -> sql.Composed:
    items = sql.SQL(", ").join(_item(column, nested) for column in columns)
    return sql.SQL("SELECT {} FROM {}{}").format(items, _from(relation), where)


def _item(column: psycopg.Column, nested: frozenset[int]) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type_code == _BYTEA:
        return sql.SQL("encode({0}, 'hex') AS {0}").format(name)
    if column.type_code == _BOOLEAN:
        return sql.SQL("{0}::text AS {0}").format(name)
    if column.type_code == _MONEY:
        # as text it has the sign and the separators of the server's locale
        return sql.SQL("{0}::numeric AS {0}").format(name)
    if column.type_code in nested:
        return sql.SQL("to_json({0}) AS {0}").format(name)
    return name


def _from(relation: Origin) -> sql.Composable:
    if relation.query:
        # the query may end in a comment
        return sql.SQL("({}\n) AS q").format(sql.Composed([*map(_piece, relation.query)]))
    return sql.Identifier(*filter(None, (relation.schema, relation.table)))


def _piece(piece: str | Given) -> sql.Composable:
    # COPY takes no values next to its text: the driver writes them as literals
    return sql.Literal(piece.value) if isinstance(piece, Given) else sql.SQL(piece)
