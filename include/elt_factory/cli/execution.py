"""Running a DAG in this process, with the progress on the screen and Airflow's own words in a log file."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from elt_factory.cli.ending import EndedError, Ending, ended_by_signals
from elt_factory.cli.local_runs import on_record
from elt_factory.core.failures import PermanentError
from elt_factory.core.private import private_files

_SHOWN = 100  # characters of a good task's figures; a failure is reported in full


@dataclass
class TaskOutcome:
    """How one task ended; `seconds` of its last try."""

    task_id: str
    state: str
    seconds: float
    detail: str = ""


@dataclass
class Progress:
    """Airflow's listener that shows each task as it ends."""

    console: Console
    outcomes: dict[str, TaskOutcome] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)

    def running(self, task_id: str) -> None:
        """Report that a task has started."""
        self.started[task_id] = time.monotonic()

    def ended(self, task_id: str, state: str, detail: str = "") -> None:
        """Report that a task has ended."""
        seconds = time.monotonic() - self.started.get(task_id, time.monotonic())
        self.outcomes[task_id] = TaskOutcome(task_id, state, seconds, detail)
        if state == "success" and len(detail) > _SHOWN:
            detail = detail[: _SHOWN - 1] + "…"
        mark = {"success": "[green]✓[/]", "skipped": "[dim]-[/]", "retry": "[yellow]↻[/]"}.get(state, "[red]✗[/]")
        self.console.print(
            f"  {mark} {task_id:<44} {seconds:6.1f} s  [dim]{escape(detail)}[/]", highlight=False, soft_wrap=True
        )


@dataclass(frozen=True)
class DagOutcome:
    """How a run ended."""

    dag_id: str
    run_id: str
    state: str
    seconds: float
    tasks: tuple[TaskOutcome, ...]


def run_dag(dag_id: str, conf: Mapping[str, Any], console: Console, log_file: Path) -> DagOutcome:
    """Run a DAG for real, task after task, as `dag.test()` does: the same DAG and operators as in production.

    Args:
        dag_id: The DAG.
        conf: What the trigger form would say.
        console: Where people look.
        log_file: Where Airflow's log goes.

    Raises:
        KeyError: there is no such DAG.
        ConfigError: its config is broken, or needs what is not installed.
        EndedError: a signal ended the run.
    """
    screen = _screen_of(console)
    with private_files(), _output_to(log_file):
        from elt_factory.core.project import config_folder
        from elt_factory.dag.loader import load_dag

        dag = load_dag(config_folder(), dag_id)
        # dag.test() never fires deadlines, and fails at the end of a run over the form in which it holds them
        dag.deadline = None
        progress = Progress(screen)
        with ended_by_signals() as ending, _listening(progress, ending), _collecting_what_is_new():
            began, logical_date = time.monotonic(), datetime.now(UTC)
            with _cancelling_jobs(), on_record(dag_id, logical_date):
                run = dag.test(logical_date=logical_date, run_conf=dict(conf))
    seconds = time.monotonic() - began
    # Airflow calls a run without a single task a success
    state = str(run.state) if progress.outcomes else "failed: no task ran"
    return DagOutcome(dag_id, str(run.run_id), state, seconds, tuple(progress.outcomes.values()))


@contextmanager
def _cancelling_jobs() -> Iterator[None]:
    """Cancel what sources do for the run when a signal ends it."""
    try:
        yield
    except EndedError:
        from elt_factory.dag.jobs import cancel_waiting

        cancel_waiting()
        raise


def _screen_of(console: Console) -> Console:
    """Return the same console on a file descriptor of its own.

    It stays the screen while the others go to the log.
    """
    stream = os.fdopen(os.dup(console.file.fileno()), "w", buffering=1, encoding="utf-8")
    return Console(file=stream, force_terminal=console.is_terminal, width=console.width)


@contextmanager
def _output_to(file: Path) -> Iterator[None]:
    """Everything this process writes to its standard outputs goes to a file, also what libraries write past Python."""
    file.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(1), os.dup(2)
    sys.stdout.flush()
    sys.stderr.flush()
    with file.open("ab") as target:
        os.dup2(target.fileno(), 1)
        os.dup2(target.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for descriptor in saved:
                os.close(descriptor)


@contextmanager
def _collecting_what_is_new() -> Iterator[None]:
    """Cosmos collects garbage after every dbt command: leave out what is there already, which is all of Airflow."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _name_of(task_instance: Any) -> str:
    """Return the id of a task; of one of several that read the parts of a table, with its number."""
    index = getattr(task_instance, "map_index", -1)
    return f"{task_instance.task_id}[{index}]" if index >= 0 else str(task_instance.task_id)


@contextmanager
def _listening(progress: Progress, ending: Ending) -> Iterator[None]:
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    class Listener:
        @hookimpl
        def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:  # noqa: ARG002
            # Airflow has just set its own handler
            ending.listen()
            progress.running(_name_of(task_instance))

        @hookimpl
        def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:  # noqa: ARG002
            progress.ended(_name_of(task_instance), "success", getattr(task_instance.task, "told", ""))
            ending.check()

        @hookimpl
        def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:  # noqa: ARG002
            again = task_instance.try_number <= task_instance.max_tries and not isinstance(error, PermanentError)
            progress.ended(_name_of(task_instance), "retry" if again else "failed", str(error or ""))
            ending.check()

        @hookimpl
        def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:  # noqa: ARG002
            progress.ended(_name_of(task_instance), "skipped")

    manager, listener = get_listener_manager(), Listener()
    manager.add_listener(listener)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        manager.pm.unregister(listener)
