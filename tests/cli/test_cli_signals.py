"""SIGTERM and SIGINT: `elt run` ends soon, with all that it started, in the middle of a task."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import psutil
import pytest

from elt_factory.cli.local_runs import freed
from exports_support import exports_api

ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]
CONFIG = """
name: slow
start_date: 2013-01-01
retries: {count: 2, delay: 1s}
extract: {type: rest_api, connection: silent}
tables:
  first: {path: /x, primary_key: [id], write_disposition: merge}
  second: {path: /y, primary_key: [id], write_disposition: merge}
"""


@pytest.fixture
def silent_server() -> Iterator[tuple[int, threading.Event]]:
    """A port that takes connections and never answers; the event says that somebody came."""
    came = threading.Event()
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    came.set()

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1], came
    for connection in held:
        connection.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_run_in_the_middle_of_a_task_and_airflow_has_none_of_it_as_running(
    number, silent_server, airflow_db, tmp_path
):
    port, came = silent_server
    (tmp_path / "dag_configs").mkdir()
    (tmp_path / "dag_configs" / "slow.yaml").write_text(CONFIG)
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2] / "include"),
        "ELT_PROJECT": str(tmp_path),
        "AIRFLOW_CONN_SILENT": f'{{"conn_type": "http", "host": "http://127.0.0.1:{port}"}}',
        "AIRFLOW_CONN_WAREHOUSE": f'{{"conn_type": "duckdb", "host": "{tmp_path}/warehouse.duckdb"}}',
    }
    run = subprocess.Popen([*ELT, "run", "slow"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert came.wait(300), "the run never asked its source"
        time.sleep(0.2)
        asked_at = time.monotonic()
        run.send_signal(number)
        run.wait(30)
        assert time.monotonic() - asked_at < 20
        killed = number == signal.SIGKILL
        assert run.returncode == (-number if killed else 128 + number)
    finally:
        run.kill()
        run.wait()
    assert bool(running_in(airflow_db)) == killed
    found = freed()
    assert running_in(airflow_db) == []
    assert freed() == ()
    if killed:
        (sentence,) = found
        assert f"the process of elt run slow (pid {run.pid}, begun " in sentence
        assert re.search(
            r"was killed with tables\.\w+\.extract running: failed now, with its slot of the pool", sentence
        )


def running_in(database: Path) -> list[tuple[str, ...]]:
    """What Airflow has as not ended: tasks of the config that were begun, and runs of it."""
    with closing(sqlite3.connect(database)) as airflow:
        tasks = (
            "select task_id from task_instance where dag_id = 'slow' and state in ('running', 'queued', 'scheduled')"
        )
        runs = "select run_id from dag_run where dag_id = 'slow' and state in ('running', 'queued')"
        return airflow.execute(f"{tasks} union all {runs}").fetchall()


WAITS = """
name: slow
start_date: 2013-01-01
extract: {type: rest_api, connection: exports}
tables:
  export:
    path: /exports
    json: {}
    job:
      id: id
      path: /exports/{{ job.id }}
      status: state
      done: [finished]
      every: 1s
      download: /exports/{{ job.id }}/file
      cancel: DELETE /exports/{{ job.id }}
    format: {type: csv}
    primary_key: [id]
    write_disposition: merge
"""


@pytest.mark.timeout(400)
def test_ctrl_c_cancels_the_job_that_a_run_waits_for(airflow_db, tmp_path):
    (tmp_path / "dag_configs").mkdir()
    (tmp_path / "dag_configs" / "slow.yaml").write_text(WAITS)
    with exports_api() as api:
        api.busy = 10_000
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2] / "include"),
            "ELT_PROJECT": str(tmp_path),
            "AIRFLOW_CONN_EXPORTS": f'{{"conn_type": "http", "host": "{api.url}"}}',
            "AIRFLOW_CONN_WAREHOUSE": f'{{"conn_type": "duckdb", "host": "{tmp_path}/warehouse.duckdb"}}',
        }
        run = subprocess.Popen([*ELT, "run", "slow"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            # the first look is the worker's
            until = time.monotonic() + 300
            while api.asked.count("GET /exports/1") < 3 and time.monotonic() < until:
                time.sleep(0.1)
            run.send_signal(signal.SIGINT)
            run.wait(60)
            assert run.returncode == 128 + signal.SIGINT
        finally:
            run.kill()
            run.wait()
        assert api.asked[-1] == "DELETE /exports/1"
    assert not list(tmp_path.rglob("job.json"))


BY_DAY = """
name: days
schedule: "@daily"
start_date: 2013-01-01
extract: {type: files, folder: inbox}
tables:
  days: {path: "%Y-%m-%d.csv", primary_key: [id], write_disposition: merge}
"""


@pytest.mark.timeout(600)
def test_a_backfill_that_is_killed_continues_with_the_same_command(airflow_db, tmp_path):
    (tmp_path / "dag_configs").mkdir()
    (tmp_path / "dag_configs" / "days.yaml").write_text(BY_DAY)
    (tmp_path / "inbox").mkdir()
    for number in (1, 2):
        (tmp_path / "inbox" / f"2013-01-0{number}.csv").write_text(f"id\n{number}\n")
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2] / "include"),
        "ELT_PROJECT": str(tmp_path),
        "AIRFLOW_CONN_WAREHOUSE": f'{{"conn_type": "duckdb", "host": "{tmp_path}/warehouse.duckdb"}}',
    }
    command = [*ELT, "backfill", "days", "--start", "2013-01-01", "--end", "2013-01-03", "--yes"]
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert any("1/2" in line for line in run.stdout)
    finally:
        run.kill()
        run.wait()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "days is loaded: " in again.stdout
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        assert warehouse.execute("select id from days.days order by id").fetchall() == [(1,), (2,)]
        loads = "select window_start, count(*) from _elt.load_log group by 1 order by 1"
        # the window that the kill came into may have been committed before its run had ended
        first, second = [count for _, count in warehouse.execute(loads).fetchall()]
    assert first == 1
    assert second in (1, 2)
    assert not list((tmp_path / "logs" / "backfills").iterdir())


STARTS_OTHERS = """
import subprocess, sys, time
from elt_factory.cli.ending import ended_by_signals

stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
with ended_by_signals():
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    while True:
        try:
            time.sleep(99)
        except Exception:
            pass
"""


@pytest.mark.services
def test_what_a_command_started_ends_with_it_even_when_it_ignores_sigterm():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "include")}
    parent = subprocess.Popen([sys.executable, "-c", STARTS_OTHERS], env=environment, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == 128 + signal.SIGTERM
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
