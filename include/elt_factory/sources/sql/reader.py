"""SQL databases: which road leads to which connection."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from elt_factory.core.connection import Connection
from elt_factory.extract.label import TableLabel, needed_connection
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.landing.key_forms import form_of
from elt_factory.sources.sql.key_range import as_split
from elt_factory.sources.sql.model import SILENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from elt_factory.sources.sql.cuts import Cuts
    from elt_factory.sources.sql.described import Ends, Listed
    from elt_factory.sources.sql.origin import Origin

_ROADS: Mapping[str, str] = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "snowflake": "snowflake",
    "duckdb": "duckdb",
}


class Road(Protocol):
    """A module of this package that reads some databases: what it does is said by the functions here."""

    def read(self, request: ReadRequest, connection: Connection) -> Spool: ...  # noqa: D102

    def first_value(self, connection: Connection, project: Path, query: str, label: TableLabel) -> object: ...  # noqa: D102

    def catalogue(  # noqa: D102
        self, connection: Connection, project: Path, schema: str | None, label: TableLabel
    ) -> list[Listed]: ...

    def ends_of(  # noqa: D102
        self,
        connection: Connection,
        project: Path,
        relation: Origin,
        column: str,
        label: TableLabel,
        silence: timedelta,
    ) -> Ends: ...

    def cuts_of(self, request: ReadRequest, connection: Connection, most: int) -> Cuts: ...  # noqa: D102


def road_to(connection: Connection) -> Road:
    """Return the road of a connection: that of its own driver, else the slow one of SQLAlchemy."""
    name = _ROADS.get(connection.conn_type, "database")
    return cast("Road", import_module(f"elt_factory.sources.sql.{name}"))


def read(request: ReadRequest) -> Spool:
    """Read a table or query in one statement, so all rows are of one moment; memory holds one batch.

    PostgreSQL comes as CSV (a header line; no value is an unquoted empty field, empty text a quoted one), every other
    database as Parquet with text columns. In both, binary values are hex digits (`00ff`), booleans `true` and `false`,
    arrays, rows and JSON are JSON text, instants have their offset. `Spool.types` holds what the database declares, of
    queries too; a numeric without precision is decimal(38,9), a SQLite column without a type has that of its values.
    `Spool.forms` tells apart what is text here and written in several ways there.

    Rows whose cursor is NULL are in no window: they are never read by an incremental table.

    Raises:
        SourceUnavailableError: the server is down or busy. SourceNotReadyError: there is no SQLite file.
        AccessDeniedError: login or permission. BadRequestError: a table, column or query that does not work.
        BadDataError: a file that is not a database, a cursor that cannot be read.
    """
    connection = needed_connection(request, TableLabel.of(request))
    spool = road_to(connection).read(as_split(request), connection)
    return replace(spool, forms={name: form_of(kind) for name, kind in spool.types.items()} | dict(spool.forms))


def first_value(connection: Connection, project: Path, query: str, label: TableLabel) -> object:
    """Return the first value that a query answers, None when it answers no row.

    Raises as `read` does; the errors name `label`.
    """
    return road_to(connection).first_value(connection, project, query, label)


def catalogue(connection: Connection, project: Path, schema: str | None, label: TableLabel) -> list[Listed]:
    """Return the tables of a schema by their names, after them the views; without partitions of other tables.

    Raises as `read` does; the errors name `label`.
    """
    return road_to(connection).catalogue(connection, project, schema, label)


def ends_of(
    connection: Connection,
    project: Path,
    relation: Origin,
    column: str,
    label: TableLabel,
    silence: timedelta = SILENCE,
) -> Ends:
    """Return the least and the greatest value that a column has in all of a table, as text.

    Raises as `read` does; the errors name `label`.
    """
    return road_to(connection).ends_of(connection, project, relation, column, label, silence)


def cuts_of(request: ReadRequest, most: int) -> Cuts:
    """Return values of the cursor that divide what a load reads into at most that many parts of about as many rows.

    Raises as `read` does; a BadRequestError also for a cursor that cannot be divided.
    """
    connection = needed_connection(request, TableLabel.of(request))
    return road_to(connection).cuts_of(as_split(request), connection, most)
