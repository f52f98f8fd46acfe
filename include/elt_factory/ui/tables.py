"""The audit tables as the page reads them: a copy that loads leave of a DuckDB file, or Snowflake itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from airflow.utils.session import create_session

from elt_factory.core.failures import EltError
from elt_factory.core.project import config_folder, project_root
from elt_factory.ui.estate import current_estate
from elt_factory.ui.kept import KeptAnswers, newest_run
from elt_factory.warehouse.opening import CONNECTION_ID, warehouse_name

if TYPE_CHECKING:
    from elt_factory.core.connection import Connection
    from elt_factory.warehouse.base import Warehouse
    from elt_factory.warehouse.duckdb.replica import AuditReplica

_Since = Callable[[object], Collection[str] | None]


@dataclass(frozen=True)
class AuditTables:
    """The audit tables, open: `version` is another one when anything in them has changed."""

    warehouse: Warehouse
    kind: str
    version: object
    copied_at: datetime | None
    note: str = ""
    part: str = ""  # what they are only a part of; empty for all of them
    # the sources of which something has changed since another version; None for all of them
    changed_since: _Since = lambda _: None


_making = Lock()


_NEWEST = 45  # windows of a table that the very first list is made from
_WAREHOUSES = 4  # whose answers, or copy, are kept: those that were asked last
_MANY = 20_000  # loads from which on all of them take longer to read than someone should wait


@contextmanager
def newest_tables() -> Iterator[AuditTables | None]:
    """Open the audit tables with the newest windows alone; None where all of them are read as quickly.

    Raises:
        EltError: as for all of them.
    """
    from elt_factory.dag.runtime import get_connection

    connection = get_connection(CONNECTION_ID)
    if connection.conn_type != "duckdb":
        yield None
        return
    from elt_factory.warehouse.duckdb.replica import AuditReplica, rows_copied
    from elt_factory.warehouse.duckdb.warehouse import duckdb_path

    file = duckdb_path(connection, project_root())
    if rows_copied(file) < _MANY:
        yield None
        return
    with AuditReplica(file, _NEWEST) as own, own.reading() as copy:
        part = f"from the newest {_NEWEST} windows of each table; all of it is being read"
        note = "; ".join(filter(None, (part, copy.note)))
        yield AuditTables(copy, "duckdb", copy.version, copy.written_at, note, part)


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

    file = duckdb_path(connection, project_root())
    with _making:
        replica = _replica(file)
    with replica.reading() as copy:
        of = str(file)
        since = _of_warehouse(of, copy.changed_since)
        yield AuditTables(copy, "duckdb", (of, copy.version), copy.written_at, copy.note, changed_since=since)


@lru_cache(maxsize=_WAREHOUSES)
def _replica(file: Path) -> AuditReplica:
    from elt_factory.warehouse.duckdb.replica import AuditReplica

    return AuditReplica(file)


def _asked_before(connection: Connection) -> AuditTables:
    """Return the audit tables of a warehouse that is asked only for what was not asked since the last run."""
    with create_session() as session:
        mark, ended = newest_run(session, current_estate().configs)
    with _making:
        kept = _answers_of(connection).upto(mark, ended, datetime.now(UTC))
    warehouse, of = cast("Warehouse", kept), warehouse_name(connection, project_root())
    since = _of_warehouse(of, kept.changed_since)
    return AuditTables(
        warehouse, connection.conn_type, (of, kept.version), kept.asked_at, kept.note, changed_since=since
    )


def _of_warehouse(of: str, since: _Since) -> _Since:
    """Return what has changed since a version of one warehouse: all of it since one of another warehouse."""

    def changed_since(version: object) -> Collection[str] | None:
        match version:
            case (name, seen) if name == of:
                return since(seen)
        return None

    return changed_since


def warehouse_here() -> tuple[str, str]:
    """Return of which project and warehouse the audit tables are, without a secret; "" where no warehouse is named."""
    from elt_factory.dag.runtime import get_connection

    try:
        return str(config_folder()), warehouse_name(get_connection(CONNECTION_ID), project_root())
    except EltError:
        return str(config_folder()), ""


def ask_again() -> None:
    """Have what follows ask the warehouse, although that may resume it. A copy is as new as it can be.

    Raises:
        EltError: there is no connection `warehouse`.
    """
    from elt_factory.dag.runtime import get_connection

    connection = get_connection(CONNECTION_ID)
    if connection.conn_type != "duckdb":
        with create_session() as session:
            mark, _ = newest_run(session, current_estate().configs)
        _answers_of(connection).ask_again(mark, datetime.now(UTC))


def _answers_of(connection: Connection) -> KeptAnswers:
    # a connection may be edited while the server lives: another account or database has answers of its own
    name = warehouse_name(connection, project_root())
    with _naming:
        kept = _kept.pop(name, None) or KeptAnswers(_opened)
        _kept[name] = kept
        while len(_kept) > _WAREHOUSES:
            _kept.pop(next(iter(_kept)))
    return kept


_kept: dict[str, KeptAnswers] = {}  # the one that was asked last at the end
_naming = Lock()


@contextmanager
def _opened() -> Iterator[Warehouse]:
    from elt_factory.dag.runtime import get_connection
    from elt_factory.warehouse.kind import Purpose
    from elt_factory.warehouse.opening import open_warehouse

    purpose = Purpose({"source": "", "table": "", "dag": "", "run": "", "page": "sources"})
    connection = get_connection(CONNECTION_ID)
    with open_warehouse(connection, project_root(), lambda _: None, 5, purpose) as warehouse:
        yield warehouse
