"""What a scheduler that runs tasks itself imports once, so that the processes it forks for dbt need not do it again.

With LocalExecutor every task is forked from a process that was forked from the scheduler: what that has imported, the
task has too. To import dbt takes as long as a small project takes to build. Only packages of others are imported, and
nothing of a project: what is edited there counts with the next task. Nothing here may start a thread or open a
connection.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

from airflow.listeners import hookimpl

from elt_factory.core.ahead import import_ahead

_SCHEDULER = "airflow.cli.commands.scheduler_command"
DBT = (
    "dbt.cli.main",
    "cosmos.operators.local",
    "google.protobuf.json_format",
    "airflow.sdk.execution_time.task_runner",
)


class ImportsBeforeTasks:
    """A listener of Airflow: called when the scheduler begins, before its workers are forked."""

    @hookimpl
    def on_starting(self, component: object) -> None:  # noqa: ARG002 - it does not yet know what it is
        """Import what dbt needs, in a scheduler whose workers inherit it, where a config has a dbt."""
        from elt_factory.core.project import config_folder

        if _forks_tasks() and mentions_dbt(config_folder()):
            import_ahead(DBT)


def mentions_dbt(configs: Path) -> bool:
    """Return whether a config may have a dbt, and dbt is installed."""
    from elt_factory.config.loading import config_files
    from elt_factory.core.extras import missing
    from elt_factory.dag.preload import file_mentions_dbt

    return configs.is_dir() and not missing("dbt") and any(map(file_mentions_dbt, config_files(configs)))


def _forks_tasks() -> bool:
    """Return whether this process is a scheduler that forks the processes of tasks."""
    if sys.modules.get(_SCHEDULER) is None or multiprocessing.get_start_method() != "fork":
        return False
    from airflow.configuration import conf

    return "LocalExecutor" in conf.get("core", "executor")
