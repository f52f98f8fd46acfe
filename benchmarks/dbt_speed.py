"""A dbt project under a whole Airflow against one `dbt build` of it, in time and CPU; and what injected failures leave.

`python benchmarks/dbt_speed.py PROJECT [--failures N] [--rounds N] [--exclude SELECTOR] [--under PLACE]` takes any dbt
project that DuckDB runs, with its packages in dbt_packages/. It works on a copy: only dbt_project.yml gets a tag, and
two hooks that count the builds of each model and break some of them once. Airflow is on SQLite, as `elt up` runs it,
with every component a process of its own. All is built once before anything is timed, and one run goes before the timed
ones: at the first request of its life a triggerer builds an API of its own, and so does a worker of the API server. The
end of a run is read from the metadata database, since each question to the API loads all tasks of the run. What other
processes of the machine used meanwhile is printed, too: times count where that is little.
`--floor` runs a DAG with as many empty tasks and one with as many deferred ones: what Airflow itself needs.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import resource
import secrets
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psutil
import yaml

from elt_factory.cli.local import local_environment

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ("dag-processor", "scheduler", "triggerer")
BUNDLE = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": {"refresh_interval": 5}}]
CONFIG = """
name: speed
retries: {{count: 2, delay: 5s}}
transform: {{dbt: {{select: "tag:speed", {exclude}tests: none, tasks: {tasks}}}}}
"""
# As many tasks that do nothing: such as the scheduler marks alone, and such as wait for nothing in the triggerer
FLOOR = """
from datetime import timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs

class Deferred(BaseOperator):
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="airflow.providers.standard.triggers.temporal.TimeDeltaTrigger",
        trigger_kwargs={{"delta": timedelta(0), "end_from_trigger": True}},
        next_method="execute",
    )

for name, kind in (("empty", EmptyOperator), ("deferred", Deferred)):
    with DAG(name, schedule=None):
        [kind(task_id=f"task_{{number}}") for number in range({count})]
"""
FLOORS = ("empty", "deferred")
FOLDER = {"name": "floors", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}}
NO_TESTS = "resource_type:test resource_type:unit_test"
# Each start of a build leaves a file, which DuckDB does not take back; what is named in `broken` fails at its first
TRIES = "copy (select 1 as n) to '{folder}/tries/{{{{ this.name }}}}@{{{{ invocation_id }}}}.csv'"
BREAK = (
    "select case when exists (from glob('{folder}/broken/{{{{ this.name }}}}')) and (select count(*) from "
    "glob('{folder}/tries/{{{{ this.name }}}}@*.csv')) <= 1 then error('injected failure') end"
)


@dataclass(frozen=True)
class Taken:
    """The seconds that something took, the CPU seconds of each process, and those of the rest of the machine."""

    seconds: float
    used: Mapping[str, float]
    all_: float

    @property
    def cpu(self) -> float:
        """The CPU seconds of all."""
        return sum(self.used.values())

    def __str__(self) -> str:
        """Say both."""
        return f"{self.seconds:.1f} s ({self.cpu:.1f} s CPU, others {max(self.all_ - self.cpu, 0):.1f})"


@dataclass
class Bench:
    """A copy of a dbt project, and an Airflow of its own over it."""

    folder: Path
    exclude: str
    tasks: str
    under: str = ""
    threads: int = 1
    floor: int = 0
    processes: dict[str, int] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The dbt project."""
        return self.folder / "include" / "dbt"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.folder / "warehouse.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all processes."""
        return os.environ | self._airflow | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}

    def prepare(self, source: Path) -> None:
        """Copy the project, and add the hooks."""
        shutil.copytree(source, self.project, ignore=shutil.ignore_patterns("target", "logs", ".git", "*.duckdb"))
        for name in ("tries", "broken", "dag_configs", "dags"):
            (self.folder / name).mkdir()
        file = self.project / "dbt_project.yml"
        settings = yaml.safe_load(file.read_text())
        hooks = [{"sql": text.format(folder=self.folder), "transaction": False} for text in (TRIES, BREAK)]
        for kind in ("models", "seeds"):
            settings.setdefault(kind, {})["+pre-hook"] = hooks
        for kind, place in [("models", self.under)] if self.under else [("models", ""), ("seeds", "")]:
            inner = settings[kind]
            for name in filter(None, place.split(".")):
                inner = inner.setdefault(name, {})
            inner["+tags"] = ["speed"]
        file.write_text(yaml.safe_dump(settings))
        profile = {"type": "duckdb", "path": str(self.warehouse), "threads": self.threads}
        profile["settings"] = {"TimeZone": "UTC"}
        made = {"target": "dev", "outputs": {"dev": profile}}
        (self.project / "profiles.yml").write_text(yaml.safe_dump({settings["profile"]: made, "elt": made}))
        exclude = f'exclude: "{self.exclude}", ' if self.exclude else ""
        if self.floor:
            (self.folder / "dags" / "floors.py").write_text(FLOOR.format(count=self.floor))
        config = CONFIG.format(exclude=exclude, tasks=self.tasks)
        (self.folder / "dag_configs" / "speed.yaml").write_text(config)
        self._airflow = self._settings()
        make = (
            "import yaml; from elt_factory.cli.local import apply_settings, migrate_database; migrate_database();"
            f"pools = yaml.safe_load(open({str(ROOT / 'airflow_settings.yaml')!r}))['airflow']['pools'];"
            "apply_settings({'airflow': {'pools': pools}})"
        )
        self.run(sys.executable, "-c", make)
        self.dbt("build", "--select", "+tag:speed", "--exclude", *self.exclude.split(), *NO_TESTS.split())
        self.run(sys.executable, "-m", "elt_factory.dag.dbt_project")

    def run(self, *command: str) -> None:
        """Run a command; what it says goes into a file."""
        with (self.folder / "commands.log").open("a") as log:
            subprocess.run(command, env=self.environment, cwd=ROOT, check=True, stdout=log, stderr=log)

    def dbt(self, *command: str) -> Taken:
        """Run dbt; the seconds that it took."""
        began, used, all_ = time.monotonic(), _waited_for(), _machine()
        executable = str(Path(sys.executable).with_name("dbt"))
        # what it keeps of the parsed project is for its own profile
        target = ["--target-path", str(self.folder / "peer"), "--profiles-dir", str(self.project)]
        self.run(executable, *command, "--project-dir", str(self.project), *target)
        return Taken(time.monotonic() - began, {"dbt": _waited_for() - used}, _machine() - all_)

    def build(self) -> Taken:
        """Build all by one dbt; the seconds that it took."""
        return self.dbt("build", "--select", "tag:speed", "--exclude", *self.exclude.split(), *NO_TESTS.split())

    def clean(self) -> None:
        """Forget what was built and counted, but the seeds' tables, which models ask for while they are compiled."""
        for name in ("tries", "broken"):
            for file in (self.folder / name).iterdir():
                file.unlink()

    def tries(self) -> dict[str, int]:
        """How often each model's build began."""
        found: dict[str, int] = {}
        for file in (self.folder / "tries").iterdir():
            name = file.name.partition("@")[0]
            found[name] = found.get(name, 0) + 1
        return found

    def contents(self) -> dict[str, int]:
        """Count the rows of every table and view."""
        with duckdb.connect(str(self.warehouse), read_only=True) as opened:
            tables = opened.execute(
                "select table_schema, table_name from information_schema.tables where table_schema != '_elt'"
            ).fetchall()
            return {
                f"{schema}.{name}": len(opened.execute(f'select 1 from "{schema}"."{name}"').fetchall())
                for schema, name in sorted(tables)
            }

    def state_of(self, dag: str, run_id: str) -> str:
        """Return the state of a run."""
        with closing(sqlite3.connect(self.folder / "airflow" / "airflow.db", timeout=60)) as database:
            found = database.execute("select state from dag_run where dag_id = ? and run_id = ?", (dag, run_id))
            return str(found.fetchone()[0])

    def used(self) -> dict[str, float]:
        """Return the CPU seconds of each component with all that it has started."""
        return {name: _tree(pid) for name, pid in self.processes.items()}

    def _settings(self) -> dict[str, str]:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        home = self.folder / "airflow"
        home.mkdir()
        bundles = [*BUNDLE, FOLDER | {"kwargs": {"path": str(self.folder / "dags")}}] if self.floor else BUNDLE
        return local_environment(ROOT) | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=120",
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(self.warehouse)}),
            "AIRFLOW_VAR_ELT_LANDING": str(self.folder / "landing"),
            "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "ELT_PROJECT": str(self.folder),
            "PYTHONPATH": str(ROOT / "include"),
        }

    @contextmanager
    def airflow(self) -> Iterator[httpx.Client]:
        """Provide the API of a running Airflow that knows the DAG."""
        port = self.url.rpartition(":")[2]
        commands = [*([name] for name in COMPONENTS), ["api-server", "--host", "127.0.0.1", "--port", port]]
        with closing(sqlite3.connect(self.folder / "airflow" / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode = WAL")
        running = [self._start(command) for command in commands]
        self.processes = {command[0]: process.pid for command, process in zip(commands, running, strict=True)}
        try:
            _until(lambda: httpx.get(f"{self.url}/api/v2/version").is_success, 180)
            token = httpx.get(f"{self.url}/auth/token").raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"{self.url}/api/v2", headers=headers, timeout=60) as api:
                for dag in ("speed", *(FLOORS if self.floor else ())):
                    _until(lambda d=dag: api.patch(f"/dags/{d}", json={"is_paused": False}).is_success, 180)
                yield api
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 15)
            for process in running:
                process.wait(timeout=60)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{command[0]}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def one_run(
    bench: Bench, api: httpx.Client, number: int, dag: str = "speed", within: float = 3600
) -> tuple[Taken, Mapping[str, tuple[str, int]]]:
    """Let a DAG run; what it took until its end, and each task's state and number of tries."""
    day = f"2024-01-{number + 1:02}T00:00:00Z"
    began, used, all_ = time.monotonic(), bench.used(), _machine()
    run_id = api.post(f"/dags/{dag}/dagRuns", json={"logical_date": day}).raise_for_status().json()["dag_run_id"]
    _until(lambda: bench.state_of(dag, run_id) in ("success", "failed"), within)
    after = bench.used()
    taken = Taken(time.monotonic() - began, {name: after[name] - used[name] for name in after}, _machine() - all_)
    path = f"/dags/{dag}/dagRuns/{run_id}"
    tasks: list[dict[str, Any]] = []
    while found := _page(api, f"{path}/taskInstances", len(tasks)):
        tasks += found
    return taken, {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}


def _page(api: httpx.Client, path: str, offset: int) -> list[dict[str, Any]]:
    answer = api.get(path, params={"limit": 100, "offset": offset}).raise_for_status().json()
    return list(answer["task_instances"])


def speed(bench: Bench, api: httpx.Client, rounds: int) -> None:
    """Time both ways in turn."""
    bench.clean()
    print(f"first run: {one_run(bench, api, 0)[0]}", flush=True)
    taken: dict[str, list[Taken]] = {"dbt": [], "Airflow": []}
    for number in range(1, rounds + 1):
        bench.clean()
        taken["dbt"].append(bench.build())
        bench.clean()
        ours, tasks = one_run(bench, api, number)
        taken["Airflow"].append(ours)
        states = {state for state, _ in tasks.values()}
        assert states == {"success"}, states
        assert set(bench.tries().values()) == {1}, "each model is built once"
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in ours.used.items())
        print(f"round {number}: dbt {taken['dbt'][-1]}, Airflow {ours}: {parts}; {len(tasks)} tasks", flush=True)
    for what in ("seconds", "cpu"):
        middle = {name: statistics.median(getattr(one, what) for one in all_) for name, all_ in taken.items()}
        print(
            f"{len(bench.tries())} models: {what} {middle}, ratio {middle['Airflow'] / middle['dbt']:.2f}", flush=True
        )


def floors(bench: Bench, api: httpx.Client) -> None:
    """Time DAGs of as many tasks that do nothing: what Airflow itself needs."""
    for dag in FLOORS:
        for number in range(2):
            print(f"{dag}, run {number}: {one_run(bench, api, number, dag)[0]}", flush=True)


def failures(bench: Bench, api: httpx.Client, count: int, number: int) -> None:
    """Break models once each in one run, and compare what is there in the end with a build without failures."""
    bench.clean()
    before = bench.contents()
    bench.build()
    # what changes from build to build is a log that the project keeps of them
    models, wanted = sorted(bench.tries()), dict(before.items() & bench.contents().items())
    bench.clean()
    broken = random.Random(number).sample(models, min(count, len(models)))
    for name in broken:
        (bench.folder / "broken" / name).touch()
    taken, tasks = one_run(bench, api, number)
    tries = bench.tries()
    assert {state for state, _ in tasks.values()} == {"success"}, {k: v for k, v in tasks.items() if v[0] != "success"}
    assert wanted.items() <= bench.contents().items(), (
        "what is there in the end is what a build without failures leaves"
    )
    expected = {name: 2 if name in broken else 1 for name in models}
    assert tries == expected, {name: tries.get(name) for name in models if tries.get(name) != expected[name]}
    again = sum(attempt > 1 for _, attempt in tasks.values())
    print(f"{len(broken)} of {len(models)} models failed once: right in the end, {again} tasks retried, {taken}")


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _machine() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _tree(pid: int) -> float:
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def _until(holds: object, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        with suppress(httpx.HTTPError):
            if holds():  # type: ignore[operator]
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {within:.0f} s")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--failures", type=int, default=0)
    parser.add_argument("--exclude", default="")
    parser.add_argument("--under", default="", help="only the models that are there, such as package.folder")
    parser.add_argument("--threads", type=int, default=1, help="threads of the dbt that runs alone")
    parser.add_argument("--tasks", default="watched", choices=("watched", "per_model", "one"))
    parser.add_argument("--floor", type=int, default=0, help="that many tasks that do nothing, for comparison")
    parser.add_argument("--keep", type=Path, help="a folder to work in, and to leave")
    given = parser.parse_args()
    # each component leads a session of its own: one that is left would keep using the database
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        bench = Bench(folder, given.exclude, given.tasks, given.under, given.threads, given.floor)
        bench.folder.mkdir(exist_ok=True)
        bench.prepare(given.project)
        with bench.airflow() as api:
            if given.floor:
                floors(bench, api)
            speed(bench, api, given.rounds)
            if given.failures:
                failures(bench, api, given.failures, given.rounds + 1)


if __name__ == "__main__":
    main()
