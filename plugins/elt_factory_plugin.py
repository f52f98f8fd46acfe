"""What Airflow itself must know of us: the deadline by time of day."""

import sys
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin

sys.path.append(str(Path(__file__).resolve().parents[1] / "include"))

from elt_factory.dag.deadlines import TimeOfDayDeadline


class EltFactoryPlugin(AirflowPlugin):
    """ELT Factory in Airflow's list of plugins."""

    name = "elt_factory"
    deadline_references = [TimeOfDayDeadline]  # noqa: RUF012 - as AirflowPlugin declares it
