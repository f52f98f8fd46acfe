"""The moment at which a database is read: its rows, their count, and the keys of all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel

_EACH_STATEMENT_ALONE = "elt_factory.each_statement_alone"
_OF_SQL_SERVER = (
    "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()"
)


def begin(database: sa.Connection) -> None:
    """Begin a transaction whose statements all see one moment, where the database has such a thing."""
    start = _STARTS.get(database.dialect.name)
    if start:
        start(database)


def check_keys(database: sa.Connection, label: TableLabel) -> None:
    """Refuse to compare keys that are not of any moment.

    Raises:
        BadRequestError: rows that move while they are read may be missing, and would count as deleted.
    """
    if database.info.get(_EACH_STATEMENT_ALONE):
        text = "deletes: compare needs a snapshot, which this database of SQL Server does not allow"
        hint = "ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON"
        raise label.error(BadRequestError, text, hint)


def _of_statement(statement: str) -> Callable[[sa.Connection], Any]:
    return lambda database: database.exec_driver_sql(statement)


def _of_sql_server(database: sa.Connection) -> None:
    snapshots, committed = database.exec_driver_sql(_OF_SQL_SERVER).one()
    # the level of a transaction that has begun cannot change
    database.commit()
    if snapshots == 1:
        database.execution_options(isolation_level="SNAPSHOT")
    elif not committed:
        database.info[_EACH_STATEMENT_ALONE] = True


_STARTS: Mapping[str, Callable[[sa.Connection], Any]] = {
    # a server may be set up so that every statement sees a moment of its own
    **dict.fromkeys(("mysql", "mariadb"), _of_statement("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")),
    "oracle": _of_statement("SET TRANSACTION READ ONLY"),
    "mssql": _of_sql_server,
}
