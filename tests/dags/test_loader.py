"""The loader: every config a DAG, a broken one too, and for a worker its own file alone."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from bundle_support import BROKEN, GOOD, write, write_broken, write_good

from elt_factory.config import loading
from elt_factory.config.errors import ConfigError
from elt_factory.config.layers import defaults
from elt_factory.core.failures import PermanentError
from elt_factory.dag import loader
from elt_factory.dag.loader import bundle_is_active, discover, load_dags, load_file

WAIT = "sensors: {{before_extract: [{{source: {{name: {name}}}}}]}}\n"


@contextmanager
def running_task_of(dag_id: str):
    """What Airflow tells a DAG file when a worker reads it for one task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        patch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "any")
        yield


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []

    def noting(function):
        def reading(file: Path):
            read.append(file.name)
            return function(file)

        return reading

    monkeypatch.setattr(loading, "read_yaml", noting(loading.read_yaml))
    monkeypatch.setattr(defaults, "read_yaml_again", noting(defaults.read_yaml_again))
    return read


def test_every_config_is_a_dag_by_its_name(tmp_path):
    write_good(tmp_path, ["a", "b"])
    assert sorted(load_dags(tmp_path)) == ["a", "b"]


def test_a_broken_file_is_a_dag_that_tells_it_and_all_others_are_untouched(tmp_path, dbt_manifest):
    write_good(tmp_path, ["a", "b"])
    broken = write_broken(tmp_path)
    dags = load_dags(tmp_path)
    assert {dag_id for dag_id, dag in dags.items() if "config-error" in dag.tags} == set(BROKEN)
    assert sorted(set(dags) - set(BROKEN)) == ["a", "b"]
    for way, file in broken.items():
        place = f"{file}:{BROKEN[way][1]}: "
        dag = dags[way]
        assert place in dag.doc_md
        assert dag.schedule is None
        (task,) = dag.tasks
        with pytest.raises(PermanentError, match=place):
            task.execute({})


def test_the_config_error_dag_keeps_the_name_in_the_file(tmp_path):
    write(tmp_path / "file.yaml", "name: orders\nshedule: x\n")
    assert list(load_dags(tmp_path)) == ["orders"]


def test_of_two_files_of_one_name_the_second_is_the_error(tmp_path):
    for file in ("first.yaml", "second.yaml", "team/second.yaml"):
        write(tmp_path / file, GOOD.format(name="same"))
    dags = load_dags(tmp_path)
    assert list(dags) == ["same", "second.yaml", "team_second.yaml"]
    assert [dag_id for dag_id, dag in dags.items() if "config-error" not in dag.tags] == ["same"]


def test_the_file_that_is_called_by_the_name_has_it_for_the_dag_processor_and_for_a_worker(tmp_path):
    for file in ("a.yaml", "team/same.yaml", "same.yaml"):
        write(tmp_path / file, GOOD.format(name="same"))
    dags = load_dags(tmp_path)
    assert set(dags) == {"same", "a.yaml", "team_same.yaml"}
    with running_task_of("same"):
        (for_worker,) = load_dags(tmp_path).values()
    assert {dags["same"].yaml_file, for_worker.yaml_file} == {str(tmp_path / "same.yaml")}


def test_waiting_in_a_ring_is_an_error_in_each_of_its_files(tmp_path):
    for name, other in {"a": "b", "b": "c", "c": "a"}.items():
        write_good(tmp_path, [name], WAIT.format(name=other))
    write_good(tmp_path, ["outside"], WAIT.format(name="a"))
    dags = load_dags(tmp_path)
    assert {dag_id for dag_id, dag in dags.items() if "config-error" in dag.tags} == {"a", "b", "c"}
    assert "a -> b -> c -> a" in dags["a"].doc_md


def test_waiting_for_a_source_that_is_not_there_is_an_error_with_its_place(tmp_path):
    (file,) = write_good(tmp_path, ["a"], WAIT.format(name="fleeet"))
    write_good(tmp_path, ["fleet"])
    with pytest.raises(ConfigError, match=rf'{file}:8:44: unknown source "fleeet".*(?s:.*)did you mean "fleet"'):
        load_file(tmp_path, file)


@pytest.mark.usefixtures("dbt_manifest")
def test_a_worker_reads_the_file_of_its_task_and_the_defaults_and_no_other(tmp_path, files_read):
    write_good(tmp_path, ["a", "b", "c"])
    write_broken(tmp_path)
    write(tmp_path / "_defaults.yaml", "owner: me\n")
    with running_task_of("b"):
        dags = load_dags(tmp_path)
    assert (list(dags), files_read) == (["b"], ["b.yaml", "_defaults.yaml"])


def test_a_worker_reads_that_file_alone_through_the_bundle_too(tmp_path, files_read):
    write_good(tmp_path, ["a", "b", "c"])
    with running_task_of("b"):
        load_file(tmp_path, tmp_path / "b.yaml")
    assert files_read == ["b.yaml"]


def test_a_worker_finds_a_config_whose_file_has_another_name(tmp_path, files_read):
    write_good(tmp_path, ["a", "b"])
    write(tmp_path / "team" / "orders_v2.yaml", GOOD.format(name="orders"))
    with running_task_of("orders"):
        dags = load_dags(tmp_path)
    assert (list(dags), files_read) == (["orders"], ["orders_v2.yaml"])


# What a process opens below a folder, told by Python itself, while a worker gets the DAG of its task
OPENED = """
import json, sys
from pathlib import Path
from elt_factory.dag import factory
from elt_factory.dag.loader import load_dags, load_file
folder, opened = Path(sys.argv[1]), []
def note(event, arguments):
    if event == "open" and str(arguments[0]).startswith(str(folder)):
        opened.append(str(Path(arguments[0]).relative_to(folder)))
sys.addaudithook(note)
dags = [load_file(folder, folder / sys.argv[3])] if len(sys.argv) > 3 else load_dags(folder).values()
(dag,) = dags
print("RESULT" + json.dumps([dag.dag_id, dag.default_args["owner"], sorted(set(opened))]))
"""


@pytest.mark.services
@pytest.mark.parametrize("way", ["loader", "bundle"])
def test_of_a_thousand_files_a_worker_opens_its_own_and_the_defaults_above_it(tmp_path, way):
    write_good(tmp_path, [f"source_{number}" for number in range(500)])
    for number in range(500):
        write_good(tmp_path / f"team_{number % 5}", [f"other_{number}"])
    write(tmp_path / "_defaults.yaml", "owner: top\nenvironments: {prod: {owner: prod}}\n")
    for number in range(5):
        write(tmp_path / f"team_{number}" / "_defaults.yaml", f"environments: {{prod: {{owner: team_{number}}}}}\n")
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2] / "include"),
        "ELT_ENVIRONMENT": "prod",
        "_AIRFLOW_PARSING_CONTEXT_DAG_ID": "other_321",
    }
    file = ["team_1/other_321.yaml"] if way == "bundle" else []
    command = [sys.executable, "-c", OPENED, str(tmp_path), "other_321", *file]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).removeprefix("RESULT")
    opened = ["_defaults.yaml", "team_1/_defaults.yaml", "team_1/other_321.yaml"]
    assert json.loads(told) == ["other_321", "team_1", opened]


def test_a_worker_takes_the_name_in_the_file_over_the_name_of_the_file(tmp_path):
    write(tmp_path / "a.yaml", GOOD.format(name="b"))
    write(tmp_path / "b.yaml", GOOD.format(name="a"))
    with running_task_of("a"):
        (dag,) = load_dags(tmp_path).values()
    assert dag.yaml_file == str(tmp_path / "b.yaml")


def test_the_tables_of_an_awaited_source_are_read_only_where_the_sensor_does_not_name_them(tmp_path, files_read):
    write_good(tmp_path, ["fleet"])
    write_good(tmp_path, ["all"], WAIT.format(name="fleet"))
    write_good(tmp_path, ["named"], "sensors: {before_extract: [{source: {name: fleet, tables: [input]}}]}\n")
    for name, expected in {"all": ["all.yaml", "fleet.yaml"], "named": ["named.yaml"]}.items():
        files_read.clear()
        with running_task_of(name):
            (sensor,) = (task for task in load_dags(tmp_path)[name].tasks if "before_extract" in task.task_id)
        assert (sensor.tables, files_read) == (("input",), expected)


def test_the_dag_is_the_same_for_the_dag_processor_and_for_a_worker_and_by_both_ways_in(tmp_path):
    from airflow.serialization.serialized_objects import DagSerialization

    write_good(tmp_path, ["fleet"])
    (file,) = write_good(tmp_path, ["a"], WAIT.format(name="fleet"))
    built = [load_dags(tmp_path)["a"], load_file(tmp_path, file)]
    with running_task_of("a"):
        built += [load_dags(tmp_path)["a"], load_file(tmp_path, file)]
    first, *others = (DagSerialization.to_dict(dag) for dag in built)
    for of_task in others[1:]:
        # what the form holds was checked when the run was triggered
        assert [name for name, _ in of_task["dag"]["params"]] == [name for name, _ in first["dag"]["params"]]
        of_task["dag"]["params"] = first["dag"]["params"]
    assert all(other == first for other in others)


def test_the_code_of_a_dag_is_its_yaml_and_its_place_stays_the_python_file(tmp_path):
    (file,) = write_good(tmp_path, ["a"])
    dag = load_dags(tmp_path)["a"]
    # as Airflow does when it has found the DAG
    dag.fileloc = "/bundle/sources.py"
    dag.relative_fileloc = "sources.py"
    assert (dag.fileloc, dag.relative_fileloc) == (str(file), "sources.py")


# in a process of its own: one that has run tests has threads, and a fork of it may wait for their locks for ever
FORKING = """
import multiprocessing, sys
from pathlib import Path
from elt_factory.dag.neighbours import Neighbours, read_ahead

def names(folder):
    return sorted(Neighbours(folder))

folder = Path(sys.argv[1])
read_ahead(folder)
(folder / "b.yaml").rename(folder / "c.yaml")
(folder / "c.yaml").write_text((folder / "c.yaml").read_text().replace("name: b", "name: c"))
with multiprocessing.get_context("fork").Pool(1) as child:
    print(names(folder), child.apply(names, [folder]))
"""


@pytest.mark.services
def test_a_forked_process_knows_the_names_that_its_parent_has_read(tmp_path):
    write_good(tmp_path, ["a", "b"])
    told = subprocess.run(
        [sys.executable, "-c", FORKING, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout == "['a', 'c'] ['a', 'b']\n"


def test_what_nobody_expected_is_told_with_its_cause(tmp_path, monkeypatch):
    (file,) = write_good(tmp_path, ["a"])

    def broken(*_: object):
        raise RuntimeError("of our own making")

    monkeypatch.setattr("elt_factory.dag.factory.build_dag", broken)
    with pytest.raises(ConfigError, match=f"{file}:2:7: internal error .*: RuntimeError: of our own") as caught:
        load_file(tmp_path, file)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("bundles", "active"),
    [
        ('[{"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}]', False),
        ('[{"name": "s", "classpath": "elt_factory.dag.bundle.YamlBundle"}]', True),
        ('[{"name": "s", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle"}]', True),
        ("[]", False),
    ],
)
def test_the_loader_gives_nothing_where_a_bundle_of_ours_does(tmp_path, monkeypatch, bundles, active):
    write_good(tmp_path, ["a"])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
    assert bundle_is_active() is active
    assert list(discover(tmp_path)) == ([] if active else ["a"])


def test_the_bundles_are_known_by_where_they_are(tmp_path):
    from elt_factory.dag.bundle import YamlBundle

    assert YamlBundle.__module__.startswith(loader._BUNDLES)
