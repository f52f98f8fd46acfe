"""What a dbt command of a task is given, and what is kept of what it did."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.config.models.source import Dbt
from elt_factory.core.extras import needs
from elt_factory.core.failures import ModelTestError
from elt_factory.core.supervisor import supervised
from elt_factory.dag.dbt_executable import executable_of
from elt_factory.dag.dbt_manifest import DbtManifest
from elt_factory.dag.dbt_profile import warehouse_profile

with needs("dbt", "transform.dbt"):
    from cosmos import settings
    from cosmos.constants import InvocationMode
    from cosmos.dbt.executable import get_system_dbt
    from cosmos.hooks.subprocess import FullOutputSubprocessHook

log = logging.getLogger(__name__)
DBT_PROJECT = "elt_factory"
NO_TESTS = "resource_type:test resource_type:unit_test"


def dbt_arguments(
    manifest: DbtManifest, source: str, pool: str, dbt: Dbt, compute: str | None = None
) -> dict[str, Any]:
    """Return what each dbt operator is given.

    The same as Cosmos gives it, but one cache of parsed projects for all groups. A cache for all of one virtual
    warehouse: dbt takes up only what was parsed with the same profile.

    Raises:
        ExecutableError: the deployment does not let configs start the config's dbt.
    """
    cache = settings.cache_dir / "-".join(filter(None, (DBT_PROJECT, compute)))
    return {
        "pool": pool,
        "install_deps": False,
        "callback": f"{__name__}.keep_results",
        "callback_args": {"source": source},
        "dbt_executable_path": executable_of(dbt) or get_system_dbt(),
        "invocation_mode": InvocationMode.SUBPROCESS if dbt.executable else InvocationMode.DBT_RUNNER,
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


class SupervisedHook(FullOutputSubprocessHook):  # type: ignore[misc]  # Cosmos has no types
    """Runs dbt so that it ends with its task, however that ends: killed, or ended before it knows of its process."""

    def run_command(self, command: list[str], *args: Any, **kwargs: Any) -> Any:
        """Run a command below a process that outlives neither it nor this one."""
        return super().run_command(supervised(command), *args, **kwargs)


def supervise(operator: Any) -> None:
    """Make a dbt operator end its dbt process with itself; Cosmos starts that in a session that nothing else ends."""
    operator.subprocess_hook = SupervisedHook()


def excluded(dbt: Dbt, tests: bool) -> str | None:
    """Return what a dbt command leaves out: what the config says, and without `tests` every test."""
    return " ".join(filter(None, [dbt.exclude, None if tests else NO_TESTS])) or None


def keep_results(folder: str, *, source: str, context: Mapping[str, Any]) -> None:
    """Write what dbt did to `_elt.quality_results`, and give the warehouse file back: the end of every dbt command.

    Raises:
        ModelTestError: a dbt test failed, which no retry changes. What could not run at all is left to Cosmos, and
            tried again.
    """
    said = keep_every_result(folder, source=source, context=context)
    if failed := failed_tests(said):
        raise ModelTestError(f"{source}: dbt tests failed: {'; '.join(failed)}")


def keep_every_result(folder: str, *, source: str, context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write what dbt did and give the warehouse file back; return dbt's report, whatever it says."""
    from elt_factory.checks.run import keep
    from elt_factory.dag.metrics import count_models
    from elt_factory.dag.runtime import warehouse
    from elt_factory.warehouse.duckdb.warehouse import release_file
    from elt_factory.warehouse.kind import Purpose

    release_file()
    tell_columns(getattr(context["ti"], "task", None))
    report = Path(folder) / "target" / "run_results.json"
    if not report.is_file():
        return {"results": []}
    said: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    results = list(results_of(said))
    count_models(source, results)
    whose = Purpose({"source": source, "table": "", "dag": source, "run": context["run_id"], "step": "transform"})
    with warehouse(whose) as opened:
        task, turn = context["ti"].task_id, turn_of(context)
        # what an earlier turn of the task did stays
        keep(opened, source, context["run_id"], f"{task} ({turn + 1})" if turn else task, results)
    return said


def turn_of(context: Mapping[str, Any]) -> int:
    """Return how often this try of a task has put itself off before."""
    return int(context.get("task_reschedule_count") or 0)


def tell_columns(operator: Any) -> None:
    """Complete what Cosmos has taken down for OpenLineage of a dbt command."""
    from elt_factory.dag.lineage import is_asked

    if events := getattr(operator, "openlineage_events_completes", None):
        from elt_factory.dag.dbt_columns import complete

        try:
            complete(events if is_asked() else ())
        except Exception:
            log.exception("the columns of dbt's models could not be reported")  # the models are built, which counts


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
