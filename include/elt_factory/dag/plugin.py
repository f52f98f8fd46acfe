"""What Airflow itself must know: the deadline by time of day. Found by the entry point `airflow.plugins`."""

from airflow.plugins_manager import AirflowPlugin

from elt_factory.dag.deadlines import TimeOfDayDeadline


class EltFactoryPlugin(AirflowPlugin):
    """ELT Factory in Airflow's list of plugins."""

    name = "elt_factory"
    deadline_references = [TimeOfDayDeadline]  # noqa: RUF012 - as AirflowPlugin declares it
