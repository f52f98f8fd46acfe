"""Where tasks run: what workers on several machines must share."""

from __future__ import annotations

from collections.abc import Iterator

from elt_factory.cli.health.found import Found
from elt_factory.core.project import project_root
from elt_factory.dag.runtime import get_connection, landing_root
from elt_factory.landing.places import LocalPlace
from elt_factory.warehouse.duckdb.warehouse import duckdb_path
from elt_factory.warehouse.opening import CONNECTION_ID

# where all tasks run on the machine of the scheduler
_ONE_MACHINE = ("LocalExecutor", "SequentialExecutor")


def workers() -> Iterator[Found]:
    """Look whether tasks on several machines find the same landing and the same warehouse."""
    executors = _executors()
    if set(executors) <= set(_ONE_MACHINE):
        return
    told = ", ".join(executors)
    place, connection = landing_root(), get_connection(CONNECTION_ID)
    if isinstance(place, LocalPlace):
        hint = "share that folder with all workers, or set the Variable elt_landing to a URL of object storage"
        yield Found("workers", "warning", f"{told}: landings are in the folder {place.folder} of each worker", hint)
    if connection.conn_type == "duckdb":
        hint = "use Snowflake, or run all workers on the machine that has the file"
        file = duckdb_path(connection, project_root())
        yield Found("workers", "warning", f"{told}: the warehouse is the file {file} of one machine", hint)
    if not isinstance(place, LocalPlace) and connection.conn_type != "duckdb":
        yield Found("workers", "ok", f"{told}: they share {place}")


def _executors() -> list[str]:
    """Return the names of the executors' classes."""
    from airflow.executors.executor_loader import ExecutorLoader

    return [name.module_path.rpartition(".")[2] for name in ExecutorLoader.get_executor_names(validate_teams=False)]
