"""A verdict: what is wrong with a table, whose problem it is, what shows it, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from elt_factory.core.project import has_own_airflow
from elt_factory.diagnosis.facts import Facts

State = Literal["fresh", "late", "failing", "rejecting", "waiting", "paused", "never loaded"]
STATES: tuple[State, ...] = (
    "failing",
    "rejecting",
    "late",
    "waiting",
    "never loaded",
    "paused",
    "fresh",
)  # worst first
Whose = Literal["none", "source system", "pipeline", "config", "transform", "warehouse", "platform"]


@dataclass(frozen=True)
class Finding:
    """What a rule found: a sentence for people, what shows it, the next command or step, what else the rule knows."""

    sentence: str
    evidence: Sequence[str] = ()
    next: str = ""
    state: State | None = None
    whose: Whose | None = None


@dataclass(frozen=True)
class Rule:
    """One branch of the decision tree.

    Args:
        code: Its name, for machines and for the docs.
        state: The state of a table of which it is true.
        whose: Whose problem it is.
        find: Returns what was found, or None where it is not so. A finding may say another state or owner.
    """

    code: str
    state: State
    whose: Whose
    find: Callable[[Facts], Finding | None]

    def applied(self, facts: Facts) -> Verdict | None:
        """Return the verdict where the rule holds."""
        found = self.find(facts)
        if found is None:
            return None
        state, whose = found.state or self.state, found.whose or self.whose
        evidence = tuple(line for line in found.evidence if line)
        command = _as_typed(found.next)
        return Verdict(facts.source, facts.table, self.code, state, whose, found.sentence, evidence, command)


def _as_typed(commands: str) -> str:
    """Return commands as a person types them: `airflow` alone is not the Airflow that a project has of its own."""
    return re.sub(r"(^|; )airflow ", r"\1elt airflow ", commands) if has_own_airflow() else commands


@dataclass(frozen=True)
class Verdict:
    """The verdict on a table; `also` is what else is true of it, as sentences."""

    source: str
    table: str
    code: str
    state: State
    whose: Whose
    sentence: str
    evidence: Sequence[str] = ()
    next: str = ""
    also: Sequence[str] = field(default_factory=tuple)

    @property
    def label(self) -> str:
        """The table's full name."""
        return f"{self.source}.{self.table}" if self.table else self.source

    def entry(self) -> dict[str, Any]:
        """Return the verdict for machines."""
        return asdict(self) | {"evidence": list(self.evidence), "also": list(self.also)}
