"""What a look at something says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether something holds, the sentence that says why or why not, and whether only another load can change it."""

    holds: bool
    message: str
    needs_load: bool = False


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Return whether all of several things hold: what fails is said alone, and one that needs a load is enough."""
    failed = [verdict for verdict in verdicts if not verdict.holds]
    message = "; ".join(verdict.message for verdict in failed or verdicts if verdict.message)
    return Verdict(not failed, message, needs_load=any(verdict.needs_load for verdict in failed))
