"""A scheduler with LocalExecutor, as far as its processes go: it imports what its tasks need, and forks them.

Run as a program: each line of its input is a task, which runs dbt `in its process` or `as a process`.
"""

import os
import sys
import traceback
from pathlib import Path

DBT = Path(sys.executable).with_name("dbt")


def serve(folder: Path) -> None:
    # what imports and dbt have to say is no answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from airflow.cli.commands import scheduler_command  # noqa: F401 - by it a process is known as a scheduler
    from airflow.jobs.job import Job

    Job()
    assert {"dbt.cli.main", "cosmos.operators.local"} <= set(sys.modules)
    for line in sys.stdin:
        # a worker of the executor, which forks the process of the task
        if worker := os.fork():
            os.waitpid(worker, 0)
            continue
        if task := os.fork():
            print(task, file=answers, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(task, 0)[1]), file=answers, flush=True)
            os._exit(0)
        code = 1
        try:
            code = build(folder, line.strip())
        except Exception:  # noqa: BLE001 - it is in the scheduler's log
            traceback.print_exc()
        finally:
            os._exit(code)


def build(folder: Path, how: str) -> int:
    """What a task of dbt does, once Cosmos has its command."""
    options = [f"--{name}={folder}" for name in ("project-dir", "profiles-dir", "log-path")]
    command = ["build", *options, "--no-use-colors"]
    if how == "as a process":
        from elt_factory.dag.dbt_running import SupervisedHook

        return SupervisedHook().run_command([str(DBT), *command], env=dict(os.environ), cwd=str(folder)).exit_code
    from dbt.cli.main import dbtRunner

    return 0 if dbtRunner().invoke(command).success else 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
