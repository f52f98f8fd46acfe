"""The DAG `elt_maintenance`, where the folder of configs has a `_maintenance.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, CronDataIntervalTimetable

from elt_factory.config.maintenance import load_maintenance
from elt_factory.config.models.maintenance import DAG_ID, Maintenance
from elt_factory.dag.retry import retry_arguments
from elt_factory.dag.source_dag import SourceDag

_DOCUMENT = """Removes what is past its retention: rows, landings, rejects, superseded audit rows, what killed loads
left, and what is kept of removed sources. What was removed is in `_elt.removals`; `elt maintenance report` says what is
kept."""


def maintenance_dag(file: Path) -> SourceDag:
    """Return the DAG of a `_maintenance.yaml`.

    Raises:
        ConfigError: everything that is wrong in it.
    """
    from elt_factory.config.models.source import Retries

    settings = load_maintenance(file)
    dag = SourceDag(
        dag_id=DAG_ID,
        description="Removes what is past its retention.",
        schedule=CronDataIntervalTimetable(settings.schedule, settings.timezone) if settings.schedule else None,
        start_date=datetime(2020, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["elt", "maintenance"],
        doc_md=_DOCUMENT,
        default_args={"owner": settings.owner, **retry_arguments(Retries())},
        auto_register=False,
    )
    MaintenanceOperator(
        task_id="remove_expired", settings=settings, configs=str(file.parent), pool="warehouse", dag=dag
    )
    return dag.shown_as(file)


class MaintenanceOperator(BaseOperator):
    """Remove what is past its retention, of all sources; returns how much of each sort."""

    ui_color = "#eef4fb"

    def __init__(self, *, settings: Maintenance, configs: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.configs = configs

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        """Remove it. What one source cannot is reported at the end, when all others are done.

        Raises:
            MaintenanceError: something could not be removed; the next run finds it again.
        """
        from elt_factory.core.failures import MaintenanceError
        from elt_factory.core.private import private_files
        from elt_factory.dag.runtime import landing_root, project_name, warehouse
        from elt_factory.dag.upkeep import Upkeep, remove_expired, totals
        from elt_factory.warehouse.kind import Purpose

        purpose = Purpose({"dag": DAG_ID, "run": context["run_id"], "step": "maintenance"}, None)
        with private_files(), warehouse(purpose) as opened:
            upkeep = Upkeep(
                Path(self.configs), opened, landing_root(), project_name(), self.log.info, context["run_id"]
            )
            removed, left = remove_expired(upkeep, self.settings)
        if left:
            raise MaintenanceError("; ".join(left))
        return totals(removed)
