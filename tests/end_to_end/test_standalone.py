"""A whole Airflow, as `make up` starts it: API server, scheduler, DAG processor, triggerer, LocalExecutor."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from elt_factory.core.connection import Connection
from elt_factory.warehouse.opening import open_warehouse

ROOT = Path(__file__).parents[2]
ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]
WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}
# waits for a file that never comes, and so is never done in time
LATE = """
name: late
start_date: 2013-01-01
deadline: {within: 3s}
extract: {type: files, connection: weather_files}
tables: {late: {path: never.csv, primary_key: [id], write_disposition: merge}}
sensors:
  before_extract: [{file: {connection: weather_files, path: never.csv}}]
"""
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Live:
    """A running Airflow: its REST API, and the warehouse that its tasks write."""

    api: httpx.Client
    folder: Path

    def trigger(self, dag_id: str, **conf: str) -> str:
        """Let a DAG run by hand and return the id of the run."""
        self.api.patch(f"/dags/{dag_id}", json={"is_paused": False}).raise_for_status()
        body = {"logical_date": datetime.now(UTC).isoformat(), "conf": conf}
        answer = self.api.post(f"/dags/{dag_id}/dagRuns", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["dag_run_id"])

    def get(self, path: str) -> dict:
        return self.api.get(path).raise_for_status().json()

    def query(self, statement: str) -> list[tuple]:
        """Ask the warehouse, as soon as the tasks let go of its file."""
        file = str(self.folder / "data" / "warehouse.duckdb")
        with open_warehouse(Connection("warehouse", "duckdb", host=file), self.folder, print, 60) as opened:
            return list(opened.query(statement).rows)


def within(seconds: float, found: Callable[[], object]) -> object:
    """What is found, looked for so long; the last look's answer when it is not."""
    deadline = monotonic() + seconds
    while not (answer := found()) and monotonic() < deadline:
        sleep(0.5)
    return answer


def elt(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([*ELT, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def lay_project(folder: Path) -> None:
    """The project with one config more, and the fleet's database."""
    from demo.fleet import lay_fleet

    for name in ("dags", "plugins", "dag_configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    (folder / "include").symlink_to(ROOT / "include")
    (folder / "dag_configs" / "late.yaml").write_text(LATE)
    lay_fleet(folder / "data" / "sources")
    (folder / "data" / "sources" / "weather").mkdir()


@pytest.fixture(scope="module")
def live(dbt_manifest: None, unused_ports: Iterator[int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder, port = tmp_path_factory.mktemp("live"), next(unused_ports)
    lay_project(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        # a DAG that is switched on runs only when it is told to
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }
    elt(environment, "up", "--port", str(port))
    try:
        passwords = folder / ".airflow" / "simple_auth_manager_passwords.json.generated"
        user, password = next(iter(json.loads(passwords.read_text()).items()))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as login:
            answer = login.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
        token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        url = f"http://127.0.0.1:{port}/api/v2"
        with httpx.Client(base_url=url, headers=token, timeout=30, trust_env=False) as api:
            yield Live(api, folder)
    finally:
        elt(environment, "down")


def test_the_dags_are_listed_a_run_over_rest_is_green_and_a_missed_deadline_is_written_down(live):
    names = {"departures", "fleet", "flights", "late", "weather"}
    within(120, lambda: {dag["dag_id"] for dag in live.get("/dags")["dags"]} >= names)
    assert {dag["dag_id"] for dag in live.get("/dags")["dags"]} == names
    assert live.get("/importErrors")["import_errors"] == []
    assert live.get("/pools/warehouse")["slots"] == 1

    began = datetime.now(UTC)
    late, fleet = live.trigger("late"), live.trigger("fleet", **WEEK)

    state = f"/dags/fleet/dagRuns/{fleet}"
    within(400, lambda: live.get(state)["state"] in ("success", "failed"))
    tasks = {
        task["task_id"]: (task["state"], task["try_number"])
        for task in live.get(f"{state}/taskInstances")["task_instances"]
    }
    assert set(tasks.values()) == {("success", 1)}, tasks
    assert live.get(state)["state"] == "success"
    rows = live.query("select table_name, rows_loaded, window_start::varchar from _elt.loads order by 1")
    assert rows == [
        (table, loaded, "2013-01-01 05:00:00+00")
        for table, loaded in (("airlines", 16), ("airports", 1_458), ("planes", 3_322))
    ]

    missed = within(240, lambda: live.query("select source, run_id, deadline, noticed_at from _elt.deadline_misses"))
    ((source, run_id, deadline, noticed),) = missed
    assert (source, run_id) == ("late", late)
    assert began + timedelta(seconds=3) <= deadline <= noticed
