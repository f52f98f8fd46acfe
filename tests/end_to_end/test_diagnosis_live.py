"""Incidents on a whole Airflow, each with its verdict: a killed worker, a retry, a wait, parts that are down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from live_airflow import Live, signed_in, within

ROOT = Path(__file__).parents[2]
ELT = [sys.executable, "-c", "from elt_factory.cli.main import main; main()"]
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
HEAD = 'name: {name}\nschedule: "0 3 * * *"\nstart_date: 2024-01-01\n'
API = "extract: {{type: rest_api, connection: api}}\ntables: {{rows: {{path: /{name}, records: rows}}}}\n"
FILES = "extract: {{type: files, connection: inbox}}\n"
TABLE = "tables: {{rows: {{path: '{name}.csv', primary_key: [id], write_disposition: merge}}}}\n"
CONFIGS = {
    "killed": "retries: {{count: 0}}\n" + API,
    "limited": "retries: {{count: 0}}\n" + API,
    "retried": "retries: {{count: 2, delay: 30m}}\n" + FILES + TABLE,
    "waits": FILES + TABLE + "sensors:\n  before_extract: [{{file: {{connection: inbox, path: waits.csv}}}}]\n",
    "halted": FILES + TABLE,
}
WINDOW = {"window_start": "2026-01-01", "window_end": "2026-01-02"}


class _Api(BaseHTTPRequestHandler):
    """Answers one path never, and the other with a wait of an hour."""

    asked = Event()

    def do_GET(self) -> None:
        if self.path.startswith("/killed"):
            self.asked.set()
            with suppress(OSError):
                self.rfile.read(1)
            return
        self.send_response(429)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def project(api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("diagnosis")
    (folder / "dag_configs").mkdir()
    (folder / "inbox").mkdir()
    for name in ("dags", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    for name, text in CONFIGS.items():
        (folder / "dag_configs" / f"{name}.yaml").write_text((HEAD + text).format(name=name))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW_CONN_API": json.dumps({"conn_type": "http", "host": api}),
        "AIRFLOW_CONN_INBOX": json.dumps({"conn_type": "fs", "extra": {"path": str(folder / "inbox")}}),
    }
    return folder, environment


@contextmanager
def running(folder: Path, environment: dict[str, str], port: int) -> Iterator[Live]:
    elt(environment, "up", "--port", str(port))
    try:
        with signed_in(port, folder / ".airflow", folder) as airflow:
            yield airflow
    finally:
        elt(environment, "down")


def elt(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ELT, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def verdicts(environment: dict[str, str]) -> dict[str, dict]:
    done = elt(environment, "diagnose", "--json")
    return {entry["source"]: entry for entry in json.loads(done.stdout)}


def state(live: Live, dag_id: str, run_id: str, task: str) -> str:
    return str(live.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}")["state"])


def test_incidents_of_a_live_line(project, unused_port):
    folder, environment = project
    with running(folder, environment, unused_port) as live:
        within(240, lambda: live.dags() >= set(CONFIGS))
        runs = {name: live.trigger(name, **WINDOW) for name in ("killed", "limited", "retried", "waits")}
        assert _Api.asked.wait(240)
        _kill_task(folder, "killed")
        assert within(240, lambda: state(live, "waits", runs["waits"], "before_extract.file_inbox") == "deferred")
        assert within(
            120, lambda: state(live, "limited", runs["limited"], "tables.rows.extract") == "up_for_reschedule"
        )
        assert within(240, lambda: state(live, "retried", runs["retried"], "tables.rows.extract") == "up_for_retry")
        assert within(240, lambda: state(live, "killed", runs["killed"], "tables.rows.extract") == "failed")
        found = verdicts(environment)
        assert {name: found[name]["code"] for name in CONFIGS} == {
            "killed": "worker-killed",
            "limited": "rate-limit",
            "retried": "retry-pending",
            "waits": "waiting",
            "halted": "paused",
        }, found
        assert "no file matches" in found["waits"]["sentence"]
        assert "until" in found["waits"]["sentence"]
        assert "at about" in found["retried"]["sentence"]
        began = datetime.now(UTC)
        _end("triggerer", folder)
        assert within(150, lambda: verdicts(environment)["waits"]["code"] == "triggerer-down")
        assert datetime.now(UTC) - began > timedelta(seconds=30)
    # nothing of Airflow runs any more, and the run that waits stays as it was
    assert within(150, lambda: verdicts(environment)["waits"]["code"] == "scheduler-down")


def _kill_task(folder: Path, source: str) -> None:
    """Kill the process of a task, as the kernel does when memory runs out."""
    import sqlite3

    with sqlite3.connect(folder / ".airflow" / "airflow.db") as database:
        select = "select pid from task_instance where dag_id = ? and state = 'running'"
        ((pid,),) = database.execute(select, [source]).fetchall()
    os.kill(pid, signal.SIGKILL)


def _end(component: str, folder: Path) -> None:
    """End one part of this very Airflow."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        with suppress(psutil.Error):
            if process.environ().get("ELT_PROJECT") == str(folder) and component in " ".join(process.cmdline()):
                process.kill()
