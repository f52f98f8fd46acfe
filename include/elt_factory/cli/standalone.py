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
from elt_factory.cli.local import ensure_local_airflow, is_ours, local_environment, use_local_airflow
from elt_factory.cli.local_runs import free_killed
from elt_factory.cli.metadata import use_postgres, use_sqlite
from elt_factory.cli.running import record
from elt_factory.cli.running.components import all_well, silent
from elt_factory.core.failures import ServiceError
from elt_factory.core.project import project_root

DEFAULT_PORT = 8080
_START_SECONDS, _SLOW_SECONDS = 240.0, 40.0


@dataclass(frozen=True)
class Login:
    """Where the web UI is and who may enter."""

    url: str
    user: str
    password: str


def up(port: int, report: Callable[[str], None], postgres: str | None = None, sqlite: bool = False) -> Login:
    """Start Airflow and wait until all of its parts are well; what runs already is left running.

    Args:
        port: The port of the web UI; another one where it is taken.
        report: Hears why it takes long, and what ended by itself before.
        postgres: The URL of the database for the metadata from now on.
        sqlite: Whether it is in SQLite from now on.

    Raises:
        ServiceError: AIRFLOW_HOME names another Airflow, it is not well in time, or it runs with another database.
    """
    if not is_ours(project_root()):
        raise ServiceError(
            f"AIRFLOW_HOME is {os.environ['AIRFLOW_HOME']}, which is not in this project: unset it first"
        )
    if postgres or sqlite:
        _choose_database(postgres)
    ensure_local_airflow()
    free_killed(report)
    service = _service()
    running = background.find(service)
    slow = background.Slow(_SLOW_SECONDS, lambda port: report(f"Airflow still starts: {_why(port)}"))
    port = running.port if running else background.free_port(port)
    server = background.start(service, port, _START_SECONDS, slow)
    for sentence in restarts() if running else ():
        report(sentence)
    return login_of(server)


def _choose_database(postgres: str | None) -> None:
    os.environ["AIRFLOW_HOME"] = local_environment(project_root())["AIRFLOW_HOME"]
    if running():
        raise ServiceError("Airflow runs, and keeps its database until it is stopped; hint: elt down")
    if postgres:
        use_postgres(home(), postgres)
    else:
        use_sqlite(home())


def down(report: Callable[[str], None]) -> bool:
    """End the Airflow that `up` started, and report what had ended by itself; whether there was one."""
    if not use_local_airflow():
        return False
    found = record.read(home())
    if found and (background.find(_service()) or found.failure):
        for sentence in filter(None, [*found.restarts(), found.failure]):
            report(sentence)
    return background.stop(_service())


def running() -> Server | None:
    """Return the Airflow of this project that `up` started, where it runs."""
    return background.find(_service())


def restarts() -> Iterator[str]:
    """Yield what ended by itself since the start, a sentence for each component."""
    found = record.read(home())
    yield from found.restarts() if found else ()


def failure() -> str:
    """Return why all components were ended the last time, or nothing."""
    found = record.read(home())
    return found.failure if found else ""


def home() -> Path:
    """Return the folder of the Airflow of this project."""
    return Path(os.environ["AIRFLOW_HOME"])


def _service() -> Service:
    return Service(
        title="Airflow",
        folder=home(),
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


def login_of(server: Server) -> Login:
    """Return the web UI's address with its first user."""
    passwords = home() / "simple_auth_manager_passwords.json.generated"
    user, password = next(iter(json.loads(passwords.read_text(encoding="utf-8")).items()))
    return Login(f"http://{HOST}:{server.port}", user, password)
