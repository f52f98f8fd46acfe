"""The warehouse behind an Airflow connection: its type picks the kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.kind import ANY_PURPOSE, WAREHOUSES, Opening, Purpose, WarehouseKind

CONNECTION_ID = "warehouse"
PATIENCE = 600.0  # seconds that a DuckDB file is waited for while another process has it


def open_warehouse(
    connection: Connection,
    project: Path,
    log: Callable[[str], None],
    patience: float = PATIENCE,
    purpose: Purpose = ANY_PURPOSE,
) -> Warehouse:
    """Open the warehouse of a connection.

    Raises:
        AccessDeniedError: no warehouse is known for the connection's type, or Snowflake refuses the connection.
        WarehouseBusyError: the DuckDB file was in use for `patience` seconds.
        WarehouseUnavailableError: Snowflake cannot be reached.
    """
    return kind_of(connection).open(Opening(connection, project, log, patience, purpose))


def kind_of(connection: Connection) -> WarehouseKind:
    """Return the kind of warehouse that a connection opens.

    Raises:
        AccessDeniedError: there is none of the connection's type.
    """
    if connection.conn_type not in WAREHOUSES:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; '
            f"a warehouse needs type {' or '.join(WAREHOUSES.names())}"
        )
    return WAREHOUSES.get(connection.conn_type)


def warehouse_name(connection: Connection, project: Path) -> str:
    """Return which warehouse a connection opens, the same wherever it is opened; never a secret."""
    return kind_of(connection).label(connection, project)
