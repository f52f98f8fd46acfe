"""Skip what comes after a task in a run, whatever its trigger rule says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def skip_what_follows(task: BaseOperator, keep: str = "") -> None:
    """Skip all that comes after a task in the run.

    Args:
        task: The task that is running.
        keep: The last part of the names of those tasks that are not skipped.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks

    after = sorted(name for name in task.get_flat_relative_ids(upstream=False) if name.rpartition(".")[2] != keep)
    if after:
        task_runner.SUPERVISOR_COMMS.send(SkipDownstreamTasks(tasks=after))
