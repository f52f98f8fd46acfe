"""Reading DAGs costs little and always gives the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_support import NO_BUNDLE, write, write_good

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"

# What dags/sources.py brings into a process that has imported Airflow, beside the project and the standard library
WITHOUT_DBT = {"croniter", "tzlocal"}
WITH_DBT = WITHOUT_DBT | {"cosmos", "openlineage", "deprecation", "msgpack"}
NEVER = {"duckdb", "pyarrow", "dbt", "dbt_common", "snowflake.connector", "pandas", "requests", "numpy", "boto3", "git"}

IMPORTS = """
import json, sys, airflow.sdk, airflow.dag_processing.dagbag
before = set(sys.modules)
import runpy
dags = runpy.run_path("dags/sources.py")
new = {name for name in sys.modules if name not in before}
tops = {name.split(".")[0] for name in new if name[0] != "_"}
tops -= set(sys.stdlib_module_names) | {"elt_factory", "airflow"}
print("RESULT" + json.dumps({"tops": sorted(tops), "all": sorted(sys.modules), "dags": sorted(dags)}))
"""

SERIALIZE = """
import hashlib, json, sys
from pathlib import Path
from airflow.serialization.serialized_objects import DagSerialization
from elt_factory.dag.loader import load_dags
from elt_factory.core.project import config_folder
dags = load_dags(Path(sys.argv[1]))
# the names of fields come out of a set of Airflow's, which itself sorts them before it compares
bytes_of = {name: json.dumps(DagSerialization.to_dict(dag), sort_keys=True) for name, dag in dags.items()}
print("RESULT" + json.dumps({name: hashlib.sha256(text.encode()).hexdigest() for name, text in bytes_of.items()}))
"""


def result_of(code: str, *arguments: str, **environment: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "include"), BUNDLES: NO_BUNDLE} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))[len("RESULT") :])


def test_a_dag_without_dbt_imports_nothing_that_is_not_on_the_list(tmp_path):
    write_good(tmp_path / "dag_configs", ["a"])
    found = result_of(IMPORTS, ELT_PROJECT=str(tmp_path))
    assert "a" in found["dags"]
    assert set(found["tops"]) <= WITHOUT_DBT
    assert NEVER.isdisjoint(found["all"])


@pytest.mark.usefixtures("dbt_manifest")
def test_the_projects_own_dags_with_dbt_import_cosmos_and_no_dbt():
    found = result_of(IMPORTS)
    assert {"departures", "fleet", "flights", "weather"} <= set(found["dags"])
    assert set(found["tops"]) <= WITH_DBT
    assert NEVER.isdisjoint(found["all"])


@pytest.mark.usefixtures("dbt_manifest")
def test_the_stored_bytes_of_a_dag_are_the_same_in_every_process():
    folder = str(ROOT / "dag_configs")
    first, *others = [result_of(SERIALIZE, folder, PYTHONHASHSEED=seed) for seed in ("0", "1", "424242")]
    assert all(other == first for other in others)


def test_the_order_of_files_and_other_files_change_no_dag(tmp_path):
    write_good(tmp_path, ["m"])
    alone = result_of(SERIALIZE, str(tmp_path))
    write_good(tmp_path, ["a", "z"])
    write(tmp_path / "broken.yaml", "name: [")
    assert result_of(SERIALIZE, str(tmp_path))["m"] == alone["m"]


@pytest.mark.parametrize("place", ["before", "after"])
def test_no_task_id_moves_when_a_table_is_added(tmp_path, place):
    from elt_factory.dag.loader import load_file

    def ids(tables: list[str]) -> set[str]:
        lines = "".join(f"  {table}: {{path: {table}.csv}}\n" for table in tables)
        head = "name: s\nextract: {type: files, connection: inbox}\n"
        wait = "sensors: {before_transform: [{freshness: {table: one, loaded_within: 1h}}, {file: {path: x.csv}}]}\n"
        file = write(tmp_path / "s.yaml", f"{head}{wait}tables:\n{lines}")
        return set(load_file(tmp_path, file).task_ids)

    before = ids(["one", "two"])
    after = ids(["added", "one", "two"] if place == "before" else ["one", "two", "added"])
    assert after - before == {"tables.added.extract", "tables.added.load", "quality.added"}
    assert before <= after
