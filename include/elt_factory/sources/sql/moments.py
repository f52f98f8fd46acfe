"""The moment at which a database is read: its rows, their count, and the keys where deletes are followed."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from elt_factory.core.failures import BadRequestError
from elt_factory.extract.label import TableLabel

# a server of MySQL may be set up so that every statement sees a moment of its own; SQLite begins by itself
_STARTS: Mapping[str, str] = {
    **dict.fromkeys(("mysql", "mariadb"), "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    "oracle": "SET TRANSACTION READ ONLY",
}
_OF_SQL_SERVER = (
    "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()"
)


def begin(database: sa.Connection, label: TableLabel, *, compares_keys: bool) -> None:
    """Begin a transaction whose statements all see one moment, where the database has such a thing.

    Raises:
        BadRequestError: keys are compared, and those of rows that move while they are read may be missed: these rows
            would count as deleted.
    """
    start = _STARTS.get(database.dialect.name)
    if start:
        database.exec_driver_sql(start)
    elif database.dialect.name == "mssql" and compares_keys:
        # only then, since a snapshot shows no tables in memory, nor those of databases that do not allow it
        _take_snapshot(database, label)


def _take_snapshot(database: sa.Connection, label: TableLabel) -> None:
    snapshots, committed = database.exec_driver_sql(_OF_SQL_SERVER).one()
    # the level of a transaction that has begun cannot change
    database.commit()
    if snapshots == 1:
        database.execution_options(isolation_level="SNAPSHOT")
    elif not committed:
        text = "deletes: compare needs a snapshot, which this database of SQL Server does not allow"
        raise label.error(BadRequestError, text, "ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON")
