"""A whole Airflow, as `make up` starts it: API server, scheduler, DAG processor, triggerer, LocalExecutor."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from demo_project import flights_connection, lay_demo
from elt_factory.cli.running import record
from elt_factory.cli.running.record import Fate
from exports_support import Exports, exports_api
from live_airflow import ENDED, Live, signed_in, within

ROOT = Path(__file__).parents[2]
ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]
DEMO = ("departures", "fleet", "flights", "weather")
COMPONENTS = ("scheduler", "api-server", "dag-processor", "triggerer")
ROWS = {"fleet.airlines": 16, "fleet.airports": 1_458, "fleet.planes": 3_322, "flights.flights": 6_099}
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
# a job that an API does, waited for in the triggerer
EXPORT = """
name: export
start_date: 2013-01-01
extract: {type: rest_api, connection: exports_api}
tables:
  rows:
    path: /exports
    json: {}
    job:
      id: id
      path: /exports/{{ job.id }}
      status: state
      done: [finished]
      every: 2s
      download: /exports/{{ job.id }}/file
      cancel: DELETE /exports/{{ job.id }}
    format: {type: csv}
    primary_key: [id]
    write_disposition: merge
"""
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


def elt(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([*ELT, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exports() -> Iterator[Exports]:
    with exports_api() as api:
        yield api


@pytest.fixture(scope="module")
def live(
    exports: Exports,
    demo_api: int,
    demo_sources: Path,
    dbt_manifest: None,
    unused_ports: Iterator[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    folder, port = tmp_path_factory.mktemp("live"), next(unused_ports)
    lay_demo(folder, demo_sources)
    for name, text in {"late": LATE, "export": EXPORT}.items():
        (folder / "dag_configs" / f"{name}.yaml").write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        "AIRFLOW_CONN_FLIGHTS_API": flights_connection(demo_api),
        "AIRFLOW_CONN_EXPORTS_API": json.dumps({"conn_type": "http", "host": exports.url, "password": "s3cret-key"}),
    }
    elt(environment, "up", "--port", str(port))
    try:
        with signed_in(port, folder / ".airflow", folder) as airflow:
            yield airflow
    finally:
        elt(environment, "down")


def test_the_demo_that_is_unpaused_runs_its_week_and_ends_green_though_each_component_is_killed(live):
    names = {*DEMO, "export", "late"}
    within(120, lambda: live.dags() >= names)
    assert live.dags() == names
    assert live.get("/importErrors")["import_errors"] == []
    assert live.get("/pools/warehouse")["slots"] == 1

    began = datetime.now(UTC)
    late = live.trigger("late")
    for name in DEMO:
        live.api.patch(f"/dags/{name}", json={"is_paused": False}).raise_for_status()
    within(60, lambda: all(runs(live, name) for name in DEMO))
    for component in COMPONENTS:
        kill(live, component)

    assert within(600, lambda: all(ended(live, name) for name in DEMO))
    for name in DEMO:
        # today, of which the sources know nothing, has no run
        (run,) = runs(live, name)
        assert (run["state"], run["data_interval_start"][:10], run["data_interval_end"][:10]) == (
            "success",
            "2013-01-01",
            "2013-01-08",
        )
        assert {state for state, _ in live.tasks(name, run["dag_run_id"]).values()} == {"success"}
    loaded = dict(live.query("select source || '.' || table_name, rows_loaded from _elt.loads"))
    assert loaded.items() >= ROWS.items()
    for component in COMPONENTS:
        assert [death.how for death in fate(live, component).deaths] == ["killed by SIGKILL"]

    ((source, run_id, deadline, noticed),) = within(
        240, lambda: live.query("select source, run_id, deadline, noticed_at from _elt.deadline_misses")
    )
    assert (source, run_id) == ("late", late)
    assert began + timedelta(seconds=3) <= deadline <= noticed


def runs(live: Live, name: str) -> list[dict]:
    return live.get(f"/dags/{name}/dagRuns")["dag_runs"]


def ended(live: Live, name: str) -> bool:
    return all(run["state"] in ENDED for run in runs(live, name))


def fate(live: Live, component: str) -> Fate:
    return record.read(live.folder / ".airflow").fates[component]


def kill(live: Live, component: str) -> None:
    """Kill a component, and wait until its next process is there and the API answers."""
    os.kill(fate(live, component).pid, signal.SIGKILL)
    assert within(60, lambda: fate(live, component).starts == 2)
    assert within(60, lambda: answers(live))


def answers(live: Live) -> bool:
    try:
        return live.api.get("/version").is_success
    except httpx.TransportError:
        return False


def test_a_job_is_waited_for_in_the_triggerer_and_cancelled_when_a_person_ends_the_task(live, exports):
    within(120, lambda: "export" in live.dags())
    exports.busy = 3
    run = live.trigger("export", **WEEK)
    tasks = live.tasks("export", run)
    assert set(tasks.values()) == {("success", 1)}, tasks
    assert exports.asked[0] == "POST /exports"
    assert exports.started == 1
    # the worker looks first and last; what comes between is the triggerer's
    assert exports.asked.count("GET /exports/1") == 5
    assert live.query("select id, name from export.rows order by id") == [(1, "a"), (2, "b")]

    exports.busy = 1_000_000
    run = live.trigger("export", **WEEK)
    task = f"/dags/export/dagRuns/{run}/taskInstances/tables.rows.extract"
    # the second look is the triggerer's
    assert within(120, lambda: exports.asked.count("GET /exports/2") > 1)
    assert live.get(task)["state"] == "deferred"
    live.api.patch(task, json={"new_state": "failed"}).raise_for_status()
    assert within(60, lambda: exports.asked[-1] == "DELETE /exports/2")
    # so that the task, cleared, starts another one
    assert within(30, lambda: not list((live.folder / "data" / "landing").rglob("job.json")))
