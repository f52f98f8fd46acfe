"""The warehouse behind an Airflow connection: its type picks the implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from elt_factory.extract.request import Connection
from elt_factory.failures import AccessDeniedError
from elt_factory.warehouse.base import Warehouse

CONNECTION_ID = "warehouse"


@dataclass(frozen=True)
class Purpose:
    """What a warehouse is opened for.

    `tag` goes with every statement on Snowflake, so that cost can be attributed; `compute` is the virtual warehouse to
    work on, where it is another than the connection's. DuckDB has neither.
    """

    tag: Mapping[str, str] = field(default_factory=dict)
    compute: str | None = None


ANY_PURPOSE = Purpose()


def open_warehouse(
    connection: Connection,
    project: Path,
    tell: Callable[[str], None],
    patience: float = 600,
    purpose: Purpose = ANY_PURPOSE,
) -> Warehouse:
    """Open the warehouse of a connection.

    Raises:
        AccessDeniedError: no warehouse is known for the connection's type, or Snowflake refuses the connection.
        WarehouseBusyError: the DuckDB file was in use for `patience` seconds.
        WarehouseUnavailableError: Snowflake cannot be reached.
    """
    if connection.conn_type == "duckdb":
        from elt_factory.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(duckdb_path(connection, project), patience, tell)
    if connection.conn_type == "snowflake":
        from elt_factory.warehouse.snowflake import SnowflakeWarehouse

        return SnowflakeWarehouse(connection, purpose, tell)
    raise AccessDeniedError(
        f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; '
        "a warehouse needs type duckdb or snowflake"
    )


def duckdb_path(connection: Connection, project: Path) -> Path:
    """Return the file of a duckdb connection: its host, below the project where it is relative."""
    return project / (connection.host or "data/warehouse.duckdb")


def warehouse_name(connection: Connection, project: Path) -> str:
    """Which warehouse a connection opens, the same wherever it is opened; never a secret."""
    if connection.conn_type == "duckdb":
        return f"duckdb {duckdb_path(connection, project).resolve()}"
    extra = connection.extra
    parts = (extra.get("account") or connection.host, extra.get("region"), extra.get("database"))
    return " ".join([connection.conn_type, *(str(part).lower() for part in parts if part)])
