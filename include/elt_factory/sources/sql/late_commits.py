"""Rows of PostgreSQL that are committed late: a transaction takes its number or its time first, and commits at last.

Another may have committed a higher number meanwhile. A reader that begins after the highest number next time never sees
the lower one. So a load

1. notes the highest value that it sees,
2. looks which transactions hold a lock to write to the table: each takes it before it takes a number or writes a row,
3. waits until all of those have ended, and only then
4. takes the moment that it reads, up to the value that it has noted.

Every lower number belongs to one of those transactions, or to one that had ended: none is skipped. Higher ones are read
by the next load. For a time there is nothing to note: the window's end is the limit. The locks are for all to see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from elt_factory.core.extras import needs
from elt_factory.core.failures import SourceNotReadyError
from elt_factory.extract.label import TableLabel

with needs("postgres", "a connection of type postgres"):
    from psycopg import sql

if TYPE_CHECKING:
    import psycopg

    Database = psycopg.Connection[tuple[object, ...]]

PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_FIRST_OF_USERS = 16384  # catalogue tables have lower ids
# a table that is made, or attached, in the same transaction is not yet seen among the children of its parent
_WRITERS = (
    "SELECT DISTINCT l.virtualtransaction, l.pid FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted "
    "AND (l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') "
    # VACUUM, ANALYZE and the like lock a table in this way, too, but no other one
    "OR (l.mode = 'ShareUpdateExclusiveLock' AND EXISTS (SELECT 1 FROM pg_locks o "
    "LEFT JOIN pg_class c ON c.oid = o.relation WHERE o.locktype = 'relation' AND o.granted AND o.pid = l.pid "
    "AND o.database = l.database AND o.mode = 'AccessExclusiveLock' AND o.relation >= %(first)s "
    "AND o.relation <> ALL(coalesce(%(tables)s::oid[], '{}')) AND coalesce(c.relkind IN ('r', 'p'), TRUE)))) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND l.pid IS DISTINCT FROM pg_backend_pid() "
    "AND CASE WHEN %(tables)s::oid[] IS NULL THEN l.relation >= %(first)s ELSE l.relation = ANY(%(tables)s::oid[]) END"
)
# the table with its partitions; a view may read any table
_TABLES = (
    "WITH RECURSIVE tree(oid) AS ("
    "SELECT c.oid FROM pg_class c WHERE c.oid = %(name)s::regclass AND c.relkind IN ('r', 'p') "
    "UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid) SELECT oid FROM tree"
)


def wait_for_writers(database: Database, name: str | None, label: TableLabel, log: Callable[[str], None]) -> None:
    """Wait until every transaction that is writing to a table has ended; to any table where there is no name.

    Raises:
        SourceNotReadyError: one of them is still open after a minute.
    """
    if database.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        log("this server is a replica and does not report open transactions: only a lag catches late commits")
        return
    tables = [row[0] for row in database.execute(_TABLES, {"name": name}).fetchall()] if name else []
    given: dict[str, object] = {"tables": tables or None, "first": _FIRST_OF_USERS}
    waited_for = set(_writers(database, given))
    until = time.monotonic() + PATIENCE_SECONDS
    told = False
    while open_ones := waited_for.intersection(_writers(database, given)):
        pids = ", ".join(sorted(str(pid) for _, pid in open_ones))
        if not told:
            log(f"waiting for open write transactions (pid {pids})")
            told = True
        if time.monotonic() > until:
            text = (
                f"a transaction (pid {pids}) is still writing after {PATIENCE_SECONDS:.0f} s; its rows would be skipped"
            )
            raise label.error(SourceNotReadyError, text, "end it, or set late_commits: ignore and a lag")
        time.sleep(_PAUSE_SECONDS)


def highest(database: Database, place: sql.Composable, cursor: sql.Composable) -> str | None:
    """Return the highest cursor value that is there now, as the server writes it: not every type is one of Python's."""
    # not every type has a max()
    newest = sql.SQL("SELECT {0} AS value FROM {1} WHERE {0} IS NOT NULL ORDER BY {0} DESC LIMIT 1")
    query = sql.SQL("SELECT newest.value::text FROM ({}) AS newest")
    row = database.execute(query.format(newest.format(cursor, place))).fetchone()
    return str(row[0]) if row else None


def _writers(database: Database, given: dict[str, object]) -> Sequence[tuple[str, object]]:
    return [(str(transaction), pid) for transaction, pid in database.execute(_WRITERS, given).fetchall()]
