"""`_maintenance.yaml`: when the maintenance DAG runs, and what of removed sources it removes."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.cron import Cron
from elt_factory.config.models.retention import Age
from elt_factory.config.models.values import Flag, TimeZone

DAG_ID = "elt_maintenance"
MAINTENANCE_FILE = "_maintenance.yaml"


class Maintenance(Model):
    """The DAG `elt_maintenance`: it removes what is past its retention, also of sources that load no more."""

    schedule: Cron | None = Field(
        "0 4 * * *", description="Cron expression of its runs; null for runs by hand.", examples=["0 4 * * 0"]
    )
    timezone: TimeZone = Field("UTC", description="Time zone of the schedule.", examples=["America/New_York"])
    owner: str = Field("airflow", min_length=1, description="Owner shown in Airflow.", examples=["data-platform"])
    removed_sources: Age | None = Field(
        None,
        description=(
            "How long after its last load a source without a config keeps its landings, rejects and state. By default, "
            "until `elt maintenance remove`. Leave it out where projects share a warehouse."
        ),
        examples=["90d"],
    )
    compact: Flag = Field(
        False, description="Whether to compact a DuckDB file of which a quarter is free.", examples=[True]
    )
