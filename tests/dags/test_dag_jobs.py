"""Jobs that a source does for a run: waited for in the triggerer, joined by retries, cancelled with the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_factory.config.loading import load_config
from elt_factory.core.connection import Connection
from elt_factory.core.failures import JobRunningError
from elt_factory.core.window import Window
from elt_factory.dag.jobs import JobTrigger, PlaceMemory
from elt_factory.dag.operators import ExtractOperator
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience
from exports_support import Exports, exports_api

DAY = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
CONFIG = """
name: tiny
start_date: 2012-12-01
retries: {count: 1, delay: 1s}
extract: {type: rest_api, connection: api, rate_limit: 50/second}
tables:
  export:
    path: /exports
    json: {day: "{{ window.start | date }}"}
    job:
      id: id
      path: /exports/{{ job.id }}
      status: state
      done: [finished]
      failed: [error]
      every: 1s
      download: /exports/{{ job.id }}/file
      cancel: DELETE /exports/{{ job.id }}
    format: {type: csv}
    primary_key: [id]
    write_disposition: merge
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def api(monkeypatch) -> Iterator[Exports]:
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    with exports_api() as exports:
        yield exports


def made(tiny, api):
    line = tiny(CONFIG)
    line.connect("api", conn_type="http", host=api.url)
    return line


def test_a_run_waits_for_its_job_without_a_worker_and_loads_what_it_exports(tiny, api, caplog):
    line = made(tiny, api)
    outcome = line.run("tiny", **DAY)
    assert outcome.state == "success"
    assert line.query("select id, name from tiny.export order by id") == [(1, "a"), (2, "b")]
    # two looks by the worker, before and behind those of the triggerer
    assert api.asked == ["POST /exports", *["GET /exports/1"] * 4, "GET /exports/1/file"]
    assert line.tries(outcome)["tables.export.extract"] == 1
    assert "running trigger in line" in caplog.text
    # what it knew of the job is forgotten with the load: the same window again is another job
    assert not list(line.folder.rglob("job.json"))
    # and the moment of the next request is where workers of all machines find it
    assert len(list(line.folder.rglob("_shared/*"))) == 1
    api.busy = 0
    assert line.run("tiny", **DAY).state == "success"
    assert api.started == 2


def test_a_retry_joins_the_job_of_the_try_before_it(tiny, api):
    line = made(tiny, api)
    api.busy, api.broken = 1, 1
    outcome = line.run("tiny", **DAY)
    assert outcome.state == "success"
    assert line.tries(outcome)["tables.export.extract"] == 2
    assert api.started == 1
    assert line.one("select count(*) from tiny.export") == 2


def test_what_a_job_exported_does_not_replace_what_another_run_has_read_since_it_was_started(tiny, api, monkeypatch):
    line, own = made(tiny, api), PlaceMemory.of

    def run(as_run: str) -> str:
        monkeypatch.setattr(PlaceMemory, "of", lambda load, _, began=None: own(load, as_run, began))
        return line.run("tiny", **DAY).state

    api.busy, api.broken = 0, 99
    assert run("one") == "failed"
    api.broken, api.files = 0, {"/exports/2/file": b"id,name\n1,new\n2,new\n"}
    assert run("other") == "success"
    # the first run is cleared, and finds the job of its first try
    assert run("one") == "success"
    assert api.started == 2
    assert line.query("select distinct name from tiny.export") == [("new",)]
    assert "nothing written: a later run or retry has already loaded this window" in line.screen


def test_a_job_that_fails_fails_the_task_with_its_status_and_each_try_has_its_own(tiny, api):
    line = made(tiny, api)
    api.busy, api.state = 0, "error"
    outcome = line.run("tiny", **DAY)
    detail = next(task.detail for task in outcome.tasks if task.task_id == "tables.export.extract")
    assert 'the job 2 has failed, its status is "error"' in detail
    assert api.started == 2


def request_of(api: Exports, folder: Path, config_text: str = CONFIG) -> ReadRequest:
    file = folder / "tiny.yaml"
    file.write_text(config_text)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    memory = PlaceMemory.of(LocalPlace(folder / "landing"), "run-1")
    connection = Connection(conn_id="api", conn_type="http", host=api.url)
    config, window = load_config(file).config, Window(start, start.replace(day=2))
    return ReadRequest(config, "export", window, "load-1", connection, folder, folder, print, memory=memory)


def waiting(request: ReadRequest) -> JobTrigger:
    """The trigger that waits for the job of a request, as the triggerer makes it of what was stored."""
    with pytest.raises(JobRunningError) as caught:
        read(request)
    path, kwargs = JobTrigger.of(request, caught.value).serialize()
    assert path == "elt_factory.dag.jobs.JobTrigger"
    return JobTrigger(**json.loads(json.dumps(kwargs)))


def events(trigger: JobTrigger) -> int:
    async def collect() -> int:
        return len([event async for event in trigger.run()])

    return asyncio.run(collect())


def test_the_triggerer_wakes_a_worker_when_the_job_is_done_fails_or_takes_too_long(api, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps({"conn_type": "http", "host": api.url}))
    api.busy = 3
    trigger = waiting(request_of(api, tmp_path))
    assert events(trigger) == 1
    assert api.asked.count("GET /exports/1") == 4
    api.state = "error"
    assert events(trigger) == 1
    api.busy, trigger.until = 99, datetime.now(UTC).isoformat()
    api.asked.clear()
    assert events(trigger) == 1
    assert api.asked == []


CONFIGS = Path(__file__).parents[1] / "config" / "valid"
EXAMPLES = Path(__file__).parents[2] / "examples" / "configs"


@pytest.mark.parametrize("file", [*CONFIGS.glob("*.yaml"), *EXAMPLES.glob("[a-z]*.yaml")], ids=lambda file: file.stem)
def test_what_any_config_says_reaches_the_triggerer_as_it_is(file, tmp_path):
    config = load_config(file).config
    start = datetime(2013, 1, 1, tzinfo=UTC)
    window = Window(start, start.replace(day=2))
    for table in getattr(config, "tables", {}):
        request = ReadRequest(config, table, window, "load-1", None, tmp_path, tmp_path, print)
        stored = json.loads(json.dumps(JobTrigger.of(request, JobRunningError("not done")).serialize()[1]))
        again = type(config).model_validate(stored["config"])
        assert again.tables[table] == config.tables[table]
        assert (again.extract, again.params, again.timezone) == (config.extract, config.params, config.timezone)


def test_the_triggerer_waits_for_the_jobs_of_children_too(api, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps({"conn_type": "http", "host": api.url}))
    child = CONFIG.replace("    path: /exports\n", "    for_each: orders\n    path: /exports\n", 1).replace(
        '{day: "{{ window.start | date }}"}', '{of: "{{ orders.id }}"}'
    )
    config = child.replace("tables:\n", "tables:\n  orders: {path: /orders}\n  more: {path: /more}\n")
    (tmp_path / "keys.ndjson").write_text('{"id":1}\n{"id":2}\n')
    api.busy = 3
    request = replace(request_of(api, tmp_path, config), keys=tmp_path / "keys.ndjson")
    trigger = waiting(request)
    assert set(trigger.config["tables"]) == {"export", "orders"}
    assert events(trigger) == 1
    assert api.started == 2
    api.busy = 1_000
    asyncio.run(trigger.on_kill())
    assert api.asked[-2:] == ["DELETE /exports/1", "DELETE /exports/2"]


def test_the_triggerer_cancels_the_job_of_a_task_that_a_person_ends(api, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_API", json.dumps({"conn_type": "http", "host": api.url}))
    trigger = waiting(request_of(api, tmp_path))
    asyncio.run(trigger.on_kill())
    assert api.asked[-1] == "DELETE /exports/1"


def test_a_worker_that_is_killed_cancels_the_job(api, tmp_path):
    request = request_of(api, tmp_path)
    waiting(request)
    operator = ExtractOperator(task_id="extract", config=request.source, table="export")
    operator.on_kill()
    assert api.asked[-1] == "GET /exports/1"
    operator.reading = request
    operator.on_kill()
    assert api.asked[-1] == "DELETE /exports/1"
    assert request.memory.read() is None


def test_another_run_of_the_window_has_a_job_of_its_own(tmp_path):
    place = LocalPlace(tmp_path)
    one, other = PlaceMemory.of(place, "run-1"), PlaceMemory.of(place, "run-2")
    one.write(b"{}")
    assert other.read() is None
    # of a run's tries the one counts that started the job
    later = PlaceMemory.of(place, "run-1", one.began.replace(year=9999))
    later.write(b"{1}")
    assert (later.began, later.read()) == (one.began_now, b"{1}")
    one.forget()
    one.forget()
    assert one.read() is None
