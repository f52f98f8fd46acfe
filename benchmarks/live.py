"""A dag-processor over a thousand configs by the bundle: the time until all are there, its memory, what idling costs.

Run it with `python benchmarks/live.py [configs]`: about five minutes. One config in ten has dbt models, five more are
broken. Airflow's metadata database is SQLite, its settings are those that `elt up` ships.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from elt_factory.cli.local import local_environment
from parse_cases import SOURCE, write_sources

ROOT = Path(__file__).resolve().parents[1]
BROKEN = ("name: [", "nmae: x", "name: b_2\n", "name: b_3\nextract: {type: rest}\n", "- a list")
DBT = 'transform: {dbt: {select: "tag:flights"}}\n'
IDLE_SECONDS = 30


@dataclass
class Live:
    """A dag-processor over a project of its own."""

    project: Path
    home: Path
    processor: subprocess.Popen[bytes] | None = None
    peak: dict[str, float] = field(default_factory=lambda: {"manager": 0.0, "all": 0.0})

    @property
    def configs(self) -> Path:
        """The folder of the YAML files."""
        return self.project / "dag_configs"

    def ask(self, statement: str, *values: object) -> list[tuple]:
        """Ask Airflow's database."""
        with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(statement, values).fetchall()

    def one(self, statement: str, *values: object) -> object:
        """Return the one value that a query answers with."""
        rows = self.ask(statement, *values)
        return rows[0][0] if rows else None

    def until(self, holds: Callable[[], bool], within: float = 900) -> float:
        """Seconds until something holds; memory is looked at on the way."""
        began = time.monotonic()
        while not holds():
            self.look_at_memory()
            if time.monotonic() - began > within:
                raise SystemExit(f"not within {within} s; see {self.home}/dag-processor.log")
            time.sleep(0.25)
        return time.monotonic() - began

    def look_at_memory(self) -> None:
        """Note how large the processes are now."""
        manager = self.processor.pid
        sizes = {pid: _megabytes(pid) for pid in _processes_of(manager)}
        self.peak["manager"] = max(self.peak["manager"], sizes.get(manager, 0))
        self.peak["all"] = max(self.peak["all"], sum(sizes.values()))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Provide the dag-processor, until the block ends."""
        environment = os.environ | local_environment(ROOT) | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.home / "cosmos"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self.home / "bundles"),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(self.home / "w.duckdb")}),
            "ELT_PROJECT": str(self.project),
            "PYTHONPATH": str(ROOT / "include"),
        }  # fmt: skip
        airflow = [sys.executable, "-m", "airflow"]
        subprocess.run([*airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
        with (self.home / "dag-processor.log").open("w") as log:
            self.processor = subprocess.Popen(
                [*airflow, "dag-processor"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield
        finally:
            os.killpg(self.processor.pid, signal.SIGTERM)
            self.processor.wait(timeout=60)


def main(count: int) -> None:
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as scratch:
        live = Live(Path(scratch) / "project", Path(scratch) / "airflow")
        live.home.mkdir()
        _write_project(live, count)
        with live.running():
            measure(live, count)


def measure(live: Live, count: int) -> None:
    alive = "select count(*) from dag where not is_stale"
    first = live.until(lambda: (live.one(alive) or 0) > 0)
    rest = live.until(lambda: live.one(alive) == count)
    live.until(lambda: live.one("select count(*) from import_error") == len(BROKEN), 60)
    print(f"{count:,} DAGs parsed and stored {first + rest:.0f} s after the start ({count / rest:.0f} a second)")
    print(f"of a core: {_cpu_seconds(live.processor.pid) / (count + len(BROKEN)):.2f} s for each file, start included")
    print(f"import errors: {len(BROKEN)}, one for each broken file")
    print(f"memory (PSS): manager {live.peak['manager']:.0f} MB, with its processes {live.peak['all']:.0f} MB")

    time.sleep(10)
    versions, used = live.one("select count(*) from dag_version"), _cpu_seconds(live.processor.pid)
    parsed = live.one("select count(*) from dag where last_parsed_time > datetime('now', '-5 seconds')")
    time.sleep(IDLE_SECONDS)
    used = _cpu_seconds(live.processor.pid) - used
    print(f"idle: {used / IDLE_SECONDS:.1%} of a core; {parsed} DAGs parsed again in the last 5 s")

    file, told = live.configs / f"shop_{count // 2}.yaml", "select description from dag where dag_id = ?"
    file.write_text(file.read_text().replace("description: Orders", "description: New orders", 1))
    shown = live.until(lambda: str(live.one(told, file.stem)).startswith("New orders"))
    print(f"a changed file shows after {shown:.1f} s")
    (live.configs / "brand_new.yaml").write_text(SOURCE.format(name="brand_new"))
    print(f"a new file shows after {live.until(lambda: live.one(alive) == count + 1):.1f} s")
    (live.configs / "brand_new.yaml").unlink()
    print(f"a deleted file is gone after {live.until(lambda: live.one(alive) == count):.1f} s")

    (live.configs / "_defaults.yaml").write_text("owner: data-platform\n")
    oldest = live.one("select max(last_parsed_time) from dag")
    again = live.until(lambda: str(live.one("select min(last_parsed_time) from dag where not is_stale")) > str(oldest))
    made = live.one("select count(*) from dag_version") - versions
    print(
        f"changed defaults: all {count:,} parsed again after {again:.0f} s; "
        f"DAG versions made since the first pass: {made} (1 file changed)"
    )


def _write_project(live: Live, count: int) -> None:
    live.configs.mkdir(parents=True)
    write_sources(live.configs, count)
    for number in range(0, count, 10):
        with (live.configs / f"shop_{number}.yaml").open("a") as file:
            file.write(DBT)
    for number, text in enumerate(BROKEN):
        (live.configs / f"broken_{number}.yaml").write_text(text)
    (live.project / "include").mkdir()
    shutil.copytree(ROOT / "include" / "dbt", live.project / "include" / "dbt")


def _processes_of(session: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                yield int(folder.name)
        except ProcessLookupError:
            continue


def _megabytes(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def _cpu_seconds(pid: int) -> float:
    """Of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1000)
