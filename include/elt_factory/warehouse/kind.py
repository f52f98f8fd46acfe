"""What a kind of warehouse is: one object, `KIND`. The type of the Airflow connection `warehouse` picks it.

Another package adds a kind by an entry point in the group `elt_factory.warehouses`: its name is the connection's type,
its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.kinds import Door
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Step
from elt_factory.warehouse.spending import Meter

WAREHOUSES: Door[WarehouseKind] = Door(
    "elt_factory.warehouses",
    {name: f"elt_factory.warehouse.{name}.kind:KIND" for name in ("duckdb", "snowflake")},
    takes="elt_factory.warehouse.kind:WarehouseKind",
)


@dataclass(frozen=True)
class Purpose:
    """What a warehouse is opened for.

    `tag` goes with every statement on Snowflake, so that cost can be attributed; `compute` is the virtual warehouse to
    work on, where it is another than the connection's. DuckDB has neither.
    """

    tag: Mapping[str, str] = field(default_factory=dict)
    compute: str | None = None


ANY_PURPOSE = Purpose()


@dataclass(frozen=True)
class Opening:
    """How a warehouse is opened.

    Args:
        connection: The Airflow connection.
        project: The project's folder, below which relative paths are.
        log: Takes a line for people while waiting.
        patience: Seconds to wait for a warehouse that is in use.
        purpose: What it is opened for.
    """

    connection: Connection
    project: Path
    log: Callable[[str], None]
    patience: float
    purpose: Purpose


@dataclass(frozen=True)
class DbtProfile:
    """What dbt must know of a warehouse: settings for a file, secrets for the environment of the dbt process alone."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class WarehouseKind:
    """All that is known of a kind of warehouse.

    Args:
        name: The type of the Airflow connection.
        open: Opens it.
        label: Which warehouse a connection opens, the same wherever it is opened; never a secret. Takes the connection
            and the project's folder.
        dbt_profile: The profile of its dbt adapter. Takes the connection, the project's folder and the virtual
            warehouse where it is another than the connection's.
        record: What a load of an order sends, without a warehouse: see `recording`.
        meter: How it is asked what it bills; None where it bills nothing.
    """

    name: str
    open: Callable[[Opening], Warehouse]
    label: Callable[[Connection, Path], str]
    dbt_profile: Callable[[Connection, Path, str | None], DbtProfile]
    record: Callable[[LoadOrder], Sequence[Step]]
    meter: Meter | None = None
