"""Groups of dbt models on one shared manifest of 500 nodes: plain Cosmos and ours, the graphs asserted equal."""

from __future__ import annotations

import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[1]
NODES = 500
ROUNDS = 3
# Ours on purpose, as in tests/dags/test_transform_graph.py
OWN = {"cache_dir", "manifest_filepath", "task_group", "profile_config", "dag", "_BaseOperator__init_kwargs"}


def compare(folder: Path, groups: int) -> dict[str, Any]:
    """Milliseconds per group of both ways, in turn, after their graphs were held against each other."""
    size, ways = _ways(folder, groups)
    for number in range(groups):
        built = [_graph(way(f"group_{number}")) for way in ways.values()]
        assert built[0] == built[1], f"the graphs of group {number} differ"
        assert len(built[0]) == 4
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            for number in range(groups):
                way(f"group_{number}")
            times[name].append((time.process_time() - began) * 1000 / groups)
    return {"ms": {name: statistics.median(taken) for name, taken in times.items()}, "manifest_mb": size / 1e6}


def hold(folder: Path, groups: int, name: str) -> list[DAG]:
    """Return the DAGs of all groups by one way, all in memory at the same time."""
    way = _ways(folder, groups)[1][name]
    return [way(f"group_{number}") for number in range(groups)]


def _ways(folder: Path, groups: int) -> tuple[int, dict[str, Callable[[str], DAG]]]:
    project = folder / "include" / "dbt"
    os.environ["ELT_PROJECT"] = str(folder)
    size = _project(project, groups)
    return size, {"cosmos": lambda tag: _by_cosmos(project, tag), "ours": _by_us}


def _project(folder: Path, groups: int) -> int:
    """Return the manifest of the project with its nodes multiplied.

    Two models and three tests a group, of real size.
    """
    (folder / "models").mkdir(parents=True)
    (folder / "target").mkdir()
    (folder / "dbt_project.yml").write_text("name: elt_factory\n")
    found = json.loads((ROOT / "include" / "dbt" / "target" / "manifest.json").read_text())
    model = next(node for node in found["nodes"].values() if node["resource_type"] == "model")
    test = next(node for node in found["nodes"].values() if node["resource_type"] == "test")
    nodes: dict[str, Any] = {}
    for group in range(groups):
        first, second = (f"model.elt_factory.m_{group}_{place}" for place in range(2))
        tests = (NODES // groups - 2) // 2 or 1
        for unique_id, parents in ((first, []), (second, [first])):
            nodes[unique_id] = _node(model, unique_id, parents, [f"group_{group}"])
            for number in range(tests if unique_id == first else NODES // groups - 2 - tests):
                name = unique_id.replace("model.", "test.", 1) + f"_check_{number}"
                nodes[name] = _node(test, name, [unique_id], [])
    found["nodes"] = nodes
    assert len(nodes) == NODES
    return (folder / "target" / "manifest.json").write_text(json.dumps(found))


def _node(template: dict[str, Any], unique_id: str, parents: list[str], tags: list[str]) -> dict[str, Any]:
    node = copy.deepcopy(template)
    name = unique_id.rsplit(".", maxsplit=1)[-1]
    node |= {"unique_id": unique_id, "name": name, "tags": tags, "fqn": ["elt_factory", name]}
    node["depends_on"]["nodes"] = parents
    node["config"] = {**node["config"], "tags": tags}
    return node


def _by_cosmos(project: Path, tag: str) -> DAG:
    from cosmos import DbtTaskGroup, ExecutionConfig, ProjectConfig, RenderConfig
    from cosmos.constants import InvocationMode, LoadMode

    from elt_factory.dag.dbt_profile import warehouse_profile

    with DAG("d", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), auto_register=False) as dag:
        DbtTaskGroup(
            group_id="transform",
            project_config=ProjectConfig(
                dbt_project_path=project,
                manifest_path=project / "target" / "manifest.json",
                project_name=project.stem,
                install_dbt_deps=False,
            ),
            profile_config=warehouse_profile(),
            execution_config=ExecutionConfig(invocation_mode=InvocationMode.DBT_RUNNER),
            render_config=RenderConfig(
                load_method=LoadMode.DBT_MANIFEST, select=[f"tag:{tag}"], exclude=[], emit_datasets=False
            ),
            operator_args={
                "pool": "warehouse",
                "install_deps": False,
                "callback": "elt_factory.dag.dbt_running.keep_results",
                "callback_args": {"source": "s"},
            },
        )
    return dag


def _by_us(tag: str) -> DAG:
    from elt_factory.config.models.source import Dbt
    from elt_factory.dag.transform import dbt_group

    with DAG("d", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), auto_register=False) as dag:
        dbt_group(dag, "s", Dbt(select=f"tag:{tag}"), "warehouse")
    return dag


def _graph(dag: DAG) -> dict[str, dict[str, Any]]:
    return {
        task_id: {name: _told(value) for name, value in vars(task).items() if name not in OWN}
        | {"class": repr(type(task))}
        for task_id, task in sorted(dag.task_dict.items())
    }


def _told(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else repr(value)
