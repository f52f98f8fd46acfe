"""What one dbt process says of each of its models while it runs: the model with its tests, as one outcome.

Imports neither Airflow nor dbt.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["passed", "failed", "skipped"]

GOOD = frozenset({"success", "pass", "warn", "partial success", "no-op"})
_LINES, _LONGEST = 20, 300  # of what dbt says of a model: it is read from Airflow's database every second
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """How a model ended.

    Args:
        state: Whether the model and its tests are good; skipped where dbt did not run it.
        message: What is wrong.
        tests: Whether only tests failed, which no retry changes.
        seconds: What the model itself took.
        lines: What dbt said of the model and its tests.
    """

    state: State
    message: str = ""
    tests: bool = False
    seconds: float = 0.0
    lines: tuple[str, ...] = ()

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Outcome:
        """Return it out of JSON."""
        return cls(**{**stored, "lines": tuple(stored.get("lines", ()))})


@dataclass
class Outcomes:
    """The outcomes of the models that one dbt process builds; told of from several threads.

    Args:
        tests_of: The tests that belong to each model.
    """

    tests_of: Mapping[str, tuple[str, ...]]
    _ended: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._model_of = {test: model for model, tests in self.tests_of.items() for test in tests}

    def hear(self, event: Mapping[str, Any], ending: Iterable[str] = ("NodeFinished",)) -> None:
        """Take in one event of dbt's log; `ending` names those that say how a node ended."""
        info, data = event.get("info", {}), event.get("data", {})
        node = data.get("node_info", {}) if isinstance(data, dict) else {}
        unique_id = node.get("unique_id")
        if not unique_id:
            return
        with self._lock:
            if info.get("level") != "debug":
                self._keep_line(unique_id, str(info.get("msg", "")))
            if info.get("name") in ending:
                said = data.get("run_result") or {}
                self._ended[unique_id] = {"status": node.get("node_status"), "message": info.get("msg"), **said}

    def hear_line(self, line: str) -> None:
        """Take in one line of the JSON log of a dbt process; what is not JSON is ignored."""
        if line.startswith("{"):
            try:
                event = json.loads(line)
            except ValueError:
                return
            self.hear(event, _ENDING_IN_LOG)

    def settle(self, report: Mapping[str, Any]) -> None:
        """Take in run_results.json: the last word, for what no event told of, too."""
        with self._lock:
            for result in report["results"]:
                self._ended[result["unique_id"]] = result
            # a test that dbt was not asked for is not waited for
            for test in self._model_of:
                self._ended.setdefault(test, {"status": "skipped"})

    def without_a_task(self, report: Mapping[str, Any], others: Container[str]) -> dict[str, Mapping[str, Any]]:
        """Return what failed and belongs to no model: a test of sources or of an ephemeral model, a hook.

        Not unit tests: dbt skips the model of one that fails, and the model's task runs it again.

        Args:
            report: dbt's run_results.json.
            others: The tests that tasks of other models run.
        """
        return {
            name: result
            for result in report["results"]
            if result["status"] not in GOOD | {"skipped"}
            and not ((name := result["unique_id"]) in self.tests_of or name in self._model_of or name in others)
            and not name.startswith("unit_test.")
        }

    def known(self) -> dict[str, Outcome]:
        """Return the outcomes of the models that have ended, with all of their tests."""
        with self._lock:
            found = ((model, self._outcome(model)) for model in self.tests_of if model in self._ended)
            return {model: outcome for model, outcome in found if outcome is not None}

    def _outcome(self, model: str) -> Outcome | None:
        own = self._ended[model]
        seconds, lines = float(own.get("execution_time") or 0), tuple(self._lines.get(model, ()))
        if own["status"] == "skipped":
            return Outcome("skipped", lines=lines)
        if own["status"] not in GOOD:
            return Outcome("failed", str(own.get("message") or own["status"]), False, seconds, lines)
        tests = self.tests_of[model]
        if any(test not in self._ended for test in tests):
            return None
        bad = {test: said for test in tests if (said := self._ended[test])["status"] not in GOOD | {"skipped"}}
        if not bad:
            return Outcome("passed", "", False, seconds, lines)
        causes = "; ".join(f"{test.split('.')[2]}: {said.get('message') or 'failed'}" for test, said in bad.items())
        return Outcome("failed", causes, all(said["status"] == "fail" for said in bad.values()), seconds, lines)

    def _keep_line(self, unique_id: str, text: str) -> None:
        lines = self._lines[self._model_of.get(unique_id, unique_id)]
        if text.strip() and len(lines) < _LINES:
            lines.append(_COLOURS.sub("", text).strip()[:_LONGEST])


def says_anything(level: str, name: str) -> bool:
    """Return whether an event of dbt's log has a line for people, or an end: of 40 for each model, three do.

    Args:
        level: The level of the event.
        name: What kind of event it is.
    """
    return level != "debug" or name in _ENDING_IN_LOG


# At the level that dbt writes to a log, nothing else says how a node ended
_ENDING_IN_LOG = (
    "NodeFinished",
    "LogModelResult",
    "LogTestResult",
    "LogSeedResult",
    "LogSnapshotResult",
    "LogNodeResult",
)
