"""What a backfill has done, in a file that outlives its process: the same command continues where it was ended."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from elt_factory.core.failures import ServiceError
from elt_factory.core.private import private_files


class Journal:
    """One backfill by what was asked: when it was begun, and the steps whose runs have succeeded since.

    A line for each, written to the disk before the next run begins. The file is gone when all are done. Use it as a
    context manager: it keeps the same backfill from running twice.
    """

    def __init__(self, folder: Path, name: str, asked: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        self._path, self._name = folder / f"{name}-{digest}.jsonl", name
        self.began: datetime | None = None
        self.done: set[str] = set()

    def __enter__(self) -> Self:
        with private_files():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ServiceError(f"this backfill of {self._name} is already running in another process") from None
        self._file.seek(0)
        for line in self._file:
            self._take(line)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._path.exists() or not self._path.stat().st_size:
            self._path.unlink(missing_ok=True)  # nothing was begun
        self._file.close()

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # the process was killed while it wrote this line
        if "began" in entry:
            self.began, self.done = datetime.fromisoformat(entry["began"]), set()
        elif "done" in entry:
            self.done.add(entry["done"])

    def forget(self) -> None:
        """Take nothing of what was done before."""
        self.began, self.done = None, set()

    def begin(self, now: datetime) -> datetime:
        """Begin from the first step, whatever was done before, and return since when that is."""
        self.began, self.done = now, set()
        self._file.truncate(0)
        self._write({"began": now.isoformat()})
        return now

    def note(self, step: str) -> None:
        """Write down that the run of a step has succeeded."""
        self.done.add(step)
        self._write({"done": step})

    def finish(self) -> None:
        """Forget all of it: every step is done."""
        self._path.unlink(missing_ok=True)

    def _write(self, entry: Mapping[str, str]) -> None:
        # also a line that was cut off is ended
        self._file.write(f"\n{json.dumps(entry)}\n")
        self._file.flush()
        os.fsync(self._file.fileno())
