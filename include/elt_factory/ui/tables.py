"""The audit tables as the page reads them: a copy that loads leave of a DuckDB file, or Snowflake itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from airflow.utils.session import create_session

from elt_factory.core.project import project_root
from elt_factory.ui.kept import KeptAnswers, newest_run
from elt_factory.warehouse.opening import CONNECTION_ID

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.warehouse.base import Warehouse
    from elt_factory.warehouse.duckdb.replica import AuditReplica


@dataclass(frozen=True)
class AuditTables:
    """The audit tables, open: `version` is another one when anything in them has changed."""

    warehouse: Warehouse
    kind: str
    version: object
    copied_at: datetime | None
    note: str = ""
    # the sources of which something has changed since another version; None for all of them
    changed_since: Callable[[object], Collection[str] | None] = lambda _: None


_making = Lock()


@contextmanager
def audit_tables() -> Iterator[AuditTables]:
    """Open the audit tables. No load waits for this, and this waits for no load.

    Raises:
        EltError: there is no connection `warehouse`, or what it names cannot be read.
    """
    from elt_factory.dag.runtime import get_connection

    connection = get_connection(CONNECTION_ID)
    if connection.conn_type != "duckdb":
        yield _asked_before(connection)
        return
    from elt_factory.warehouse.duckdb.warehouse import duckdb_path

    with _making:
        replica = _replica(duckdb_path(connection, project_root()))
    with replica.reading() as copy:
        yield AuditTables(copy, "duckdb", copy.version, copy.written_at, copy.note, copy.changed_since)


@cache
def _replica(file: Path) -> AuditReplica:
    from elt_factory.warehouse.duckdb.replica import AuditReplica

    return AuditReplica(file)


def _asked_before(connection: Connection) -> AuditTables:
    """Return the audit tables of a warehouse that is asked only for what was not asked since the last run."""
    with create_session() as session:
        mark = newest_run(session)
    with _making:
        kept = _kept.setdefault(connection.conn_type, KeptAnswers(_opened)).upto(mark)
    return AuditTables(
        cast("Warehouse", kept), connection.conn_type, kept.version, kept.asked_at, "", kept.changed_since
    )


_kept: dict[str, KeptAnswers] = {}


@contextmanager
def _opened() -> Iterator[Warehouse]:
    from elt_factory.dag.runtime import get_connection
    from elt_factory.warehouse.kind import Purpose
    from elt_factory.warehouse.opening import open_warehouse

    purpose = Purpose({"source": "", "table": "", "dag": "", "run": "", "page": "sources"})
    connection = get_connection(CONNECTION_ID)
    with open_warehouse(connection, project_root(), lambda _: None, 5, purpose) as warehouse:
        yield warehouse
