"""Airflow with its web UI on this machine, in the background, each of its components kept running."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elt_factory.cli import background
from elt_factory.cli.background import HOST, Server, Service
from elt_factory.cli.local import ensure_local_airflow, use_local_airflow
from elt_factory.cli.running import record
from elt_factory.cli.running.components import all_well, silent
from elt_factory.core.failures import ServiceError

DEFAULT_PORT = 8080
_START_SECONDS, _SLOW_SECONDS = 240.0, 40.0


@dataclass(frozen=True)
class Login:
    """Where the web UI is and who may enter."""

    url: str
    user: str
    password: str


def up(port: int, report: Callable[[str], None]) -> Login:
    """Start Airflow and wait until all of its parts are well; what runs already is left running.

    Args:
        port: The port of the web UI; another one where it is taken.
        report: Hears why it takes long, and what ended by itself before.

    Raises:
        ServiceError: AIRFLOW_HOME names another Airflow, or it is not well in time.
    """
    if not use_local_airflow():
        raise ServiceError(
            f"AIRFLOW_HOME is {os.environ['AIRFLOW_HOME']}, which is not in this project: unset it first"
        )
    ensure_local_airflow()
    service = _service()
    running = background.find(service)
    slow = background.Slow(_SLOW_SECONDS, lambda port: report(f"Airflow still starts: {_why(port)}"))
    port = running.port if running else background.free_port(port)
    server = background.start(service, port, _START_SECONDS, slow)
    if running:
        for sentence in restarts():
            report(sentence)
    return _login(server)


def down(report: Callable[[str], None]) -> bool:
    """End the Airflow that `up` started, and report what had ended by itself; whether there was one."""
    if not use_local_airflow():
        return False
    if background.find(_service()):
        for sentence in restarts():
            report(sentence)
    return background.stop(_service())


def running() -> Server | None:
    """Return the Airflow of this project that `up` started, where it runs."""
    return background.find(_service())


def restarts() -> Iterator[str]:
    """Yield what ended by itself since the start, a sentence for each component."""
    found = record.read(_home())
    yield from found.restarts() if found else ()


def failure() -> str:
    """Return why all components were ended the last time, or nothing."""
    found = record.read(_home())
    return found.failure if found else ""


def _home() -> Path:
    return Path(os.environ["AIRFLOW_HOME"])


def _service() -> Service:
    return Service(
        title="Airflow",
        folder=_home(),
        name="standalone",
        command=lambda port: [sys.executable, "-m", "elt_factory.cli.running.components", str(port)],
        healthy=all_well,
        why=_why,
    )


def _why(port: int) -> str:
    """Say what is not well, and what there is to know about it."""
    names = list(silent(port))
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = f"; the machine is busy: load {load:.0f} on {cores} cores" if load > 2 * cores else ""
    waiting = f"no sign of life of {', '.join(names)} yet" if names else "the metadata database does not answer"
    return "; ".join([waiting, *restarts()]) + busy


def _login(server: Server) -> Login:
    passwords = _home() / "simple_auth_manager_passwords.json.generated"
    user, password = next(iter(json.loads(passwords.read_text(encoding="utf-8")).items()))
    return Login(f"http://{HOST}:{server.port}", user, password)
