"""What a look at something says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Verdict:
    """Whether something holds, and the sentence that says why or why not.

    Args:
        holds: Whether it does.
        message: The sentence.
        needs_load: Whether only another load can change it.
        next_look: When to look again, where that is known.
    """

    holds: bool
    message: str
    needs_load: bool = False
    next_look: datetime | None = None


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Return whether all of several things hold: what fails is said alone, and one that needs a load is enough."""
    failed = [verdict for verdict in verdicts if not verdict.holds]
    message = "; ".join(verdict.message for verdict in failed or verdicts if verdict.message)
    return Verdict(not failed, message, needs_load=any(verdict.needs_load for verdict in failed))
