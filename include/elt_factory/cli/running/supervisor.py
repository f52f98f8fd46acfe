"""Starts the components of a local Airflow, watches them, and starts again what ends.

One that ends is started again after a growing wait. One that ends again and again is not: all are ended, with one error
that has its last words. So is one that runs and has long given no sign of life: it is killed, and started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from elt_factory.cli.running.last_words import last_words
from elt_factory.cli.running.record import Death, Fate, Record, how_ended
from elt_factory.cli.running.sessions import end_session

_LOG_BYTES = 10_000_000
# room for the last words where the disk is full
_RESERVE, _RESERVED_BYTES = ".reserve", 65_536


@dataclass(frozen=True)
class Limits:
    """How long the supervisor waits, in seconds, and how many deaths it takes.

    `deaths` within `window` is the end of all where the component ended by itself; a kill from outside counts less.
    """

    poll: float = 0.2
    first_wait: float = 1.0
    longest_wait: float = 30.0
    deaths: int = 3
    kill_counts: float = 0.25
    window: float = 600.0
    look: float = 15.0
    silence: float = 180.0
    grace: float = 10.0


@dataclass(frozen=True)
class Component:
    """A process to keep running: its name, and the command of Airflow."""

    name: str
    command: tuple[str, ...]


@dataclass
class _Watched:
    """A component as the supervisor knows it; times are those of the monotonic clock."""

    component: Component
    fate: Fate
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0
    well_at: float = 0.0
    log_start: int = 0
    # when it ended, and how much that counts
    ends: list[tuple[float, float]] = field(default_factory=list)


class Supervisor:
    """Keeps components running until it is asked to end, or one of them cannot be kept alive.

    Args:
        components: What to keep running.
        folder: Where their logs are, and the record of what became of them.
        environment: Added to the environment of each.
        silent: Returns the names of those that run and do not report; asked now and then.
        limits: How long to wait.
        launch: The program that runs a component's command, before the number of its leash.
    """

    def __init__(
        self,
        components: Sequence[Component],
        folder: Path,
        environment: Mapping[str, str],
        silent: Callable[[], Collection[str]],
        limits: Limits = Limits(),
        launch: Sequence[str] = (sys.executable, "-m", "elt_factory.cli.running.leashed"),
    ) -> None:
        self._folder, self._environment, self._silent, self._limits = folder, environment, silent, limits
        self._launch, self._looked, self._ending = launch, 0.0, False
        self._record = Record(fates={component.name: Fate() for component in components})
        self._watched = [_Watched(component, self._record.fates[component.name]) for component in components]
        # components read one end, and see when the other is gone with this process
        self._leash, self._held = os.pipe()

    def run(self) -> int:
        """Watch until the end; 1 where a component could not be kept alive."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        with suppress(OSError):
            (self._folder / _RESERVE).write_bytes(bytes(_RESERVED_BYTES))
        try:
            while not (self._ending or self._record.failure):
                self._step(time.monotonic())
                time.sleep(self._limits.poll)
        finally:
            self._end_all()
        if self._record.failure:
            # the last line of the log is what the starting command shows
            say(f"error: {self._record.failure}", dated=False)
        return 1 if self._record.failure else 0

    def _end(self, _: int, __: FrameType | None) -> None:
        self._ending = True

    def _step(self, now: float) -> None:
        for watched in self._watched:
            process = watched.process
            if process is None and now >= watched.due:
                self._start(watched, now)
            elif process is not None and (code := process.poll()) is not None:
                self._ended(watched, how_ended(code), self._limits.kill_counts if code == -signal.SIGKILL else 1, now)
        if now - self._looked >= self._limits.look:
            self._looked = now
            self._look(time.monotonic())

    def _start(self, watched: _Watched, now: float) -> None:
        name = watched.component.name
        log = self._folder / f"{name}.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        watched.log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            watched.process = subprocess.Popen(  # noqa: S603 - ELT Factory's own command, no shell
                [*self._launch, str(self._leash), *watched.component.command],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[self._leash],
            )
        watched.well_at, watched.fate.pid = now, watched.process.pid
        watched.fate.starts += 1
        say(f"{name}: process {watched.process.pid}")
        self._write()

    def _ended(self, watched: _Watched, how: str, weight: float, now: float) -> None:
        """Note a death, end what it left, and say when it is started again, unless it is enough."""
        name, process = watched.component.name, watched.process
        if process is not None:
            # tasks of a dead scheduler would keep the files that its successor's tasks need
            end_session(process.pid)
        watched.process = None
        # who is killed from outside has no last words
        said = last_words(self._folder / f"{name}.log", watched.log_start) if weight == 1 else ""
        death = watched.fate.died(datetime.now(UTC), how, said)
        recent = [(at, cost) for at, cost in watched.ends if now - at < self._limits.window]
        watched.ends = [*recent, (now, weight)]
        if sum(cost for _, cost in watched.ends) >= self._limits.deaths:
            self._record.failure = _hopeless(name, len(watched.ends), watched.fate.deaths, self._folder)
        else:
            wait = min(self._limits.first_wait * 2 ** len(recent), self._limits.longest_wait)
            watched.due = now + wait
            say(f"{name} {death}; it is started again in {wait:g} s")
        self._write()

    def _look(self, now: float) -> None:
        """Kill what has not reported for long; the next step finds it dead."""
        silent = self._silent()
        for watched in self._watched:
            if watched.process is None or watched.component.name not in silent:
                watched.well_at = now
            elif now - watched.well_at > self._limits.silence:
                watched.process.kill()
                watched.process.wait()
                self._ended(watched, f"gave no sign of life for {self._limits.silence:g} s, and was killed", 1, now)

    def _end_all(self) -> None:
        alive = [watched.process for watched in self._watched if watched.process is not None]
        for process in alive:
            with suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + self._limits.grace
        for process in alive:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            end_session(process.pid)
            process.wait()
        for watched in self._watched:
            watched.fate.pid = None
        # no component is left to take the room
        (self._folder / _RESERVE).unlink(missing_ok=True)
        self._write()

    def _write(self) -> None:
        # the disk may be full: that components cannot write either is said by their deaths
        with suppress(OSError):
            self._record.write(self._folder)


def say(line: str, dated: bool = True) -> None:
    """Write a line to the log of the supervisor; where the disk is full, continue without."""
    time_of_day = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} " if dated else ""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), f"{time_of_day}{line}\n".encode())


def _hopeless(name: str, times: int, deaths: Sequence[Death], folder: Path) -> str:
    # on a full disk the first one may be the only one that could write why
    why = next((death.said for death in reversed(deaths) if death.said), "")
    said = f": {why}" if why else ""
    return f"the {name} cannot be kept running: it {deaths[-1].how}{said} ({times} times; see {folder / name}.log)"
