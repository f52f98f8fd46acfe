"""A whole Airflow over fifty right configs and five broken ones, by the bundle and by the loader."""

import json
import os
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from bundle_support import BROKEN, GOOD, NO_BUNDLE, write, write_broken, write_good

from live_support import ROOT, Deployment, api_of, deployment_over, done, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(280)]

HEALED_WITHIN = 15
LOST_WITHIN = 60
# longer than the second mark of a change takes, which would make up for a parse that was killed
KILLING = 8
# seconds of CPU of a process that has been told its file
AT_WORK = 0.02
NAMES = [f"source_{number:02}" for number in range(50)]
KWARGS = {"refresh_interval": 2, "parse_together": 25}
BUNDLE = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": KWARGS}]


@pytest.fixture
def deployment(tmp_path: Path, airflow_template: Path, dbt_manifest: None) -> Deployment:
    project, home = tmp_path / "project", tmp_path / "airflow"
    write_good(project / "dag_configs", NAMES[:40])
    write_good(project / "dag_configs", NAMES[40:], 'transform: {dbt: {select: "tag:flights"}}\n')
    write_broken(project / "dag_configs")
    write(project / "inbox" / "input.csv", "id,amount\n1,2.5\n2,3.5\n")
    (project / "include").mkdir()
    (project / "include" / "dbt").symlink_to(ROOT / "include" / "dbt")
    return deployment_over(project, home, airflow_template)


def names_its_place(told: str, deployment: Deployment, way: str) -> bool:
    return f"{deployment.configs / way}.yaml:{BROKEN[way][1]}: " in told


def test_by_the_bundle_a_broken_file_is_an_import_error_of_its_own_and_all_others_run(deployment: Deployment):
    url, server = deployment.serve(BUNDLE)
    with deployment.running(["dag-processor"], server):
        until(lambda: len(deployment.alive()) == 50, 120, deployment.alive)
        until(lambda: len(deployment.import_errors()) == 5, 60, deployment.import_errors)
        assert deployment.alive() == set(NAMES)
        told = deployment.import_errors()
        assert set(told) == {f"{way}.yaml.py" for way in BROKEN}
        assert all(names_its_place(told[f"{way}.yaml.py"], deployment, way) for way in BROKEN), told

        api = api_of(url)
        shown = api.get("/api/v2/dagSources/source_00", headers={"Accept": "text/plain"}).raise_for_status().text
        assert shown == (deployment.configs / "source_00.yaml").read_text()
        for name in NAMES:
            done(lambda n=name: api.patch(f"/api/v2/dags/{n}", json={"is_paused": n != NAMES[0]}))
            done(lambda n=name: api.post(f"/api/v2/dags/{n}/dagRuns", json={"logical_date": None}))

        assert_lost_parses_heal(deployment)
        versions = deployment.query("select count(*) from dag_version")
        write(deployment.configs / "unknown_key.yaml", GOOD.format(name="unknown_key"))
        until(lambda: "unknown_key" in deployment.alive(), HEALED_WITHIN)
        until(lambda: len(deployment.import_errors()) == 4, HEALED_WITHIN, deployment.import_errors)
        (deployment.configs / "source_49.yaml").rename(deployment.configs / "moved.yaml")
        (deployment.configs / "source_48.yaml").unlink()
        write(deployment.configs / "team" / "brand_new.yaml", GOOD.format(name="brand_new"))
        until(lambda: "brand_new" in deployment.alive(), HEALED_WITHIN)
        moved = "select relative_fileloc from dag where dag_id = 'source_49' and not is_stale"
        until(lambda: deployment.query(moved) == [("moved.yaml.py",)], HEALED_WITHIN)
        until(lambda: "source_48" not in deployment.alive(), HEALED_WITHIN)
        parsed = "select min(last_parsed_time) > (select max(created_at) from dag_version) from dag where not is_stale"
        write(deployment.configs / "_defaults.yaml", "tags: []\n")
        until(lambda: deployment.query(parsed) == [(1,)], 300)
        # two DAGs came and one moved; all others were read again, for changed defaults, and none has a new version
        (made,) = deployment.query("select count(*) from dag_version")
        assert made[0] - versions[0][0] <= 3

        # begun only now: with the SQLite of this test, what many write at once makes the scheduler give up
        with deployment.running(["scheduler"]):
            state = "select state from dag_run where dag_id = 'source_00' and run_type = 'manual'"
            until(lambda: deployment.query(state) == [("success",)], 300, lambda: _tasks(deployment))


def assert_lost_parses_heal(deployment: Deployment) -> None:
    """Kill every parse of a file that changed, and call another DAG stale: both come back, nothing else is touched."""
    described = "select description from dag where dag_id = 'source_10' and not is_stale"
    before = deployment.query(described)
    deployment.execute("update dag set is_stale = 1 where dag_id = 'source_11'")
    # a parse that takes long enough to be killed at its work
    more = "".join(f"  more_{number}: {{path: input.csv}}\n" for number in range(50))
    text = GOOD.format(name="source_10") + more + "description: after the kill\n"
    write(deployment.configs / "source_10.yaml", text)
    killed = kill_parses(deployment, KILLING)
    assert killed, "no parse was killed"
    assert deployment.query(described) == before
    until(lambda: deployment.query(described) == [("after the kill",)], LOST_WITHIN)
    until(lambda: "source_11" in deployment.alive(), LOST_WITHIN)


def kill_parses(deployment: Deployment, seconds: float) -> int:
    """Kill -9 every process that a DAG processor forks within some seconds, at its work; how many there were."""
    (processor,) = deployment.processes("dag-processor")
    around, killed, until_then = {child.pid for child in processor.children()}, 0, time.monotonic() + seconds
    while time.monotonic() < until_then:
        for child in processor.children():
            with suppress(psutil.NoSuchProcess):
                if child.pid not in around and sum(child.cpu_times()[:2]) >= AT_WORK:
                    around.add(child.pid)
                    child.kill()
                    killed += 1
        time.sleep(0.002)
    return killed


def test_by_the_loader_a_broken_file_is_a_dag_that_says_so_and_heals(deployment: Deployment):
    deployment.environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = NO_BUNDLE
    deployment.environment["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = "5"
    tagged = "select dag_id from dag_tag where name = 'config-error'"
    with deployment.running(["dag-processor"]):
        until(lambda: len(deployment.alive()) == 55, 120, deployment.alive)
        assert deployment.import_errors() == {}
        assert {row[0] for row in deployment.query(tagged)} == set(BROKEN)
        for way in BROKEN:
            (stored,) = deployment.query(f"select data, data_compressed from serialized_dag where dag_id = '{way}'")
            dag = json.loads(stored[0] or zlib.decompress(stored[1]))["dag"]
            assert names_its_place(dag["doc_md"], deployment, way)
            assert dag["timetable"]["__type"].endswith("NullTimetable")
            assert [task["__var"]["task_id"] for task in dag["tasks"]] == ["config_error"]
        write(deployment.configs / "syntax.yaml", GOOD.format(name="syntax"))
        until(lambda: {row[0] for row in deployment.query(tagged)} == set(BROKEN) - {"syntax"}, HEALED_WITHIN)
        assert deployment.alive() == {*NAMES, *BROKEN}
    run = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "cycle"],
        env=os.environ | deployment.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "state=failed" in run.stdout + run.stderr
    assert names_its_place(run.stdout + run.stderr, deployment, "cycle")


def _tasks(deployment: Deployment) -> list[tuple]:
    return deployment.query("select dag_id, task_id, state from task_instance where dag_id = 'source_00'")
