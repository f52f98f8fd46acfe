"""A run whose tables another system loads: one job, verified in the warehouse, and what follows when all is ready."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import duckdb
import msgspec
import pytest
import yaml
from airflow.sdk.exceptions import TaskDeferred
from dag_support import config_of, context_of

from elt_factory.checks.freshness import Limits, fresh, window_checked
from elt_factory.config.models.remote_jobs import RemoteJob
from elt_factory.core.failures import JobRunningError, RemoteJobFailedError
from elt_factory.core.window import Window
from elt_factory.dag.factory import build_dag
from elt_factory.dag.remote_jobs import RemoteJobOperator
from elt_factory.dag.remote_trigger import JobOfRun, RemoteTrigger
from elt_factory.diagnosis.gather import Around, gather
from elt_factory.sources.remote_job.asked import State
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
CONFIG = """
name: tiny
start_date: 2012-12-01
retries: {count: 1, delay: 1s}
extract:
  type: remote_job
  connection: tool
  job:
    http:
      start: {method: POST, path: /jobs, json: {label: "{{ job.key }}", day: "{{ window.start | date }}"}}
      id: id
      look: {path: "/jobs/{{ job.id }}"}
      status: state
      done: [finished]
      failed: [error]
      link: "https://tool.example.com/{{ job.id }}/log"
      cancel: {method: DELETE, path: "/jobs/{{ job.id }}"}
    every: 1s
tables:
  orders:
    relation: raw.orders
    loaded_at: _synced
    business_date: order_date
    columns: {id: {checks: [{between: [1, 9]}]}}
quality:
  orders: [{row_count: {min: 2}}, {freshness: {business_date_within: 26h}}]
after:
  - {superset: {chart_id: 7}, connection: bi}
"""
pytestmark = pytest.mark.timeout(300)


class Tool(ThreadingHTTPServer):
    """A tool that loads a table, and a BI server whose cache is warmed up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.file, self.asked, self.looks, self.state = "", [], 0, ""

    def load(self) -> None:
        with duckdb.connect(self.file) as connection:
            connection.execute("insert into raw.orders values (1, '2013-01-01', now()), (2, '2013-01-01', now())")


class Handler(BaseHTTPRequestHandler):
    server: Tool

    def serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        answer = {"id": 5}
        if self.path == "/jobs/5":
            self.server.looks += 1
            answer = {"state": self.server.state or ("finished" if self.server.looks > 1 else "running")}
            if self.server.looks == 2 and self.server.file:
                self.server.load()
        elif self.path.endswith("/login"):
            answer = {"access_token": "issued"}
        elif self.path.endswith("/warm_up_cache"):
            answer = {"result": [{"chart_id": 7, "viz_error": None}]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_DELETE(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def log_message(self, *_: object) -> None:
        pass


def test_a_run_starts_the_job_once_verifies_what_it_loaded_checks_it_and_refreshes_what_follows(tiny):
    line, tool = tiny(CONFIG), Tool()
    Thread(target=tool.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    tool.file = str(line.warehouse_file)
    line.query("create schema raw")
    line.query("create table raw.orders (id integer, order_date date, _synced timestamptz)")
    line.query("insert into raw.orders values (90, '2012-12-31', '2012-12-31 03:00:00+00')")
    url = f"http://127.0.0.1:{tool.server_address[1]}"
    line.connect("tool", conn_type="http", host=url)
    line.connect("bi", conn_type="http", host=url, login="bot", password="s3cret")
    outcome = line.run("tiny", **DAY)
    tool.shutdown()
    tool.server_close()
    assert {task.task_id: task.state for task in outcome.tasks} == dict.fromkeys(
        ("job", "tables.orders.load", "quality.orders", "after.superset"), "success"
    )
    # a look of the worker, one of the triggerer, one of the worker that it woke up
    assert tool.asked == [
        "POST /jobs",
        *["GET /jobs/5"] * 3,
        "POST /api/v1/security/login",
        "PUT /api/v1/chart/warm_up_cache",
    ]
    counts = "rows_read, rows_loaded, rows_rejected"
    row = f"select source, {counts}, write_disposition, business_date_max from _elt.loads"
    assert line.query(row) == [("tiny", 2, 2, 0, "remote", "2013-01-01")]
    # 90 is not of this load: the check of its column does not see it
    assert line.query("select distinct status from _elt.quality_results") == [("passed",)]
    # what was known of the jobs is forgotten when they have succeeded
    assert not list(line.folder.rglob("job.json"))
    assert "2 new rows, 3 in the table" in line.screen
    take_part(line)


def take_part(line) -> None:
    """Sensors of other configs, freshness, the page and diagnosis see the table as one that ELT Factory loads."""
    day = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
    with DuckDBWarehouse(line.warehouse_file, log=lambda _: None) as opened:
        assert window_checked(opened, "tiny", "orders", day).holds
        assert not window_checked(opened, "tiny", "orders", Window(day.end, day.end + timedelta(days=1))).holds
        assert fresh(opened, "tiny", "orders", day, Limits(business_date_within=timedelta(hours=26)), "UTC").holds
        later = Window(day.end + timedelta(days=3), day.end + timedelta(days=4))
        assert not fresh(opened, "tiny", "orders", later, Limits(business_date_within=timedelta(hours=26)), "UTC").holds
    configs = line.folder.parent / "project" / "dag_configs"
    around = Around(configs, line.folder, lambda: DuckDBWarehouse(line.warehouse_file, log=lambda _: None), None)
    (facts,) = gather(around, now=datetime(2013, 1, 2, 4, tzinfo=UTC))
    assert (facts.source, facts.table, facts.rows) == ("tiny", "orders", 3)
    # a date stands for its whole day
    assert facts.business_date == day.end
    assert [(load.window, load.rows_loaded) for load in facts.loads] == [(day, 2)]


def waiting(tool: Tool) -> RemoteTrigger:
    """The trigger that waits for a job, as the triggerer makes it of what was stored."""
    job = RemoteJob.model_validate(yaml.safe_load(CONFIG)["extract"]["job"])
    window = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC))
    asked = JobOfRun("tiny", "job", job, "tool", window, "run-1", {"run_id": "run-1", "params.n": 1}, "UTC")
    error = JobRunningError("it runs")
    error.every, error.until = timedelta(seconds=0.01), datetime.now(UTC) + timedelta(minutes=1)
    known = msgspec.json.encode(State("elt-1", datetime.now(UTC), sent=True, id="5"))
    path, kwargs = RemoteTrigger.of(asked, known, error).serialize()
    assert path == "elt_factory.dag.remote_trigger.RemoteTrigger"
    return RemoteTrigger(**json.loads(json.dumps(kwargs)))


def test_the_triggerer_looks_until_a_worker_is_needed_and_cancels_with_the_run(connect, tmp_path, monkeypatch):
    tool = Tool()
    monkeypatch.setattr(tool, "load", lambda: None)
    Thread(target=tool.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    connect("tool", conn_type="http", host=f"http://127.0.0.1:{tool.server_address[1]}")
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path))

    async def events(trigger: RemoteTrigger) -> int:
        return len([event async for event in trigger.run()])

    assert asyncio.run(events(waiting(tool))) == 1
    assert tool.asked == ["GET /jobs/5"] * 2
    asyncio.run(waiting(tool).on_kill())
    assert tool.asked[2:] == ["DELETE /jobs/5"]
    tool.shutdown()
    tool.server_close()


def test_the_dag_and_its_plan_show_the_job_the_verification_and_what_follows(tmp_path):
    config = config_of(tmp_path, CONFIG)
    dag = build_dag(config, {})
    order = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
    assert order == {
        "job": [],
        "tables.orders.load": ["job"],
        "quality.orders": ["tables.orders.load"],
        "after.superset": ["quality.orders"],
    }
    [asset] = [outlet.name for outlet in dag.get_task("tables.orders.load").outlets][:1]
    assert "orders" in asset


@pytest.fixture
def tool(connect, tmp_path, monkeypatch):
    served = Tool()
    Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    connect("tool", conn_type="http", host=f"http://127.0.0.1:{served.server_address[1]}")
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path / "landing"))
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def step(tmp_path):
    """A try of a step of `after:`, in a process of its own as far as it knows."""
    data = yaml.safe_load(CONFIG)
    data["after"] = [{"http": data["extract"]["job"]["http"], "connection": "tool"}]
    config = config_of(tmp_path, yaml.safe_dump(data))
    context = context_of(("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z"))

    def made():
        task = build_dag(config, {}).get_task("after.http")
        assert isinstance(task, RemoteJobOperator)
        return task, context

    return made


def attempt(step):
    task, context = step()
    return task.execute(context)


def test_a_step_that_follows_is_joined_by_the_next_try(tool, step):
    with pytest.raises(TaskDeferred):
        attempt(step)
    assert attempt(step)["job"] == "5"
    assert tool.asked.count("POST /jobs") == 1


def test_a_step_that_follows_and_has_failed_is_started_again_by_the_next_try(tool, step):
    tool.state = "error"
    with pytest.raises(RemoteJobFailedError):
        attempt(step)
    tool.state = "finished"
    assert attempt(step)["job"] == "5"
    assert tool.asked.count("POST /jobs") == 2


def test_a_step_that_follows_is_cancelled_when_a_person_ends_it(tool, step):
    task, context = step()
    with pytest.raises(TaskDeferred):
        task.execute(context)
    task.on_kill()
    assert tool.asked[-1] == "DELETE /jobs/5"
