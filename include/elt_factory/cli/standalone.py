"""Airflow with its web UI on this machine, in the background."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from elt_factory.cli import background
from elt_factory.cli.background import HOST, Server, Service
from elt_factory.cli.local import ensure_local_airflow, use_local_airflow
from elt_factory.core.failures import ServiceError

DEFAULT_PORT = 8080
_START_SECONDS = 240.0
_COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True)
class Login:
    """Where the web UI is and who may enter."""

    url: str
    user: str
    password: str


def up(port: int) -> Login:
    """Start Airflow and wait until all of its parts are well; what runs already is left running.

    Raises:
        ServiceError: AIRFLOW_HOME names another Airflow, or it is not well in time.
    """
    if not use_local_airflow():
        raise ServiceError(
            f"AIRFLOW_HOME is {os.environ['AIRFLOW_HOME']}, which is not in this project: unset it first"
        )
    ensure_local_airflow()
    running = background.find(_service())
    server = background.start(_service(), running.port if running else background.free_port(port), _START_SECONDS)
    return _login(server)


def down() -> bool:
    """End the Airflow that `up` started; whether there was one."""
    return use_local_airflow() and background.stop(_service())


def _service() -> Service:
    home = Path(os.environ["AIRFLOW_HOME"])
    return Service(title="Airflow", folder=home, name="standalone", command=_command, healthy=_all_well, environment={})


def _command(port: int) -> list[str]:
    """`airflow standalone` on a port; the other addresses that follow from the port go with it."""
    settings = {
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
    }
    return [
        "/usr/bin/env",
        *(f"{name}={value}" for name, value in settings.items()),
        sys.executable,
        "-m",
        "airflow",
        "standalone",
    ]


def _all_well(port: int) -> bool:
    answer = background.answers(port, "/api/v2/monitor/health")
    if answer is None:
        return False
    health = json.loads(answer)
    return all((health.get(part) or {}).get("status") == "healthy" for part in _COMPONENTS)


def _login(server: Server) -> Login:
    passwords = Path(os.environ["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    user, password = next(iter(json.loads(passwords.read_text(encoding="utf-8")).items()))
    return Login(f"http://{HOST}:{server.port}", user, password)
