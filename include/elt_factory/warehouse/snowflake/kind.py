"""Snowflake as a kind of warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.warehouse.kind import DbtProfile, Opening, WarehouseKind
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Step, record
from elt_factory.warehouse.snowflake.credits import METER
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse


def _open(opening: Opening) -> SnowflakeWarehouse:
    return SnowflakeWarehouse(opening.connection, opening.purpose, opening.log)


def _label(connection: Connection, _: Path) -> str:
    extra = connection.extra
    parts = (extra.get("account") or connection.host, extra.get("region"), extra.get("database"))
    return " ".join([connection.conn_type, *(str(part).lower() for part in parts if part)])


def _dbt_profile(connection: Connection, _: Path, compute: str | None) -> DbtProfile:
    from elt_factory.warehouse.snowflake.profile import snowflake_profile

    return snowflake_profile(connection, compute)


def _record(order: LoadOrder) -> Sequence[Step]:
    from elt_factory.warehouse.snowflake.recorder import SnowflakeRecorder

    return record(SnowflakeRecorder(order))


KIND = WarehouseKind(name="snowflake", open=_open, label=_label, dbt_profile=_dbt_profile, record=_record, meter=METER)
