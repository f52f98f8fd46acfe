"""A whole Airflow whose metadata database, triggerer, mapped part and join are killed in one run: it ends right."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from orphans_support import assert_nothing_orphaned

from elt_factory.landing.places import LocalPlace
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "distributed")]
from cluster import BUNDLE, HURRY, Cluster, make_metadata

from live_support import Deployment, api_of, done, environment_over, until
from postgres_server import Server, postgres_server

LONGEST = 600  # seconds for what takes some on a quiet machine
CONFIG = """
name: src
schedule: null
start_date: 2013-01-01
retries: {count: 10, delay: 1s}
extract: {type: files, connection: inbox}
tables:
  tab:
    path: input_*.csv
    write_disposition: append
    primary_key: [id]
    split: {tasks: 2}
sensors: {before_extract: [{file: {path: go}, poke_interval: 2s}]}
"""
ROWS = 2_000
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("ELT_KILL_AIRFLOW") != "1", reason="minutes: ELT_KILL_AIRFLOW=1 runs it"),
]


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres_server() as made:
        made.query("CREATE DATABASE airflow")
        yield made


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Iterator[Cluster]:
    project, home = tmp_path / "project", tmp_path / "airflow"
    for folder in (home, project / "dag_configs", project / "inbox"):
        folder.mkdir(parents=True)
    (project / "dag_configs" / "src.yaml").write_text(CONFIG)
    for number in range(2):
        ids = range(number * ROWS, (number + 1) * ROWS)
        (project / "inbox" / f"input_{number}.csv").write_text("id,v\n" + "".join(f"{i},v{i}\n" for i in ids))
    environment = environment_over(project, home) | HURRY
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql://postgres@127.0.0.1:{server.port}/airflow"
    environment["AIRFLOW__CORE__PARALLELISM"] = "2"
    made = Cluster(project, environment, "airflow")
    make_metadata(environment, 2)
    made.url, api = Deployment(project, environment).serve(BUNDLE)
    made.add("api-server", *api)
    for command in ("scheduler", "triggerer", "dag-processor"):
        made.add(command, command)
    made.start_all()
    try:
        yield made
    finally:
        made.end_all()


def test_a_run_ends_right_whose_database_triggerer_part_and_join_are_killed(server: Server, cluster: Cluster):
    def asked(statement: str) -> list[tuple]:
        try:
            return server.query(statement, "airflow")
        except psycopg.OperationalError:
            return []

    def tasks() -> list[tuple]:
        return asked("select task_id, map_index, state, try_number from task_instance order by 1, 2")

    def killed(task: str) -> bool:
        running = f"select pid from task_instance where state = 'running' and task_id like '%{task}'"
        for (pid,) in [row for row in asked(running) if row[0]]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    api = api_of(cluster.url)
    until(lambda: asked("select 1 from dag where dag_id = 'src' and not is_stale"), LONGEST)
    done(lambda: api.patch("/api/v2/dags/src", json={"is_paused": False}))
    conf = {"window_start": "2013-01-01", "window_end": "2013-01-02"}
    done(lambda: api.post("/api/v2/dags/src/dagRuns", json={"dag_run_id": "run", "logical_date": None, "conf": conf}))

    until(lambda: any(state == "deferred" for _, _, state, _ in tasks()), LONGEST, tasks)
    assert cluster.kill("triggerer", whole=True)
    server.restart_as_after_a_crash()
    until(lambda: cluster.restarts["triggerer"], LONGEST)
    (cluster.project / "inbox" / "go").touch()
    until(lambda: killed("extract"), LONGEST, tasks)
    until(lambda: any(state == "running" for _, _, state, _ in tasks()), LONGEST, tasks)
    server.restart_as_after_a_crash()
    until(lambda: killed("load"), LONGEST, tasks)
    until(lambda: asked("select 1 from dag_run where state in ('success', 'failed')"), LONGEST, tasks)
    assert asked("select state from dag_run") == [("success",)], tasks()
    assert max(tries for task, _, _, tries in tasks() if task.endswith("extract")) > 1
    assert max(tries for task, _, _, tries in tasks() if task.endswith("load")) > 1

    with DuckDBWarehouse(cluster.home / "warehouse.duckdb", patience=60) as opened:
        found = opened.query("SELECT id, v FROM src.tab ORDER BY id").rows
        assert [(int(i), v) for i, v in found] == [(i, f"v{i}") for i in range(2 * ROWS)]
        account = opened.query("SELECT rows_read, rows_loaded FROM _elt.loads").rows
        assert [tuple(map(int, row)) for row in account] == [(2 * ROWS, 2 * ROWS)]
        place = LocalPlace(cluster.home / "landing").below("src", "tab")
        assert_nothing_orphaned(opened, place, f"duckdb {cluster.home / 'warehouse.duckdb'}")
