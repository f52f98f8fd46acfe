"""A PostgreSQL of a test's own, which may be killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

_LONGEST = 120  # seconds that it may take to start on a machine that has much to do
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "100",
}


@dataclass(frozen=True)
class Server:
    """Its programs, its data and its port."""

    programs: Path
    data: Path
    port: int

    def address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database} connect_timeout=10"

    def query(self, statement: str, database: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        self._control("start", "--wait", "--timeout", str(_LONGEST), "--log", str(self.data / "log"))

    def restart_as_after_a_crash(self) -> None:
        """End every connection and every process, write nothing down, and start from the log of writes."""
        self._control("restart", "--mode", "immediate", "--wait", "--log", str(self.data / "log"))

    def kill(self) -> None:
        """End all of its processes as `kill -9` does, the one that watches the others first."""
        main = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        family = [main, *main.children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=60)

    def stop(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self._control("stop", "--mode", "immediate")

    def _control(self, *what: str) -> None:
        options = " ".join(f"-c {name}='{value}'" for name, value in {**_SETTINGS, "port": self.port}.items())
        # the server keeps what it is given as its output
        done = _as_postgres(self.programs / "pg_ctl", "--pgdata", str(self.data), "--options", options, *what)
        assert done == 0, (self.data / "log").read_text()[-2000:]


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A server on loopback, which anyone there may use; skipped where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise FileNotFoundError("initdb")
        pytest.skip("needs the Debian package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="elt-postgres-"))
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server = Server(programs, folder / "data", port)
        made = ("--no-sync", "--auth", "trust", "--username", "postgres", "--encoding", "UTF8")
        assert _as_postgres(programs / "initdb", "--pgdata", str(server.data), *made) == 0
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(what, message: str = "") -> None:
    """Wait for something that is sure to come, if it takes minutes."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < _LONGEST, message
        time.sleep(0.05)


def _programs() -> Path | None:
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(known[-1]) if known else shutil.which("initdb")
    return Path(found).parent if found else None


def _as_postgres(*command: object) -> int:
    """PostgreSQL refuses to run as root."""
    who = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    quiet = subprocess.DEVNULL
    done = subprocess.run(
        [*who, *map(str, command)], stdin=quiet, stdout=quiet, stderr=quiet, cwd="/", check=False, timeout=300
    )
    return done.returncode
