"""The source's process is killed while it is being read."""

import os
import signal
import tempfile
from contextlib import suppress
from threading import Thread
from time import sleep

import pytest
from orphans_support import assert_nothing_orphaned

from demo.process import find, start, stop
from elt_factory.dag.runtime import landing_place, project_name
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}
FLIGHTS = """
name: flights
start_date: 2013-01-01
timezone: America/New_York
retries: {count: 1, delay: 8s}
extract:
  type: rest_api
  connection: flights_api
  auth: {type: api_key, header: X-API-Key}
  paginator: {type: cursor, cursor_path: next, cursor_param: cursor}
tables:
  flights:
    path: /v1/flights
    params: {since: "{{ window.start }}", until: "{{ window.end }}", limit: 500}
    records: results
    primary_key: [flight_id]
    write_disposition: merge
    incremental: {cursor: updated_at, lag: 1h}
"""
# the first pages come at once, then one in two seconds: the client is told to wait, and is read from when the end comes
SLOW = {"DEMO_RATE_PER_MINUTE": "30", "DEMO_BURST": "3", "DEMO_FAIL_EVERY": "0"}
FAST = {"DEMO_RATE_PER_MINUTE": "60000", "DEMO_BURST": "600", "DEMO_FAIL_EVERY": "0"}


def wait_until(what) -> None:
    while not what():
        sleep(0.05)


def has_records(scratch) -> bool:
    """Whether a page of the source has come; files may go while they are looked at."""
    with suppress(FileNotFoundError):
        return any(file.stat().st_size for file in scratch.glob("elt-*/**/*") if file.is_file())
    return False


@pytest.mark.timeout(600)
def test_the_task_fails_clearly_and_its_retry_completes_the_load_with_no_row_twice(
    lines, unused_port, tmp_path, monkeypatch
):
    scratch, api, project = (tmp_path / name for name in ("scratch", "api", "project"))
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (project / "dag_configs").mkdir(parents=True)
    (project / "dag_configs" / "flights.yaml").write_text(FLIGHTS)
    line = lines(tmp_path / "data", unused_port, ELT_PROJECT=str(project))
    killed: list[int] = []

    def kill_and_restart() -> None:
        wait_until(lambda: has_records(scratch))
        server = find(api)
        killed.append(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        os.waitpid(server.pid, 0)
        wait_until(lambda: "after 5 tries" in line.screen)
        start(api, unused_port, env=FAST)

    start(api, unused_port, env=SLOW)
    try:
        Thread(target=kill_and_restart, daemon=True).start()
        outcome = line.run("flights", **WEEK)
    finally:
        stop(api)

    assert killed
    first_try, *_ = line.screen.splitlines()
    assert f"flights.flights: GET http://127.0.0.1:{unused_port}/v1/flights: " in first_try
    assert outcome.state == "success"
    assert line.tries(outcome)["tables.flights.extract"] == 2
    assert line.query("select count(*), count(distinct flight_id) from flights.flights") == [(6_099, 6_099)]
    loads = line.query("select rows_read, rows_loaded, rows_rejected, rows_duplicate from _elt.loads")
    assert loads == [(6_099, 6_099, 0, 0)]
    assert not list(scratch.glob("elt-*")), "what the killed try had read is cleared away"
    with line.using(), DuckDBWarehouse(line.warehouse_file) as opened:
        assert_nothing_orphaned(opened, landing_place("flights", "flights"), project_name(), "flights", "flights")
