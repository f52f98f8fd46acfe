"""The dbt group: what Cosmos draws without our help, from a manifest that is parsed once."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_factory.config.models.source import Dbt
from elt_factory.core.project import dbt_folder

# Whose values are our own on purpose: one cache for all groups, a path where Cosmos has one of its objects, objects
OWN = {"cache_dir", "manifest_filepath", "task_group", "profile_config", "dag", "_BaseOperator__init_kwargs"}
BEHAVIOURS = {"after_each": "AFTER_EACH", "after_all": "AFTER_ALL", "build": "BUILD", "none": "NONE"}

pytestmark = pytest.mark.usefixtures("dbt_manifest")


def by_cosmos(dbt: Dbt):
    """The group as plain Cosmos draws it."""
    from airflow.sdk import DAG
    from cosmos import DbtTaskGroup, ExecutionConfig, ProjectConfig, RenderConfig
    from cosmos.constants import InvocationMode, LoadMode, TestBehavior

    from elt_factory.dag.dbt_profile import warehouse_profile

    folder = dbt_folder()
    with DAG("d", schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        DbtTaskGroup(
            group_id="transform",
            project_config=ProjectConfig(
                dbt_project_path=folder,
                manifest_path=folder / "target" / "manifest.json",
                project_name=folder.stem,
                install_dbt_deps=False,
            ),
            profile_config=warehouse_profile(),
            execution_config=ExecutionConfig(invocation_mode=InvocationMode.DBT_RUNNER),
            render_config=RenderConfig(
                load_method=LoadMode.DBT_MANIFEST,
                select=dbt.select.split(),
                exclude=(dbt.exclude or "").split(),
                test_behavior=TestBehavior[BEHAVIOURS[dbt.tests]],
                emit_datasets=False,
            ),
            operator_args={
                "pool": "warehouse",
                "install_deps": False,
                "callback": "elt_factory.dag.dbt_running.keep_results",
                "callback_args": {"source": "s"},
            },
        )
    return dag


def by_us(dbt: Dbt):
    from airflow.sdk import DAG

    from elt_factory.dag.transform import dbt_group

    with DAG("d", schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        dbt_group(dag, "s", dbt, "warehouse")
    return dag


def _told(value: object) -> object:
    # a set, such as a task's neighbours, names its parts in any order; all else is held to the letter
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else repr(value)


def nodes(dag) -> dict[str, dict[str, object]]:
    """Every task: its class, its neighbours, its arguments."""
    return {
        task_id: {
            "class": type(task),
            "upstream": task.upstream_task_ids,
            "downstream": task.downstream_task_ids,
            **{name: _told(value) for name, value in vars(task).items() if name not in OWN},
        }
        for task_id, task in dag.task_dict.items()
    }


@pytest.mark.parametrize("tests", sorted(BEHAVIOURS))
@pytest.mark.parametrize(
    ("select", "exclude"),
    [
        ("tag:flights", None),
        ("tag:departures", None),
        ("tag:fleet", "stg_airlines"),
        ("tag:fleet", "+fleet_age"),
        ("+fleet_age", None),
        ("@stg_flights", None),
        ("stg_weather+1", None),
        ("path:models/marts", None),
        ("tag:weather tag:flights", "tag:departures"),
        ("tag:departures,path:models/marts", None),
        ("config.materialized:table", None),
        ("stg_flights", None),
    ],
)
def test_the_group_is_node_for_node_what_cosmos_draws(tests, select, exclude):
    dbt = Dbt(select=select, exclude=exclude, tests=tests)
    assert nodes(by_us(dbt)) == nodes(by_cosmos(dbt))


def test_groups_do_not_change_what_others_are_drawn_from():
    dbt = Dbt(select="tag:departures")
    alone = nodes(by_us(dbt))
    for select in ("@stg_flights", "tag:fleet", "path:models"):
        by_us(Dbt(select=select))
    assert nodes(by_us(dbt)) == alone


@pytest.mark.parametrize(
    ("tests", "tasks"),
    [
        ("after_each", {"transform.build": "departures --exclude None"}),
        ("build", {"transform.build": "departures --exclude None"}),
        ("none", {"transform.build": "departures --exclude resource_type:test resource_type:unit_test"}),
        (
            "after_all",
            {
                "transform.build": "departures --exclude resource_type:test resource_type:unit_test",
                "transform.test": "departures --exclude None",
            },
        ),
    ],
)
def test_one_task_builds_all_models_with_the_tests_where_they_are_wanted(tests, tasks):
    dag = by_us(Dbt(select="tag:departures", tasks="one", tests=tests))
    found = {task.task_id: f"{task.select.removeprefix('tag:')} --exclude {task.exclude}" for task in dag.tasks}
    assert found == tasks
    assert {task.pool for task in dag.tasks} == {"warehouse"}
    if "transform.test" in tasks:
        assert dag.get_task("transform.test").upstream_task_ids == {"transform.build"}


@pytest.mark.parametrize("tasks", ["per_model", "one"])
@pytest.mark.parametrize(
    ("select", "told"),
    [
        ("tag:flihgts", 'dbt selector "tag:flihgts" matches no models; did you mean "flights"\\?'),
        ("stg_nothing", 'dbt selector "stg_nothing" matches no models; if the model is new, run `elt setup`'),
        ("tags:flights", 'invalid dbt selector "tags:flights"'),
    ],
)
def test_a_selector_that_picks_nothing_is_told_when_the_dag_is_drawn(select, tasks, told):
    from elt_factory.dag.dbt_manifest import SelectionError

    with pytest.raises(SelectionError, match=told):
        by_us(Dbt(select=select, tasks=tasks))


def manifest(folder: Path, models: int) -> Path:
    """A dbt project of so many models, ten a tag, each with two tests."""
    (folder / "target").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: big\n")
    found: dict[str, object] = {}
    for number in range(models):
        name = f"model_{number}"
        parent = [f"model.big.model_{number - 1}"] if number % 10 else []
        found[f"model.big.{name}"] = node("model", name, parent, [f"group_{number // 10}"])
        for check in ("unique", "not_null"):
            found[f"test.big.{check}_{name}.1"] = node("test", f"{check}_{name}", [f"model.big.{name}"], [])
    text = json.dumps({"metadata": {"project_name": "big"}, "nodes": found, "sources": {}, "exposures": {}})
    (folder / "target" / "manifest.json").write_text(text)
    return folder


def node(kind: str, name: str, parents: list[str], tags: list[str]) -> dict[str, object]:
    return {
        "resource_type": kind,
        "package_name": "big",
        "original_file_path": f"models/{name}.sql",
        "depends_on": {"nodes": parents},
        "tags": tags,
        "config": {"materialized": "table", "tags": tags},
        "fqn": ["big", name],
        "raw_code": "select 1 " * 100,
    }


def test_a_cut_costs_the_same_at_any_size_of_project(tmp_path):
    from elt_factory.dag.dbt_manifest import load_manifest

    def milliseconds(models: int) -> float:
        found = load_manifest(manifest(tmp_path / str(models), models))
        found.cut("tag:group_1", None)
        times = []
        for _ in range(50):
            began = time.perf_counter()
            assert len(found.cut("tag:group_1", None)) == 30
            times.append(time.perf_counter() - began)
        return min(times) * 1000

    small, large = milliseconds(20), milliseconds(5000)
    assert large < 3 * small
    assert large < 5


def test_the_manifest_is_parsed_once_until_the_file_changes(tmp_path):
    from elt_factory.dag.dbt_manifest import load_manifest

    project = manifest(tmp_path / "big", 20)
    first = load_manifest(project)
    assert load_manifest(project) is first
    file = project / "target" / "manifest.json"
    os.utime(file, (1, 1))
    assert load_manifest(project) is not first


@pytest.mark.parametrize(
    ("content", "told"), [(None, "does not exist"), ("{", "is not a dbt manifest"), ("[]", "is not a dbt")]
)
def test_without_a_manifest_the_error_names_the_file_and_the_command(tmp_path, content, told):
    from elt_factory.dag.dbt_manifest import ManifestError, load_manifest

    project = manifest(tmp_path / "big", 1)
    file = project / "target" / "manifest.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ManifestError, match=f"{file} {told}.*; run `elt setup`"):
        load_manifest(project)
