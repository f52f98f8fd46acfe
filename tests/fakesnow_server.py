"""A fakesnow server in a process of its own: Snowflake's protocol over DuckDB, for the real connector and hook."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError
from urllib.request import urlopen

# it ends when its input does, so also when the tests are killed
SERVE = Path(__file__).with_name("fakesnow_fixes.py")
START_SECONDS = 60


@dataclass(frozen=True)
class FakeSnowflake:
    """A server that runs; every database of it is made by the first connection that names it."""

    port: int
    folder: Path = field(repr=False)
    pid: int = 0
    numbers: ClassVar[itertools.count] = itertools.count()

    def fields(self, database: str | None = None, **extra: Any) -> dict[str, Any]:
        """An Airflow connection of type snowflake, as AIRFLOW_CONN_... takes it; by default to an empty database."""
        given = {
            "account": "fakesnow",
            "database": database or f"TEST_{os.getpid()}_{next(self.numbers)}",
            "warehouse": "LOADING",
            "role": "LOADER",
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            # what fakesnow cannot do is an HTTP 500 there, which the connector tries again all this time
            "network_timeout": 3,
            "session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
        }
        login = {"conn_type": "snowflake", "login": "fake", "password": "snow", "schema": "PUBLIC"}
        return login | {"extra": given | extra}

    @property
    def log(self) -> str:
        """What the server wrote: a line per request."""
        return (self.folder / "fakesnow.log").read_text()


@contextmanager
def fakesnow_running(folder: Path, port: int, kept: Path | None = None) -> Iterator[FakeSnowflake]:
    """Start a server on a port of 127.0.0.1 whose stages are below the folder; it ends with the block.

    Databases are in memory, or in the folder `kept`, where the next server finds what was committed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "fakesnow.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(SERVE), str(port)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"TMPDIR": str(folder)} | ({"FAKESNOW_KEPT": str(kept)} if kept else {}),
        )
    server = FakeSnowflake(port, folder, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: FakeSnowflake, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{server.port}/monitoring/queries/0", timeout=5):
                return
        except URLError as error:
            if hasattr(error, "code"):  # it answers, if only that nobody is logged in
                return
            time.sleep(0.1)
    message = f"the fakesnow server did not start:\n{server.log}"
    raise RuntimeError(message)
