"""What the audit tables have said, on disk: a server that starts while the warehouse rests judges by it.

Facts are kept, not the words that follow from them: whether something is late depends on when it is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from elt_factory.diagnosis.audit_facts import Audit, Key, ModelRun
from elt_factory.diagnosis.facts import CheckFact, DriftFact, LoadFact, RejectFact
from elt_factory.ui.kept_picture import KeptFile, kept_file
from elt_factory.ui.tables import warehouse_here


@dataclass(frozen=True)
class KeptAudit:
    """The facts of some sources: JSON has no pairs for keys."""

    sources: Sequence[str]
    loads: Sequence[tuple[Key, Sequence[LoadFact]]]
    last: Sequence[tuple[Key, LoadFact]]
    dates: Sequence[tuple[Key, str]]
    rows: Sequence[tuple[Key, int]]
    rejects: Sequence[tuple[Key, Sequence[RejectFact]]]
    drift: Sequence[tuple[Key, Sequence[DriftFact]]]
    checks: Sequence[tuple[Key, Sequence[CheckFact]]]
    models: Sequence[ModelRun]
    misses: Mapping[str, Sequence[datetime]]
    asked_at: datetime | None

    def audit(self) -> Audit:
        """Return the facts as they were read."""
        return Audit(
            loads=dict(self.loads),
            last=dict(self.last),
            dates=dict(self.dates),
            rows=dict(self.rows),
            rejects=dict(self.rejects),
            drift=dict(self.drift),
            checks=dict(self.checks),
            models=self.models,
            misses=self.misses,
            asked_at=self.asked_at,
        )


def kept_form(audit: Audit, sources: Collection[str]) -> KeptAudit:
    """Return facts as they are kept."""
    return KeptAudit(
        sources=sorted(sources),
        loads=list(audit.loads.items()),
        last=list(audit.last.items()),
        dates=list(audit.dates.items()),
        rows=list(audit.rows.items()),
        rejects=list(audit.rejects.items()),
        drift=list(audit.drift.items()),
        checks=list(audit.checks.items()),
        models=audit.models,
        misses=audit.misses,
        asked_at=audit.asked_at,
    )


def audit_file() -> KeptFile[KeptAudit]:
    """Return the file of this project and its warehouse."""
    return kept_file(TypeAdapter(KeptAudit), "audit", warehouse_here())
