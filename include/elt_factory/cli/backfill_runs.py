"""Who does the runs of a backfill: a running Airflow, this process, or several processes of this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from rich.console import Console

from elt_factory.cli.airflow_api import AirflowApi
from elt_factory.config.models.source import Config
from elt_factory.core.failures import SourceUnavailableError
from elt_factory.core.window import load_id
from elt_factory.describe.backfills import Step, conf_of

_LOCAL_SECONDS, _AIRFLOW_SECONDS = 0.2, 2.0
_PATIENCE_SECONDS = 600.0
_DETAIL = 500  # characters of why a run has failed


@dataclass(frozen=True)
class Ended:
    """A run that has ended."""

    step: Step
    succeeded: bool
    detail: str = ""


class Runner(Protocol):
    """Does runs, several at a time."""

    def start(self, step: Step) -> None:
        """Begin the run of a step."""

    def ended(self) -> list[Ended]:
        """Wait until runs that were begun have ended, and return them."""


def step_name(config: Config, step: Step) -> str:
    """Return the name of a step within a backfill: the same whenever it is asked for."""
    return load_id(config.name, ",".join(step.tables), step.window)


def succeeded(states: Mapping[str, str], name: str) -> bool:
    """Whether one of the runs that a step had in Airflow has succeeded."""
    return any(state == "success" and f"__{name}__" in run_id for run_id, state in states.items())


@dataclass
class InThisProcess:
    """Runs one after the other, each as `elt run` does it."""

    config: Config
    log: Path
    _ended: list[Ended] = field(default_factory=list)

    def start(self, step: Step) -> None:
        """Do the run."""
        from elt_factory.cli.execution import run_dag

        with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
            outcome = run_dag(self.config.name, conf_of(self.config, step), Console(file=nowhere), self.log)
        failed = [f"{task.task_id}: {task.detail}" for task in outcome.tasks if task.state == "failed"]
        succeeded = outcome.state == "success"
        self._ended.append(Ended(step, succeeded, "" if succeeded else "; ".join(failed) or outcome.state))

    def ended(self) -> list[Ended]:
        """Return the runs."""
        found, self._ended = self._ended, []
        return found


@dataclass
class InProcesses:
    """Runs at the same time, each in an `elt run` of its own."""

    config: Config
    _running: dict[str, tuple[Step, subprocess.Popen[bytes], IO[bytes]]] = field(default_factory=dict)

    def start(self, step: Step) -> None:
        """Begin the process."""
        conf = conf_of(self.config, step)
        command = [sys.executable, "-c", "from elt_factory.cli.main import main; main()", "run", self.config.name]
        command += ["--start", conf["window_start"], "--end", conf["window_end"]]
        command += [part for table in conf.get("tables", ()) for part in ("--table", table)]
        output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603 - ELT Factory's own command, no shell
        self._running[step_name(self.config, step)] = step, child, output

    def ended(self) -> list[Ended]:
        """Wait for a process to end."""
        while True:
            if found := [name for name, (_, child, _) in self._running.items() if child.poll() is not None]:
                return [self._end(name) for name in found]
            time.sleep(_LOCAL_SECONDS)

    def _end(self, name: str) -> Ended:
        step, child, output = self._running.pop(name)
        with output:
            output.seek(0)
            lines = [line.strip() for line in output.read().decode(errors="replace").splitlines()]
        failed = [line for line in lines if line.startswith("✗")] or lines[-1:]
        return Ended(step, child.returncode == 0, "" if child.returncode == 0 else "; ".join(failed)[:_DETAIL])


@dataclass
class InAirflow:
    """Runs of a running Airflow, which continues those that it has begun when this process ends.

    Args:
        config: The config.
        api: Airflow's.
        prefix: What the ids of this backfill's runs begin with.
        say: Takes a line for people.
    """

    config: Config
    api: AirflowApi
    prefix: str
    say: Callable[[str], None]
    _running: dict[str, Step] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Ask for the runs that this backfill has had before it was ended and begun again."""
        self._known = self.api.runs(self.prefix)

    def start(self, step: Step) -> None:
        """Trigger the run; one that is queued or running since before is waited for instead."""
        states = self._states(step)
        under_way = [run_id for run_id, state in states.items() if state not in ("success", "failed")]
        run_id = next(iter(under_way), f"{self._stem(step)}{len(states) + 1}")
        if not under_way:
            conf, note = conf_of(self.config, step), f"Backfill of {step.window}, by elt backfill"
            self._asked(partial(self.api.trigger, run_id, conf, note))
        self._known[run_id] = "queued"
        self._running[run_id] = step

    def ended(self) -> list[Ended]:
        """Ask Airflow until a run has ended."""
        while True:
            for run_id in self._running:
                self._known[run_id] = self._asked(partial(self.api.state, run_id))
            if found := [run_id for run_id in self._running if self._known[run_id] in ("success", "failed")]:
                return [self._end(run_id) for run_id in found]
            time.sleep(_AIRFLOW_SECONDS)

    def _end(self, run_id: str) -> Ended:
        step, succeeded = self._running.pop(run_id), self._known[run_id] == "success"
        return Ended(step, succeeded, "" if succeeded else self.api.link(run_id))

    def _stem(self, step: Step) -> str:
        return f"{self.prefix}{step_name(self.config, step)}__"

    def _states(self, step: Step) -> dict[str, str]:
        return {run_id: state for run_id, state in self._known.items() if run_id.startswith(self._stem(step))}

    def _asked(self, call: Callable[[], Any]) -> Any:
        """Ask again while Airflow does not answer, as when it is started again."""
        deadline, said = time.monotonic() + _PATIENCE_SECONDS, False
        while True:
            try:
                return call()
            except SourceUnavailableError as error:
                if time.monotonic() > deadline:
                    raise
                if not said:
                    self.say(f"{error}; waiting")
                said = True
                time.sleep(_AIRFLOW_SECONDS)
