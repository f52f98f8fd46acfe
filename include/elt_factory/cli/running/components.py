"""The components of Airflow on one machine, and the settings with which they live through each other's ends.

Run as a program it keeps them running: `python -m elt_factory.cli.running.components 8080`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from elt_factory.cli import background
from elt_factory.cli.background import HOST
from elt_factory.cli.running.supervisor import Component, Supervisor

API_SERVER = "api-server"
# the name of each in Airflow's report of its health
REPORTED = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
NAMES = (API_SERVER, *REPORTED)
_HEALTH = "/api/v2/monitor/health"
_LEAST, _MOST = 4, 32


def main() -> None:
    """Keep Airflow running on the port that is given."""
    port, home = int(sys.argv[1]), Path(os.environ["AIRFLOW_HOME"])
    supervisor = Supervisor(
        components=[_component(name, port) for name in NAMES],
        folder=home,
        environment=addresses(port) | {name: value for name, value in patience().items() if name not in os.environ},
        silent=lambda: silent(port),
    )
    sys.exit(supervisor.run())


def _component(name: str, port: int) -> Component:
    return Component(name, (name, "--host", HOST, "--port", str(port)) if name == API_SERVER else (name,))


def slots(cores: int) -> int:
    """Return how many tasks run at a time: two a core, since they wait for others, as many as a laptop has room for."""
    return min(max(_LEAST, 2 * cores), _MOST)


def patience() -> dict[str, str]:
    """Return the settings with which tasks and components outlive a component that is started again."""
    at_a_time = str(slots(os.cpu_count() or 1))
    return {
        "AIRFLOW__CORE__PARALLELISM": at_a_time,
        # what a scheduler that ended left running is started again by the next one soon, not after five minutes
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        # a minute and more for an API server that is started again
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
    }


def addresses(port: int) -> dict[str, str]:
    """Return the settings that follow from the port of the web UI, and ports for logs that no other Airflow has."""
    return {
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "elt_factory.cli.running.log_server.this_machine",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(background.free_port(8793)),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(background.free_port(8794)),
    }


def silent(port: int) -> Collection[str]:
    """Return the components that do not report: only the API server where it does not answer, which knows the others'.

    While it is away nothing is known of the others.
    """
    health = _health(port)
    if health is None:
        return (API_SERVER,)
    return [name for name, key in REPORTED.items() if (health.get(key) or {}).get("status") != "healthy"]


def all_well(port: int) -> bool:
    """Whether all components report, and the metadata database answers."""
    health = _health(port)
    return health is not None and (health.get("metadatabase") or {}).get("status") == "healthy" and not silent(port)


def _health(port: int) -> Mapping[str, Any] | None:
    answer = background.answers(port, _HEALTH)
    found: Mapping[str, Any] | None = json.loads(answer) if answer else None
    return found


if __name__ == "__main__":
    main()
