"""DuckDB as a kind of warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse, duckdb_path
from elt_factory.warehouse.kind import DbtProfile, Opening, WarehouseKind
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Step, record


def _open(opening: Opening) -> DuckDBWarehouse:
    return DuckDBWarehouse(duckdb_path(opening.connection, opening.project), opening.patience, opening.log)


def _label(connection: Connection, project: Path) -> str:
    return f"duckdb {duckdb_path(connection, project).resolve()}"


def _dbt_profile(connection: Connection, project: Path, _: str | None) -> DbtProfile:
    path = str(duckdb_path(connection, project))
    # what a model says of an instant must not depend on the worker's clock; loads and checks think in UTC too
    return DbtProfile({"type": "duckdb", "path": path, "threads": 1, "settings": {"TimeZone": "UTC"}})


def _record(order: LoadOrder) -> Sequence[Step]:
    from elt_factory.warehouse.duckdb.recorder import DuckDBRecorder

    return record(DuckDBRecorder(order))


KIND = WarehouseKind(name="duckdb", open=_open, label=_label, dbt_profile=_dbt_profile, record=_record)
