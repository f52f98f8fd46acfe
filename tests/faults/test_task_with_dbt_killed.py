"""A task with dbt is killed that was forked from a scheduler which had imported dbt: dbt ends, the retry is right."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil
import pytest

PROJECT = {
    "dag_configs/shop.yaml": "transform: {dbt: {tasks: watched}}\n",
    "dbt_project.yml": "name: shop\nprofile: shop\nmodels: {shop: {+materialized: table}}\n",
    "profiles.yml": "shop: {target: t, outputs: {t: {type: duckdb, path: %s/warehouse.duckdb, threads: 1}}}\n",
    "models/first.sql": "SELECT range AS id FROM range(10)",
}
QUICK = "SELECT id FROM {{ ref('first') }}"
SLOW = f"{QUICK} WHERE (SELECT count(*) FROM range(100000000000000) r WHERE r.range % 7 = id) > 0"
pytestmark = pytest.mark.timeout(300)


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def scheduler(tmp_path):
    for name, text in PROJECT.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text % tmp_path if "%s" in text else text)
    environment = os.environ | {
        "ELT_PROJECT": str(tmp_path),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    program = Path(__file__).with_name("scheduler_support.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "scheduler.log").open("w"),
        text=True,
    ) as process:
        yield process
        for left in [*psutil.Process(process.pid).children(recursive=True), process]:
            left.kill()


def test_dbt_ends_with_its_task_and_the_retry_builds_every_model(scheduler, tmp_path):
    model, log, warehouse = (tmp_path / name for name in ("models/orders.sql", "dbt.log", "warehouse.duckdb"))
    for how in ("in its process", "as a process"):
        model.write_text(SLOW)
        task = psutil.Process(ask(scheduler, how))
        until(lambda: log.exists() and "START sql table model main.orders" in log.read_text())
        below = task.children(recursive=True)
        # in its process it has what counts the locks of dbt, else the supervisor and dbt
        assert any("build" in process.cmdline() for process in below) is (how == "as a process")
        task.send_signal(signal.SIGKILL)
        assert int(scheduler.stdout.readline()) == -signal.SIGKILL
        gone, alive = psutil.wait_procs(below, timeout=60)
        assert (len(gone), alive) == (len(below), [])

        model.write_text(QUICK)
        ask(scheduler, how)
        assert int(scheduler.stdout.readline()) == 0, (tmp_path / "scheduler.log").read_text()
        with duckdb.connect(str(warehouse)) as connection:
            assert connection.execute("SELECT count(*), sum(id) FROM orders").fetchall() == [(10, 45)]
            tables = connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()
        assert tables == [("first",), ("orders",)]
        warehouse.unlink()
        log.unlink()


def ask(scheduler: subprocess.Popen, how: str) -> int:
    """Have a task begin: its process."""
    scheduler.stdin.write(f"{how}\n")
    scheduler.stdin.flush()
    return int(scheduler.stdout.readline())
