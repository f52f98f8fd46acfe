"""A whole Airflow over a project of a test's own."""

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from elt_factory.cli.local import local_environment

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Deployment:
    """A project of its own and the Airflow over it."""

    project: Path
    environment: dict[str, str]

    @property
    def configs(self) -> Path:
        return self.project / "dag_configs"

    def serve(self, bundles: list[dict[str, object]]) -> tuple[str, list[str]]:
        """Take DAGs from bundles, and have a web server: its address, and the command that starts it."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self.environment.update(
            {
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
                "AIRFLOW__API__BASE_URL": url,
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            }
        )
        return url, ["api-server", "--host", "127.0.0.1", "--port", str(port)]

    def query(self, statement: str) -> list[tuple]:
        database = f"file:{self.environment['AIRFLOW_HOME']}/airflow.db?mode=ro"
        connection = sqlite3.connect(database, uri=True, timeout=30)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(f"{self.environment['AIRFLOW_HOME']}/airflow.db", timeout=120)) as connection:
            connection.execute(statement)
            connection.commit()

    def processes(self, command: str) -> list[psutil.Process]:
        """The processes that `running` started with a command, without those that they forked."""
        mine = psutil.Process().children()
        return [process for process in mine if command in process.cmdline()]

    def alive(self) -> set[str]:
        return {row[0] for row in self.query("select dag_id from dag where not is_stale")}

    def import_errors(self) -> dict[str, str]:
        return dict(self.query("select filename, stacktrace from import_error"))

    @contextmanager
    def running(self, *commands: list[str]) -> Iterator[None]:
        home = Path(self.environment["AIRFLOW_HOME"])
        logs = [(home / f"{command[0]}.log").open("a") for command in commands]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=os.environ | self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for command, log in zip(commands, logs, strict=True)
        ]
        try:
            yield
        except AssertionError:
            for process, command in zip(running, commands, strict=True):
                log = (home / f"{command[0]}.log").read_text().splitlines()
                sys.stdout.write("\n".join([f"== {command[0]}: ended {process.poll()}", *log[-40:], ""]))
            raise
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            for process, log in zip(running, logs, strict=True):
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                log.close()


def deployment_over(project: Path, home: Path, airflow_template: Path) -> Deployment:
    """A deployment whose connection `inbox` is the folder of that name in the project."""
    home.mkdir()
    database = home / "airflow.db"
    shutil.copy(airflow_template, database)
    # else who reads keeps who writes waiting, and components give up
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    # the scheduler gives up when others write to SQLite for longer than it waits
    metadata = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=120"}
    return Deployment(project, environment_over(project, home) | metadata)


def environment_over(project: Path, home: Path) -> dict[str, str]:
    """What the processes of an Airflow over a project have in common, but for where its metadata is."""
    return local_environment(ROOT) | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(home / "warehouse.duckdb")}),
        "AIRFLOW_VAR_ELT_LANDING": str(home / "landing"),
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW_CONN_INBOX": json.dumps({"conn_type": "fs", "extra": {"path": str(project / "inbox")}}),
        # components that start at once would each make secrets of their own, and not believe or read each other
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "ELT_PROJECT": str(project),
        "PYTHONPATH": str(ROOT / "include"),
    }


def until(holds: Callable[[], object], within: float, why: Callable[[], object] = str) -> float:
    """Wait until something holds; how long it took."""
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        assert waited < within, f"not within {within} s: {why()}"
        time.sleep(0.25)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def api_of(url: str) -> httpx.Client:
    until(lambda: _answers(url), 120)
    token = httpx.get(f"{url}/auth/token").raise_for_status().json()["access_token"]
    # longer than SQLite waits for who writes: the scheduler, and tasks that all end in the same moment
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=150)


def done(ask: Callable[[], httpx.Response]) -> None:
    """Ask until it is done: SQLite lets one write at a time, and the web server does not wait for long."""
    until(lambda: ask().is_success, 200, lambda: ask().text)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/version", timeout=5).is_success
    except httpx.HTTPError:
        return False
