"""Processes of ELT Factory in the background: started once, found again, and ended without touching anyone else's.

A service inherits a lock on its pid file and holds it as long as it lives. What the file says is believed only while
the lock is held, so a process that later got the same id is never ended.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from elt_factory.core.failures import ServiceError
from elt_factory.core.private import private_files

HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Server:
    """A service that is alive, as its pid file describes it."""

    pid: int
    port: int
    machine: str


@dataclass(frozen=True)
class Service:
    """What to start, and how to see that it is well.

    `<folder>/<name>.pid` and `<folder>/<name>.log` are its files; `title` names it in messages; `healthy` takes
    the port, and so does `why`, which says what is not well.
    """

    title: str
    folder: Path
    name: str
    command: Callable[[int], list[str]]
    healthy: Callable[[int], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    why: Callable[[int], str] = lambda _: ""

    @property
    def pid_file(self) -> Path:
        """Says which process it is."""
        return self.folder / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        """Takes all that it writes."""
        return self.folder / f"{self.name}.log"


@dataclass(frozen=True)
class Slow:
    """What to do, once, when a service is not well after a time; `act` takes the port."""

    seconds: float
    act: Callable[[int], None]


_PATIENT = Slow(float("inf"), lambda _: None)


def start(service: Service, port: int, timeout_seconds: float = 60.0, slow: Slow = _PATIENT) -> Server:
    """Start a service on a port of this machine and wait until it is well; one that runs there already is kept.

    Raises:
        ServiceError: the port is taken by something else, it runs on another port, or it is not well in time.
    """
    with private_files():
        return _start(service, port, timeout_seconds, slow)


def _start(service: Service, port: int, timeout_seconds: float, slow: Slow) -> Server:
    service.folder.mkdir(parents=True, exist_ok=True)
    with service.pid_file.open("a+") as pid_file:
        if _lock(pid_file):
            _require_free(port)
            server = _spawn(service, port, pid_file)
        else:
            server = _read(pid_file, service)
    if server.port != port:
        raise ServiceError(
            f"{service.title} of {service.folder} is already running on port {server.port}: stop it first"
        )
    _wait_until_healthy(service, server, timeout_seconds, slow)
    return server


def stop(service: Service) -> bool:
    """End what `start` started and return whether there was something.

    Raises:
        ServiceError: it runs on another machine that shares the folder, or cannot be ended.
    """
    server = find(service)
    if server is None:
        return False
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, sign)
        if _wait_until_gone(service, server):
            return True
    raise ServiceError(f"{service.title} (process {server.pid}) did not stop: see {service.log_file}")


def find(service: Service) -> Server | None:
    """Return the service where it is alive, or None."""
    if not service.pid_file.exists():
        return None
    with service.pid_file.open("r+") as pid_file:
        if not _lock(pid_file):
            return _read(pid_file, service)
        # A `start` at this very moment finds the lock taken, and must not believe what a dead server left.
        pid_file.truncate(0)
        return None


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(wanted: int) -> int:
    """Return the wanted port, or another that is free when it is taken."""
    if is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bytes | None:
    """Return the body that GET on a local port answers with status 200, else None."""
    # Not urllib: it would send this to a proxy that the environment names.
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(pid_file: IO[str], service: Service) -> Server:
    pid_file.seek(0)
    text = pid_file.read()
    if not text:
        raise ServiceError(f"{service.title} of {service.folder} is being started by another process: try again")
    server = Server(**json.loads(text))
    if server.machine != socket.gethostname():
        raise ServiceError(
            f"{service.title} runs on another machine, {server.machine}: stop it there, or use another folder"
        )
    return server


def _require_free(port: int) -> None:
    if not is_free(port):
        raise ServiceError(f"port {port} is in use: stop the process that uses it, or choose another port")


def _spawn(service: Service, port: int, pid_file: IO[str]) -> Server:
    pid_file.truncate(0)
    with service.log_file.open("ab") as log:
        child = subprocess.Popen(  # noqa: S603 - ELT Factory's own command, no shell
            service.command(port),
            env={**os.environ, **service.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[pid_file.fileno()],
        )
    try:
        server = Server(child.pid, port, socket.gethostname())
        pid_file.write(json.dumps(asdict(server)))
        pid_file.flush()
    except OSError:
        # a service that its file does not name could not be ended later
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    return server


def _wait_until_healthy(service: Service, server: Server, timeout_seconds: float, slow: Slow) -> None:
    began, patient = time.monotonic(), True
    while not service.healthy(server.port):
        if find(service) != server:
            raise ServiceError(f"{service.title} ended while it started: {_last_words(service)}")
        waited = time.monotonic() - began
        if waited > timeout_seconds:
            why = service.why(server.port) or "it does not answer"
            stop(service)
            raise ServiceError(
                f"{service.title} was not healthy after {timeout_seconds:g} s: {why}; see {service.log_file}"
            )
        if patient and waited > slow.seconds:
            patient = False
            slow.act(server.port)
        time.sleep(_POLL_SECONDS)


def _wait_until_gone(service: Service, server: Server) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while find(service) == server:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    with suppress(ChildProcessError):
        os.waitpid(server.pid, 0)
    return True


def _last_words(service: Service) -> str:
    lines = service.log_file.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "no output").removeprefix("error: ")
