"""What to land, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from elt_factory.core.window import Window
from elt_factory.extract.request import Spool
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.manifest import Replays
from elt_factory.landing.places import Place
from elt_factory.landing.schema import KnownTable


@dataclass(frozen=True)
class LandRequest:
    """What to land.

    `place` is that of this load id; `workdir` is scratch space on this machine; `project` is whose landing it is;
    `attempt` began before the source was read; `cursor_after` is where the source was read from, by a cursor that is
    no time, and `token_after` by a token of the API; `zone` is the clock of times without a zone. `replays` says that
    the records are rejects of another load.
    """

    known: KnownTable
    window: Window
    load_id: str
    spool: Spool
    place: Place
    workdir: Path
    log: Callable[[str], None]
    project: str = ""
    attempt: Attempt = field(default_factory=Attempt.begin)
    cursor_after: str | None = None
    token_after: str | None = field(default=None, repr=False)
    zone: str = "UTC"
    replays: Replays | None = None

    @property
    def staged(self) -> Path:
        """The folder of the staged records."""
        return self.workdir / f"staged-{self.attempt.own_name}"
