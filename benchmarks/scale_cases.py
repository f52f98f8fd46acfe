"""What `scale.py` measures, each case in a process of its own: `scale_cases.py CASE FOLDER SOURCES`."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ROWS, LAST = 1_000, 10
SETTLED, WITHIN = 3, 900  # seconds
BASE = 2


def parse(home: Path, count: int) -> dict[str, float]:
    """Have Airflow's DAG processor read all configs once; then only two of them."""
    stored = _stored(home, count)
    base = _stored(home / "base", BASE)
    return {
        "cpu": stored["cpu"] - base["cpu"],
        "of": count - BASE,
        "mb": stored["mb"],
    }


def _stored(home: Path, count: int) -> dict[str, float]:
    from parse_cases import write_sources

    configs = home / "dag_configs"
    configs.mkdir(parents=True)
    write_sources(configs, count)
    database = f"sqlite:///{home}/airflow.db?timeout=120"
    environment = os.environ | {
        "ELT_PROJECT": str(home),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    code = (
        "from airflow.dag_processing.manager import DagFileProcessorManager; DagFileProcessorManager(max_runs=1).run();"
        "import resource as r; u = [r.getrusage(w) for w in (r.RUSAGE_SELF, r.RUSAGE_CHILDREN)];"
        "print('USED', sum(x.ru_utime + x.ru_stime for x in u), max(x.ru_maxrss for x in u) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    [used] = [line.split() for line in done.stdout.splitlines() if line.startswith("USED")]
    with closing(sqlite3.connect(home / "airflow.db")) as metadata:
        (alive,) = metadata.execute("select count(*) from dag where not is_stale").fetchone()
    assert alive == count, (alive, count)
    return {"cpu": float(used[1]), "mb": float(used[2])}


def schedule(home: Path, count: int) -> dict[str, float]:
    """Have Airflow's scheduler take a run of each source from its start to its end."""
    _stored(home, count)
    with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as metadata:
        metadata.execute("PRAGMA journal_mode = WAL")
    code = (
        "from airflow.models import Pool; from airflow.utils.session import create_session\n"
        "with create_session() as session:\n"
        "    session.add(Pool(pool='warehouse', slots=64, include_deferred=False))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    with (home / "scheduler.log").open("w") as log:
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"], stdout=log, stderr=log
        )
    try:
        cpu, seconds = _taken(home, scheduler, count)
    finally:
        scheduler.send_signal(signal.SIGKILL)
        scheduler.wait()
    with closing(sqlite3.connect(home / "airflow.db")) as metadata:
        (tasks,) = metadata.execute("select count(*) from task_instance").fetchone()
    mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"cpu": cpu, "of": count, "mb": mb, "tasks": tasks, "seconds": seconds}


def _taken(home: Path, scheduler: subprocess.Popen[bytes], count: int) -> tuple[float, float]:
    """Switch all DAGs on below a scheduler that waits; its CPU and the seconds until each has had its run."""
    import psutil

    process = psutil.Process(scheduler.pid)

    def asked(statement: str) -> int:
        if scheduler.poll() is not None:
            raise SystemExit((home / "scheduler.log").read_text()[-3000:])
        with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as metadata:
            answer = metadata.execute(statement).fetchone()
            metadata.commit()
        return int(answer[0]) if answer else 0

    while not asked("select count(*) from job where job_type = 'SchedulerJob' and state = 'running'"):
        time.sleep(0.5)
    time.sleep(SETTLED)
    began, first = time.monotonic(), sum(process.cpu_times()[:2])
    # switched on, each DAG has the run of its last day: to make that run is a part of what is measured
    asked("update dag set is_paused = 0")
    while asked("select count(*) from dag_run where state = 'success'") < count:
        time.sleep(0.1)
        if time.monotonic() - began > WITHIN:
            raise SystemExit((home / "scheduler.log").read_text()[-3000:])
    return sum(process.cpu_times()[:2]) - first, time.monotonic() - began


def load(home: Path, count: int) -> dict[str, float]:
    """Load a table of each source into one warehouse."""
    from elt_factory.config.models.table import Table
    from elt_factory.core.window import load_id
    from elt_factory.extract.request import Spool
    from elt_factory.landing.land import land
    from elt_factory.landing.manifest import Owner, read_manifest
    from elt_factory.landing.places import LocalPlace
    from elt_factory.landing.request import LandRequest
    from elt_factory.landing.schema import KnownTable
    from elt_factory.warehouse.base import LoadOrder
    from elt_factory.warehouse.dialect import Relation
    from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
    from load_cases import COLUMNS, WINDOW, Case, records

    case = Case(home, ROWS)
    records(case)
    sent = _counted(DuckDBWarehouse)
    table = Table.model_validate(
        {"primary_key": ["order_id"], "columns": {name: {"type": kind} for name, kind in COLUMNS.items()}}
    )
    began, before, marks = time.monotonic(), _used(), []
    for number in range(count):
        source = f"source_{number}"
        name = load_id(source, "orders", WINDOW)
        place, work = LocalPlace(home / "landing" / source), home / "work" / source
        work.mkdir(parents=True)
        spool = Spool("ndjson", tuple(sorted(case.records.iterdir())), rows_read=ROWS)
        land(LandRequest(KnownTable(source, "orders", table, None), WINDOW, name, spool, place, work, _silent))
        [attempt] = place.folder.iterdir()
        manifest = read_manifest(place, Owner("", source, "orders", name, attempt.name))
        with DuckDBWarehouse(home / "warehouse.duckdb") as warehouse:
            counted = len(sent)
            report = warehouse.load(
                LoadOrder(manifest, place, Relation(source, "orders"), "merge", ("order_id",), "run")
            )
        assert report.rows_loaded == ROWS
        marks.append((_used(), len(sent) - counted))
    last = min(LAST, count - 1)
    return {
        "cpu": marks[-1][0] - marks[-1 - last][0],
        "of": last,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "statements": marks[-1][1],
        "seconds": time.monotonic() - began,
        "all": _used() - before,
    }


def _counted(kind: Any) -> list[str]:
    """Have every statement that a warehouse is sent noted."""
    sent: list[str] = []
    for name in ("execute", "query"):
        plain = getattr(kind, name)

        def noted(self: Any, statement: str, plain: Any = plain) -> Any:
            sent.append(statement)
            return plain(self, statement)

        setattr(kind, name, noted)
    return sent


def _silent(_: str) -> None:
    pass


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    found = {"parse": parse, "schedule": schedule, "load": load}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print("RESULT" + json.dumps(found))
