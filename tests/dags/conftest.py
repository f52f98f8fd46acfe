import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from dag_support import SECRET, Webhook

from elt_factory.warehouse.base import Warehouse


@pytest.fixture(scope="session")
def dags(dbt_manifest):
    """The DAGs of the project's own configs."""
    from elt_factory.core.project import config_folder
    from elt_factory.dag.loader import load_dags

    return load_dags(config_folder())


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give Airflow a connection."""

    def set_connection(name: str, **fields: object) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    return set_connection


@pytest.fixture
def opened(connect: Callable[..., None], tmp_path: Path) -> Callable[[], Warehouse]:
    """Open the warehouse of the connection `warehouse`, a file of this test's own."""
    from elt_factory.dag.runtime import warehouse

    connect("warehouse", conn_type="duckdb", host=str(tmp_path / "warehouse.duckdb"))
    return warehouse


@pytest.fixture
def webhook(connect) -> Iterator[Webhook]:
    server = Webhook()
    Thread(target=server.serve_forever, daemon=True).start()
    connect("slack", conn_type="http", host=f"http://127.0.0.1:{server.server_address[1]}", password=SECRET)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def outside_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a process that runs no task: what answers tasks is left behind by each run in this process."""
    if task_runner := sys.modules.get("airflow.sdk.execution_time.task_runner"):
        monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)


@pytest.fixture
def marks(monkeypatch) -> dict[str, str]:
    """What Airflow stores for assets: the loads that ended, by the name of the asset."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import AssetStateStoreResult, ErrorResponse

    kept: dict[str, str] = {}

    class Airflow:
        @staticmethod
        def send(msg):
            if kept.get(msg.name) == "broken":
                return ErrorResponse(error=ErrorType.API_SERVER_ERROR)
            if msg.name not in kept:
                return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)
            return AssetStateStoreResult(value=kept[msg.name])

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Airflow, raising=False)
    return kept
