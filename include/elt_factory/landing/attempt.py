"""One try of an extract task: every try has a landing of its own, and of two the later one counts."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Attempt:
    """One try: its name, which no other has, and when it began, before anything was read of the source.

    The name of a part's try begins with that of its load: `load/part`.
    """

    name: str
    started: datetime

    @classmethod
    def begin(cls, now: datetime | None = None) -> Attempt:
        """Return a new attempt, which begins now: by the warehouse's clock where that is given."""
        return cls(uuid.uuid4().hex[:12], now or datetime.now(UTC))

    def of_part(self) -> Attempt:
        """Return a new attempt at a part of the load that this is the attempt of; it counts from the same moment."""
        return Attempt(f"{self.name}/{uuid.uuid4().hex[:12]}", self.started)

    @property
    def own_name(self) -> str:
        """The name without that of the load."""
        return self.name.rpartition("/")[2]


def is_attempt(name: object) -> bool:
    """Whether this can be the name of an attempt."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name))
