"""dbt through Cosmos: the models of a config as tasks, from a manifest that is made before and never here."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, TaskGroup

from elt_factory.config.models.source import Dbt
from elt_factory.core.extras import needs
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_manifest import DbtManifest, load_manifest
from elt_factory.dag.dbt_running import dbt_arguments, excluded, supervise

with needs("dbt", "transform.dbt"):
    from cosmos.airflow.graph import build_airflow_graph
    from cosmos.config import RenderConfig
    from cosmos.constants import ExecutionMode, InvocationMode, TestBehavior, TestIndirectSelection
    from cosmos.operators.local import DbtBuildLocalOperator, DbtTestLocalOperator

GROUP = "transform"
_TESTS = {
    "after_each": TestBehavior.AFTER_EACH,
    "after_all": TestBehavior.AFTER_ALL,
    "build": TestBehavior.BUILD,
    "none": TestBehavior.NONE,
}


def dbt_group(dag: DAG, source: str, dbt: Dbt, pool: str, compute: str | None = None) -> TaskGroup:
    """Return the dbt models of a config as a task group.

    `compute` names another virtual warehouse than the connection's.

    Raises:
        ManifestError: there is no manifest.
        SelectionError: the config's selector is wrong or picks nothing.
    """
    manifest = load_manifest(dbt_folder())
    arguments = dbt_arguments(manifest, source, pool, dbt, compute)
    group = TaskGroup(GROUP, dag=dag)
    if dbt.tasks == "one":
        _one_task(dag, group, dbt, manifest, arguments)
    elif dbt.tasks == "watched":
        _watched(dag, group, dbt, manifest, arguments)
    else:
        _task_per_model(dag, group, dbt, manifest, arguments)
    for task in group.iter_tasks():
        if getattr(task, "invocation_mode", None) == InvocationMode.SUBPROCESS:
            supervise(task)
    return group


def _task_per_model(dag: DAG, group: TaskGroup, dbt: Dbt, manifest: DbtManifest, arguments: dict[str, Any]) -> None:
    build_airflow_graph(
        nodes=manifest.cut(dbt.select, dbt.exclude),
        dag=dag,
        task_group=group,
        execution_mode=ExecutionMode.LOCAL,
        task_args=arguments,
        test_indirect_selection=TestIndirectSelection.EAGER,
        dbt_project_name=manifest.project.stem,
        render_config=RenderConfig(
            select=dbt.select.split(),
            exclude=(dbt.exclude or "").split(),
            test_behavior=_TESTS[dbt.tests],
            emit_datasets=False,
        ),
    )


def _watched(dag: DAG, group: TaskGroup, dbt: Dbt, manifest: DbtManifest, arguments: dict[str, Any]) -> None:
    """One `dbt build` for all models, which a task for each of them watches; with the tests of all after it."""
    from elt_factory.dag.dbt_graph import TESTS, ModelGraph
    from elt_factory.dag.dbt_watched import watched

    done = watched(dag, group, dbt, ModelGraph.of(manifest.cut(dbt.select, dbt.exclude, untested=True)), arguments)
    if dbt.tests == "after_all":
        given = {**arguments, "dag": dag, "task_group": group, "select": dbt.select, "extra_context": {}}
        done >> DbtTestLocalOperator(task_id=TESTS, exclude=dbt.exclude, **given)


def _one_task(dag: DAG, group: TaskGroup, dbt: Dbt, manifest: DbtManifest, arguments: dict[str, Any]) -> None:
    """One `dbt build` for all models; with the tests in it, without them, or followed by them."""
    manifest.cut(dbt.select, dbt.exclude)  # a selector that is wrong is reported now, not by the task
    given = {**arguments, "dag": dag, "task_group": group, "select": dbt.select, "extra_context": {}}
    if dbt.tests in ("after_each", "build"):
        DbtBuildLocalOperator(task_id="build", exclude=dbt.exclude, **given)
        return
    build = DbtBuildLocalOperator(task_id="build", exclude=excluded(dbt, tests=False), **given)
    if dbt.tests == "after_all":
        build >> DbtTestLocalOperator(task_id="test", exclude=dbt.exclude, **given)
