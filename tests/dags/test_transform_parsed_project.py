"""What `python -m elt_factory.dag.dbt_project` leaves, the dbt tasks take up: they do not parse the project again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARSED_AGAIN = "Unable to do partial parsing"

# The command of a task of ours, with nothing in the cache that tasks share
TASK = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from airflow.sdk import DAG
from cosmos.operators.local import DbtLSLocalOperator
from elt_factory.dag.dbt_manifest import load_manifest
from elt_factory.config.models.source import Dbt
from elt_factory.dag.dbt_running import dbt_arguments
from elt_factory.core.project import dbt_folder

arguments = dbt_arguments(load_manifest(dbt_folder()), "flights", "warehouse", Dbt(select="tag:flights"))
arguments |= {"callback": None, "cache_dir": Path(sys.argv[1])}
with DAG("d", schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)):
    task = DbtLSLocalOperator(task_id="ls", select="tag:flights", extra_context={}, **arguments)
task.build_and_run_cmd(context={"run_id": "r"}, cmd_flags=[])
"""

NO_CONNECTION = """
import os, runpy
del os.environ["AIRFLOW_CONN_WAREHOUSE"]
runpy.run_module("elt_factory.dag.dbt_project", run_name="__main__")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the dbt project, as it comes from git."""
    shutil.copytree(
        ROOT / "include" / "dbt", tmp_path / "include" / "dbt", ignore=shutil.ignore_patterns("target", "logs")
    )
    return tmp_path


def run(project: Path, *command: str) -> str:
    environment = os.environ | {
        "ELT_PROJECT": str(project),
        "PYTHONPATH": str(ROOT / "include"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "duckdb", "host": str(project / "warehouse.duckdb")}),
    }
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.services
def test_a_task_takes_up_what_setup_has_parsed(project):
    told = run(project, "-m", "elt_factory.dag.dbt_project")
    assert told.rstrip().endswith(f"{project}/include/dbt/target/manifest.json")
    task = run(project, "-c", TASK, str(project / "cache"))
    assert "latest partial parse file is" in task
    assert "include/dbt/target/partial_parse.msgpack" in task
    assert PARSED_AGAIN not in task
    (project / "include" / "dbt" / "target" / "partial_parse.msgpack").unlink()
    assert PARSED_AGAIN in run(project, "-c", TASK, str(project / "other_cache")), "a project parsed again is seen"


def test_without_the_connection_the_manifest_is_made_all_the_same(project, airflow_db):
    told = run(project, "-c", NO_CONNECTION)
    assert 'unknown Airflow connection "warehouse"' in told
    assert (project / "include" / "dbt" / "target" / "manifest.json").is_file()
