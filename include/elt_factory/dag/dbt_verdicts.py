"""What the task of a model does when one dbt process builds all models: wait, end, say what failed, or build it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from elt_factory.dag.dbt_outcomes import Outcome

Verdict = Literal["wait", "passed", "failed", "build", "skip"]

_ENDED_BADLY = frozenset({"failed", "upstream_failed", "skipped", "removed"})
_BUSY = frozenset({"scheduled", "queued", "running", "restarting"})
_TRIED_ALONE = _BUSY | {"up_for_retry"}


@dataclass(frozen=True)
class Seen:
    """What the task of a model sees.

    Args:
        outcome: What the dbt process says of the model.
        process: Which dbt process that is; "" where none has said anything yet.
        used: Whose word an earlier try of the task has used up.
        build: The state of the task of the dbt process.
        parents: The states of the tasks of the models that this one reads.
        over: Whether that process has said its last: while the task is cleared or tried again, the next one comes.
    """

    outcome: Outcome | None
    process: str
    used: str
    build: str | None
    parents: Sequence[str | None]
    over: bool = False

    @property
    def verdict(self) -> Verdict:
        """What to do.

        A word of the dbt process counts once: a try after it builds the model itself, once what it reads is there.
        """
        fresh = self.outcome if self.process != self.used else None
        if fresh is not None and fresh.state != "skipped":
            return "passed" if fresh.state == "passed" else "failed"
        ended = self.build == "success" or self.build in _ENDED_BADLY
        # what the last process said stays in Airflow until the next one begins
        coming = not ended and (self.build != "running" or self.over)
        unheard = fresh is None and not (self.used and self.process == self.used)
        # skipped: if for a test of a source, or a hook, the process then fails, whatever its parents are
        if coming or (not ended and (unheard or fresh is not None)):
            return "wait"
        if not self.used and self.build in _ENDED_BADLY:
            return "skip"
        return self._by_parents()

    @property
    def by_states(self) -> bool:
        """Whether the verdict is to act, and the states of tasks have a part in it."""
        return self.verdict in ("build", "skip")

    def _by_parents(self) -> Verdict:
        if any(state in _ENDED_BADLY for state in self.parents):
            return "skip"
        return "build" if all(state == "success" for state in self.parents) else "wait"


def left_to_build(
    parents_of: Mapping[str, Sequence[str]], states: Mapping[str, str | None], turn: int = 0
) -> list[str]:
    """Return the models that one dbt process can build together, given the states of their tasks.

    Not what is done, what a task of its own builds at the moment, what failed for good, and what reads one of these
    that is not done: such a model waits for it.

    Args:
        parents_of: The models that each model reads, parents before their children.
        states: The state of each model's task.
        turn: How often the dbt process has put itself off: after the first time a model's delay before its next try
            is kept.
    """
    found: set[str] = set()
    for model, parents in parents_of.items():
        state = states.get(model)
        if state == "success" or state in (_TRIED_ALONE if turn else _BUSY) or state in _ENDED_BADLY:
            continue
        if all(parent in found or states.get(parent) == "success" for parent in parents):
            found.add(model)
    return [model for model in parents_of if model in found]


def waiting(
    parents_of: Mapping[str, Sequence[str]], states: Mapping[str, str | None], heard: Mapping[str, Outcome]
) -> list[str]:
    """Return the models that nothing is wrong with, and that can be built once the next tries of others are good.

    Args:
        parents_of: The models that each model reads, parents before their children.
        states: The state of each model's task, when the dbt process began.
        heard: What that process says.
    """
    tried: set[str] = set()
    found: set[str] = set()
    lost: set[str] = set()
    for model, parents in parents_of.items():
        outcome, state = heard.get(model), states.get(model)
        if state == "success" or (outcome and outcome.state == "passed"):
            continue
        failed = outcome is not None and outcome.state == "failed"
        # a test that fails is not tried again
        if state in _ENDED_BADLY or (failed and outcome and outcome.tests) or lost.intersection(parents):
            lost.add(model)
        elif failed or state in _TRIED_ALONE:
            tried.add(model)
        elif (tried | found).intersection(parents):
            found.add(model)
    return [model for model in parents_of if model in found]
