"""A worker whose clock is wrong: a process of its own that does one thing after another."""

import multiprocessing
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

# where the packages of Debian, of others and of a build by hand put it, on whatever processor
LIBRARIES = ("lib/*/faketime/libfaketime.so.1", "lib*/faketime/libfaketime.so.1", "local/lib/faketime/libfaketime.so.1")


class Worker:
    """Does what it is given, in its process."""

    def __init__(self, there: Connection) -> None:
        self._there = there

    def do(self, work: Callable[..., Any], *given: Any) -> Any:
        """Return what a function returns there, or raise what it raises."""
        self._there.send((work, given))
        failed, found = self._there.recv()
        if failed:
            raise found
        return found


@contextmanager
def worker_ahead_by(hours: int) -> Iterator[Worker]:
    """A worker whose clock is so many hours ahead; what it counts, and the times of its files, are right."""
    library = next((path for pattern in LIBRARIES for path in Path("/usr").glob(pattern)), None)
    if library is None:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise FileNotFoundError(f"/usr/{LIBRARIES[0]}")
        pytest.skip("needs the Debian package libfaketime")
    wrong = {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{hours:+}h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in wrong.items():
            patched.setenv(name, value)
        process.start()
    try:
        yield Worker(here)
    finally:
        here.send(None)
        process.join(10)
        process.kill()


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


def _serve(there: Connection) -> None:
    time.sleep = _sleep  # libfaketime fails the call that Python's own makes: clock_nanosleep until a monotonic time
    while asked := there.recv():
        work, given = asked
        try:
            there.send((False, work(*given)))
        except Exception as error:  # noqa: BLE001 - the test's to judge
            there.send((True, error))


def error_of_clock() -> timedelta:
    """How far a worker's clock is ahead of the one that files are written by."""
    probe = Path(os.environ.get("TMPDIR", "/tmp"), f"elt-clock-{os.getpid()}")
    probe.touch()
    try:
        return datetime.now(UTC) - datetime.fromtimestamp(probe.stat().st_mtime, UTC)
    finally:
        probe.unlink()
