"""A connector as a process: its lines, its limits, its end."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import IO

from elt_factory.config.models.durations import format_duration
from elt_factory.core.failures import BadDataError, BadRequestError, SourceUnavailableError
from elt_factory.core.supervisor import supervised
from elt_factory.extract.label import TableLabel
from elt_factory.sources.connectors.environment import bare_environment
from elt_factory.sources.connectors.model import Connector

_CHUNK = 1 << 20
_LONGEST_LINE = 256 << 20
_LONGEST_HEARD = 64 << 10  # of a line for people
_LOOK_EVERY = 1.0  # seconds
_GRACE = 15.0  # more than the supervisor gives to what it ends
_KEPT_LINES = 20  # of what was said last, for an error


@dataclass(frozen=True)
class Limits:
    """What a connector may take: time in all and without a line, memory with all it starts, and what it may print."""

    timeout: timedelta
    silence: timedelta
    memory_mb: int
    output_mb: int

    @classmethod
    def of(cls, extract: Connector) -> Limits:
        """Return those of a config."""
        return cls(extract.timeout, extract.silence, extract.memory_mb, extract.output_mb)


@dataclass
class Output:
    """What a connector says: lines on its standard output; those on the other go to `hear`."""

    process: subprocess.Popen[bytes]
    limits: Limits
    label: TableLabel
    last: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    looked_at: float = 0.0
    size: int = 0  # of both outputs

    def lines(self) -> Iterator[list[bytes]]:
        """Yield the lines of the standard output, as many together as have come.

        Raises:
            SourceUnavailableError: it took too long, or said nothing for too long.
            BadRequestError: it took too much memory, or sent too much.
            BadDataError: a line has no end.
        """
        rest, length = list[bytes](), 0  # of the line that has no end yet
        for chunk in self._chunks():
            begins, *lines = chunk.split(b"\n")
            rest.append(begins)
            length += len(begins)
            if length > _LONGEST_LINE:
                raise self.label.error(BadDataError, f"a line of over {_LONGEST_LINE >> 20} MB from the connector")
            if lines:
                *whole, last = lines
                yield [b"".join(rest), *whole]
                rest, length = [last], len(last)
        if length:
            yield [b"".join(rest)]

    def _chunks(self) -> Iterator[bytes]:
        """Yield the standard output as it comes."""
        out = self.process.stdout
        if out is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while True:
                ready = selector.select(_LOOK_EVERY)
                self._hold_to_limits()
                if not ready:
                    continue
                chunk = os.read(out.fileno(), _CHUNK)
                if not chunk:
                    return
                self.heard(chunk)
                yield chunk

    def heard(self, said: bytes) -> None:
        """Count what was said, on either output."""
        self.heard_at = time.monotonic()
        self.size += len(said)

    def wait(self) -> int:
        """Return the exit code, once it has ended. Raises as `lines` does."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(_LOOK_EVERY)
            self._hold_to_limits()

    def said(self) -> str:
        """Return what it said last on its standard error, without secrets."""
        return self.label.clean(" ".join(self.last[-3:]).strip())[-1000:]

    def _hold_to_limits(self) -> None:
        limit, now = self.limits, time.monotonic()
        if self.size > limit.output_mb << 20:
            text = f"the connector has sent over {limit.output_mb:,} MB for one table"
            raise self.label.error(BadRequestError, text, "write a higher output_mb: if that is right")
        if now - self.looked_at < _LOOK_EVERY:
            return
        self.looked_at = now
        if now - self.began > limit.timeout.total_seconds():
            text = f"the connector is not done after {format_duration(limit.timeout)}"
            raise self.label.error(SourceUnavailableError, text, "write a longer timeout:")
        if now - self.heard_at > limit.silence.total_seconds():
            text = f"the connector has said nothing for {format_duration(limit.silence)}"
            raise self.label.error(SourceUnavailableError, text, "write a longer silence: if that is usual")
        used = _memory_mb(self.process.pid)
        if used > limit.memory_mb:
            text = f"the connector takes {used:,} MB of memory, and {limit.memory_mb:,} MB are allowed"
            raise self.label.error(BadRequestError, text, "write a higher memory_mb:")


@contextmanager
def running(
    command: Sequence[str | Path], workdir: Path, limits: Limits, label: TableLabel, hear: Callable[[str], None]
) -> Iterator[Output]:
    """Run a connector; at the end of the block nothing of it lives.

    Args:
        command: The command with its arguments.
        workdir: Its folder for whatever it writes.
        limits: What it may take.
        label: The table, for messages.
        hear: Takes each line that it says on its standard error, without secrets.
    """
    environment = bare_environment(HOME=str(workdir), TMPDIR=str(workdir), PYTHONUNBUFFERED="1")
    environment["PATH"] = f"{Path(command[0]).parent}:{environment.get('PATH', '/usr/bin:/bin')}"
    process = subprocess.Popen(  # noqa: S603 - the command is that of the environment made for it
        supervised(command),
        cwd=workdir,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output = Output(process, limits, label)
    listener = Thread(target=_listen, args=(process.stderr, output, hear), daemon=True)
    listener.start()
    try:
        yield output
    finally:
        _end(process)
        listener.join(_GRACE)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def write_settings(file: Path, settings: Mapping[str, object]) -> Path:
    """Write what a connector is given into a file that only this user can read, and return it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(settings, out)
    return file


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(pipe: IO[bytes] | None, output: Output, hear: Callable[[str], None]) -> None:
    # a line without an end comes in pieces
    for line in iter(lambda: pipe.readline(_LONGEST_HEARD), b"") if pipe else ():
        output.heard(line)
        text = output.label.clean(line.decode(errors="replace").rstrip())
        if text:
            output.last[:] = [*output.last[-_KEPT_LINES:], text]
            hear(text)


def _memory_mb(pid: int) -> int:
    """Return what a process and all below it take."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid).children(recursive=True)
        total = 0
        for child in found:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += child.memory_info().rss
        return total >> 20
    return 0
