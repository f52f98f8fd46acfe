"""DuckDB as a kind of warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse, duckdb_path
from elt_factory.warehouse.kind import DbtProfile, Opening, WarehouseKind
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Step, record

_DBT_CONNECTS = 6  # dbt-duckdb pauses 1 s after the first, then twice as long: a minute in all


def _open(opening: Opening) -> DuckDBWarehouse:
    return DuckDBWarehouse(duckdb_path(opening.connection, opening.project), opening.patience, opening.log)


def _label(connection: Connection, project: Path) -> str:
    return f"duckdb {duckdb_path(connection, project).resolve()}"


def _dbt_profile(connection: Connection, project: Path, _: str | None) -> DbtProfile:
    path = str(duckdb_path(connection, project))
    # what a model says of an instant must not depend on the worker's clock; loads and checks think in UTC too
    settings = {"type": "duckdb", "path": path, "threads": 1, "settings": {"TimeZone": "UTC"}}
    # another process may have the file for a moment: a sensor's look from the triggerer, `elt status`
    return DbtProfile(settings | {"retries": {"connect_attempts": _DBT_CONNECTS}})


def _record(order: LoadOrder) -> Sequence[Step]:
    from elt_factory.warehouse.duckdb.recorder import DuckDBRecorder

    return record(DuckDBRecorder(order))


KIND = WarehouseKind(name="duckdb", open=_open, label=_label, dbt_profile=_dbt_profile, record=_record)
