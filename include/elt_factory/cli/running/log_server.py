"""Airflow's servers of logs, listening where its web UI does: Airflow has no setting for the interface."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from elt_factory.cli.background import HOST

# the components that start one, in a process of their own
SERVERS = ("scheduler", "triggerer")


def listen_here() -> None:
    """Let the server of logs that a component starts in this process listen on the loopback interface alone."""
    from airflow.utils import serve_logs

    vars(serve_logs)["serve_logs"] = serve


def serve(port: int | None = None) -> None:
    """Serve logs as Airflow does."""
    import uvicorn
    from airflow.utils.serve_logs import core

    def run(app: Any, host: str, **options: Any) -> None:  # noqa: ARG001 - Airflow says ""
        uvicorn.run(app, host=HOST, **options)

    found = cast("Any", core)
    found.uvicorn = SimpleNamespace(run=run)
    found.serve_logs(port)


def this_machine() -> str:
    """Return under which name the web UI asks for logs: Airflow's `hostname_callable`."""
    return HOST
