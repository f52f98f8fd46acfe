"""dbt through Cosmos: the models of a config as tasks, from a manifest that is made before and never here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, TaskGroup

from elt_factory.config.models.source import Dbt
from elt_factory.core.extras import needs
from elt_factory.core.failures import QualityError
from elt_factory.core.project import dbt_folder
from elt_factory.dag.dbt_manifest import DbtManifest, load_manifest
from elt_factory.dag.dbt_profile import warehouse_profile

with needs("dbt", "transform.dbt"):
    from cosmos import settings
    from cosmos.airflow.graph import build_airflow_graph
    from cosmos.config import RenderConfig
    from cosmos.constants import ExecutionMode, InvocationMode, TestBehavior, TestIndirectSelection
    from cosmos.dbt.executable import get_system_dbt
    from cosmos.operators.local import DbtBuildLocalOperator, DbtTestLocalOperator

DBT_PROJECT = "elt_factory"
GROUP = "transform"
_TESTS = {
    "after_each": TestBehavior.AFTER_EACH,
    "after_all": TestBehavior.AFTER_ALL,
    "build": TestBehavior.BUILD,
    "none": TestBehavior.NONE,
}
_NO_TESTS = "resource_type:test resource_type:unit_test"


def dbt_group(dag: DAG, source: str, dbt: Dbt, pool: str, compute: str | None = None) -> TaskGroup:
    """Return the dbt models of a config as a task group.

    `compute` names another virtual warehouse than the connection's.

    Raises:
        ManifestError: there is no manifest.
        SelectionError: the config's selector is wrong or picks nothing.
    """
    manifest = load_manifest(dbt_folder())
    arguments = dbt_arguments(manifest, source, pool, compute)
    group = TaskGroup(GROUP, dag=dag)
    if dbt.tasks == "one":
        _one_task(dag, group, dbt, manifest, arguments)
    else:
        _task_per_model(dag, group, dbt, manifest, arguments)
    return group


def dbt_arguments(manifest: DbtManifest, source: str, pool: str, compute: str | None = None) -> dict[str, Any]:
    """Return what each dbt operator is given.

    The same as Cosmos gives it, but one cache of parsed projects for all groups. A cache for all of one virtual
    warehouse: dbt takes up only what was parsed with the same profile.
    """
    cache = settings.cache_dir / "-".join(filter(None, (DBT_PROJECT, compute)))
    return {
        "pool": pool,
        "install_deps": False,
        "callback": f"{__name__}.keep_results",
        "callback_args": {"source": source},
        "dbt_executable_path": get_system_dbt(),
        "invocation_mode": InvocationMode.DBT_RUNNER,
        "copy_dbt_packages": settings.default_copy_dbt_packages,
        "project_dir": manifest.project,
        "partial_parse": True,
        "profile_config": warehouse_profile(compute),
        "emit_datasets": False,
        "env": None,
        "vars": None,
        # what one task has parsed, the tasks of all other configs need not parse again
        "cache_dir": cache if settings.enable_cache else None,
        "manifest_filepath": str(manifest.file),
    }


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


def _one_task(dag: DAG, group: TaskGroup, dbt: Dbt, manifest: DbtManifest, arguments: dict[str, Any]) -> None:
    """One `dbt build` for all models; with the tests in it, without them, or followed by them."""
    manifest.cut(dbt.select, dbt.exclude)  # a selector that is wrong is reported now, not by the task
    given = {**arguments, "dag": dag, "task_group": group, "select": dbt.select, "extra_context": {}}
    if dbt.tests in ("after_each", "build"):
        DbtBuildLocalOperator(task_id="build", exclude=dbt.exclude, **given)
        return
    build = DbtBuildLocalOperator(task_id="build", exclude=" ".join(filter(None, [dbt.exclude, _NO_TESTS])), **given)
    if dbt.tests == "after_all":
        build >> DbtTestLocalOperator(task_id="test", exclude=dbt.exclude, **given)


def keep_results(folder: str, *, source: str, context: Mapping[str, Any]) -> None:
    """Write what dbt did to `_elt.quality_results`, and give the warehouse file back: the end of every dbt command.

    Raises:
        QualityError: a dbt test failed, which no retry changes. What could not run at all is left to Cosmos, and tried
            again.
    """
    from elt_factory.checks.run import keep
    from elt_factory.dag.runtime import warehouse
    from elt_factory.warehouse.duckdb.warehouse import release_file
    from elt_factory.warehouse.kind import Purpose

    release_file()
    report = Path(folder) / "target" / "run_results.json"
    if not report.is_file():
        return
    said = json.loads(report.read_text(encoding="utf-8"))
    results = list(results_of(said))
    whose = Purpose({"source": source, "table": "", "dag": source, "run": context["run_id"]})
    with warehouse(whose) as opened:
        keep(opened, source, context["run_id"], context["ti"].task_id, results)
    if failed := failed_tests(said):
        raise QualityError(f"{source}: dbt tests failed: {'; '.join(failed)}")


def failed_tests(report: Mapping[str, Any]) -> list[str]:
    """Return the tests in dbt's run_results.json that failed; none where something else could not run."""
    by_status: dict[str, list[Any]] = {}
    for node in report["results"]:
        by_status.setdefault(node["status"], []).append(node)
    if by_status.get("error") or by_status.get("runtime error"):
        return []
    failed = by_status.get("fail", ())
    return [f"{node['unique_id'].split('.')[2]}: {node.get('message') or 'failed'}" for node in failed]


def results_of(report: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the models and tests in dbt's run_results.json."""
    from elt_factory.checks.run import Result

    for node in report["results"]:
        resource, _, name = node["unique_id"].split(".", 2)
        status = _STATUS.get(node["status"], "failed")
        yield Result(
            kind="dbt_test" if resource in ("test", "unit_test") else "dbt_model",
            table=name.split(".")[0],
            check=name.split(".")[0],
            severity="warn" if status == "warned" else "error",
            status=status,
            failing_rows=node.get("failures"),
            message=node.get("message") or node["status"],
            seconds=float(node["execution_time"]),
        )


_STATUS: Mapping[str, Any] = {"success": "passed", "pass": "passed", "warn": "warned", "skipped": "warned"}
