"""Start and stop the flights API as a process of its own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from elt_factory.cli import background
from elt_factory.cli.background import HOST, Server, Service

__all__ = ["HOST", "Server", "find", "running", "start", "stop"]


def start(data_dir: Path, port: int, *, env: Mapping[str, str] | None = None, timeout_seconds: float = 60.0) -> int:
    """Start the flights API on 127.0.0.1, wait until it answers /health, and return its process id.

    It logs to `<data_dir>/flights_api.log`; `env` is added to its environment. When it runs on this port for
    this folder already, nothing is started. Raises DemoError when the port is taken by something else, when
    the folder's API runs on another port, or when it does not answer in time.
    """
    return background.start(_service(data_dir, env or {}), port, timeout_seconds).pid


def stop(data_dir: Path) -> bool:
    """End the flights API that `start` started for this folder and return whether there was one.

    Raises DemoError when it runs on another machine that shares the folder, or cannot be ended.
    """
    return background.stop(_service(data_dir, {}))


def find(data_dir: Path) -> Server | None:
    """Return the flights API that is alive for this folder, or None."""
    return background.find(_service(data_dir, {}))


@contextmanager
def running(data_dir: Path, port: int, *, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the flights API for the length of a `with` block and give its base URL.

    One that ran before is used and left running. Raises DemoError as `start` does.
    """
    ran_before = find(data_dir) is not None
    start(data_dir, port, env=env)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        if not ran_before:
            stop(data_dir)


def _service(data_dir: Path, env: Mapping[str, str]) -> Service:
    packages = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    return Service(
        title="the flights API",
        folder=data_dir,
        name="flights_api",
        command=lambda port: [sys.executable, "-m", "demo", "serve", "--host", HOST, "--port", str(port)],
        healthy=lambda port: background.answers(port, "/health") is not None,
        environment={"PYTHONPATH": packages, **env},
    )
