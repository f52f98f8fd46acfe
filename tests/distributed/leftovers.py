"""What kills leave behind: tasks that run on, scratch folders in use, landings that no load needs."""

import fcntl
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import WORKERS, Cluster
from estate import Size

from elt_factory.config.loading import load_text
from elt_factory.core.connection import Connection
from elt_factory.core.disk import LOCK, PREFIX
from elt_factory.dag.cleanup import Landings, remove_old
from elt_factory.landing.manifest import MANIFEST_FILE
from elt_factory.landing.remote import open_place
from elt_factory.warehouse.opening import open_warehouse, warehouse_name
from live_support import until


def assert_nothing_left(cluster: Cluster, size: Size) -> int:
    """No task is unfinished or runs on, and the retention of landings removes all that tasks had written.

    Returns:
        How many landings killed tasks had not finished.
    """
    left = "select dag_id, run_id, task_id from task_instance where dag_id like 'source_%' and state != 'success'"
    assert cluster.query(left) == []
    busy = "select pool, count(*) from task_instance where state in ('running', 'queued', 'restarting') group by pool"
    # what others of the estate are doing at this moment ends; a slot that a killed task has kept is never free
    until(lambda: cluster.query(busy) == [], 120, lambda: cluster.query(busy))
    for worker in WORKERS:
        # those of killed tasks are there until the next task of that machine looks
        scratch = [folder for folder in (cluster.home / worker).glob(f"{PREFIX}*") if (folder / LOCK).exists()]
        assert [folder for folder in scratch if _is_held(folder)] == []
    return _remove_landings(cluster, size)


def _is_held(folder: Path) -> bool:
    with (folder / LOCK).open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _remove_landings(cluster: Cluster, size: Size) -> int:
    """Remove all landings of the sources as if their time had come: none is kept, as each load is committed."""
    fields = json.loads(cluster.environment["AIRFLOW_CONN_LANDING"])
    landing = Connection("landing", "aws", login=fields["login"], password=fields["password"], extra=fields["extra"])
    root = open_place(cluster.environment["AIRFLOW_VAR_ELT_LANDING"], landing)
    warehouse = Connection("warehouse", "duckdb", host=str(cluster.home / "warehouse.duckdb"))
    project, later = warehouse_name(warehouse, cluster.project), datetime.now(UTC) + timedelta(days=60)
    unfinished = 0
    with open_warehouse(warehouse, cluster.project, print, 60) as opened:
        for source in size.names:
            file = cluster.project / "dag_configs" / f"{source}.yaml"
            config = load_text(file, file.read_text(), file.parent).config
            for table in size.table_names:
                place = root.below(source, table)
                files = place.files()
                attempts = {"/".join(name.split("/")[:2]) for name in files}
                assert attempts
                unfinished += sum(f"{attempt}/{MANIFEST_FILE}" not in files for attempt in attempts)
                remove_old(opened, config, table, Landings(place, project), lambda _: None, later)
                assert list(place.files()) == []
    return unfinished
