"""What became of the components of a local Airflow, in a file: who asks later reads it there."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "components.json"
_KEPT = 20  # deaths of a component


@dataclass(frozen=True)
class Death:
    """When a component ended, how, and the last line of its log."""

    at: str
    how: str
    said: str

    def __str__(self) -> str:
        return f"{self.how} at {self.at[11:19]} UTC" + (f": {self.said}" if self.said else "")


@dataclass
class Fate:
    """A component: its process where it runs, how often it was started, and its deaths."""

    pid: int | None = None
    starts: int = 0
    deaths: list[Death] = field(default_factory=list)

    def died(self, at: datetime, how: str, said: str) -> Death:
        """Note a death."""
        death = Death(at.isoformat(timespec="seconds"), how, said)
        self.pid, self.deaths = None, [*self.deaths, death][-_KEPT:]
        return death


@dataclass
class Record:
    """All components, since when they are watched, and why all was ended where nothing could keep one alive."""

    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    fates: dict[str, Fate] = field(default_factory=dict)
    failure: str = ""

    def write(self, folder: Path) -> None:
        """Replace the file, which is never seen half written."""
        new = folder / f"{FILE}.new"
        new.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        new.replace(folder / FILE)

    def restarts(self) -> Iterator[str]:
        """Yield a sentence for each component that ended although no one asked it to."""
        for name, fate in self.fates.items():
            if fate.deaths:
                times = f"{len(fate.deaths)} times, the last time" if len(fate.deaths) > 1 else "once:"
                yield f"the {name} ended {times} {fate.deaths[-1]}"


def read(folder: Path) -> Record | None:
    """Return what was written, or None where nothing was, or a newer version wrote it."""
    try:
        given = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Record(given["since"], {name: _fate(entry) for name, entry in given["fates"].items()}, given["failure"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fate(entry: Mapping[str, Any]) -> Fate:
    return Fate(entry["pid"], entry["starts"], [Death(**death) for death in entry["deaths"]])


def how_ended(code: int) -> str:
    """Say how a process ended, from its exit code as Python's subprocess has it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
