"""A whole Airflow, as `make up` starts it: API server, scheduler, DAG processor, triggerer, LocalExecutor."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exports_support import Exports, exports_api
from live_airflow import Live, signed_in, within

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


def lay_project(folder: Path) -> None:
    """The project with one config more, and the fleet's database."""
    from demo.fleet import lay_fleet

    for name in ("dags", "plugins", "dag_configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    (folder / "include").symlink_to(ROOT / "include")
    (folder / "dag_configs" / "late.yaml").write_text(LATE)
    (folder / "dag_configs" / "export.yaml").write_text(EXPORT)
    lay_fleet(folder / "data" / "sources")
    (folder / "data" / "sources" / "weather").mkdir()


@pytest.fixture(scope="module")
def exports() -> Iterator[Exports]:
    with exports_api() as api:
        yield api


@pytest.fixture(scope="module")
def live(
    exports: Exports, dbt_manifest: None, unused_ports: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder, port = tmp_path_factory.mktemp("live"), next(unused_ports)
    lay_project(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        # a DAG that is switched on runs only when it is told to
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW_CONN_EXPORTS_API": json.dumps({"conn_type": "http", "host": exports.url, "password": "s3cret-key"}),
    }
    elt(environment, "up", "--port", str(port))
    try:
        with signed_in(port, folder / ".airflow", folder) as airflow:
            yield airflow
    finally:
        elt(environment, "down")


def test_the_dags_are_listed_a_run_over_rest_is_green_and_a_missed_deadline_is_written_down(live):
    names = {"departures", "export", "fleet", "flights", "late", "weather"}
    within(120, lambda: live.dags() >= names)
    assert live.dags() == names
    assert live.get("/importErrors")["import_errors"] == []
    assert live.get("/pools/warehouse")["slots"] == 1

    began = datetime.now(UTC)
    late, fleet = live.trigger("late"), live.trigger("fleet", **WEEK)

    tasks = live.tasks("fleet", fleet)
    assert set(tasks.values()) == {("success", 1)}, tasks
    assert live.get(f"/dags/fleet/dagRuns/{fleet}")["state"] == "success"
    rows = live.query("select table_name, rows_loaded, window_start::varchar from _elt.loads order by 1")
    assert rows == [
        (table, loaded, "2013-01-01 05:00:00+00")
        for table, loaded in (("airlines", 16), ("airports", 1_458), ("planes", 3_322))
    ]

    missed = within(240, lambda: live.query("select source, run_id, deadline, noticed_at from _elt.deadline_misses"))
    ((source, run_id, deadline, noticed),) = missed
    assert (source, run_id) == ("late", late)
    assert began + timedelta(seconds=3) <= deadline <= noticed


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
