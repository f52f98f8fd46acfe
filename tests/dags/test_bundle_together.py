"""Many files are read by few processes, and each is a DAG file of its own as before."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bundle_support import BROKEN, write, write_good

from elt_factory.cli.local import local_environment

ROOT = Path(__file__).parents[2]
GOOD = {f"source_{number:02}" for number in range(40)}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory, airflow_template: Path) -> tuple[Path, Path, list[str]]:
    """A folder with forty right configs, two broken ones and one that kills who reads it, after one pass."""
    home = tmp_path_factory.mktemp("together")
    write_good(home / "dag_configs", [*GOOD, "poison"])
    for way in ("syntax", "unknown_key"):
        write(home / "dag_configs" / f"{way}.yaml", BROKEN[way][0])
    shutil.copy(airflow_template, home / "airflow.db")
    # an error that an earlier process left
    insert = "insert into import_error (filename, bundle_name, stacktrace) values ('source_07.yaml.py', 'sources', 'x')"
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        database.execute(insert)
        database.commit()
    kwargs = {"path": str(home / "dag_configs"), "parse_together": 10}
    bundles = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": kwargs}]
    environment = local_environment(ROOT) | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=120",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'tests/dags'}",
    }
    command = [sys.executable, str(ROOT / "tests/dags/together_run.py")]
    run = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    told = [line for line in run.stdout.splitlines() if line.startswith("RESULT")]
    assert told, run.stdout[-3000:] + run.stderr[-3000:]
    return home / "dag_configs", home / "airflow.db", json.loads(told[0].removeprefix("RESULT"))


def ask(database: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


def test_every_dag_comes_with_a_file_of_its_own(parsed):
    _, database, _ = parsed
    places = ask(database, "select dag_id, relative_fileloc, fileloc from dag where not is_stale")
    configs, *_ = parsed
    assert set(places) == {(name, f"{name}.yaml.py", str(configs / f"{name}.yaml")) for name in GOOD}


def test_a_broken_file_has_its_own_error_and_an_error_that_went_is_cleared(parsed):
    configs, database, _ = parsed
    errors = dict(ask(database, "select filename, stacktrace from import_error"))
    assert set(errors) == {"syntax.yaml.py", "unknown_key.yaml.py"}
    for way in ("syntax", "unknown_key"):
        assert f"{configs / way}.yaml:{BROKEN[way][1]}: " in errors[f"{way}.yaml.py"]


def test_few_processes_read_many_files_and_what_was_read_with_the_poison_is_read_alone(parsed):
    *_, started = parsed
    alone = {file for file in started if started.count(file) > 1}
    assert started.count("poison.yaml.py") >= 1
    # 43 files: five processes for ten each, the ten of the poison and the two broken ones once more by themselves
    assert len(started) <= 25, started
    assert len(alone) <= 13
