"""An Airflow of many processes: Celery workers as on machines of their own, a broker, PostgreSQL, object storage."""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import redis
from kombu import Connection

from elt_factory.cli.celery_settings import CELERY_SETTINGS
from elt_factory.cli.running.sessions import end_session
from live_support import ROOT, Deployment, environment_over, free_port, until

HOST, POSTGRES = "127.0.0.1", "host=127.0.0.1 user=postgres dbname=postgres"
WORKERS = ("worker-a", "worker-b")
BUNDLE = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": {"refresh_interval": 5}}]
# what production waits minutes for is here a matter of seconds: workers are killed all the time
HURRY = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "8",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
    "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "True",
}
_BE_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


@dataclass
class Component:
    """A process of the cluster, and how often it was started."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    hostname: str = ""
    process: subprocess.Popen | None = None
    leaders: list[int] = field(default_factory=list)
    due: float = 0.0

    def __str__(self) -> str:
        return self.name


@dataclass
class Cluster:
    """Components that are started again when they end, and what they share."""

    project: Path
    environment: dict[str, str]
    database: str
    url: str = ""
    components: dict[str, Component] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    held: tuple[int, int] = (-1, -1)
    _watching: threading.Thread | None = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def home(self) -> Path:
        return Path(self.environment["AIRFLOW_HOME"])

    def query(self, statement: str) -> list[tuple]:
        """Ask the metadata database."""
        with psycopg.connect(f"{POSTGRES} dbname={self.database}") as connection:
            return connection.execute(statement).fetchall()

    def add(self, name: str, *command: str, hostname: str = "", **environment: str) -> None:
        self.components[name] = Component(name, list(command), self.environment | environment, hostname)

    def start_all(self) -> None:
        self.held = os.pipe()
        ctypes.CDLL(None).prctl(_BE_SUBREAPER, 1)
        for component in self.components.values():
            self._start(component)
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _start(self, component: Component) -> None:
        """Start a process that leads a session of its own, and ends when this one does."""
        command = [sys.executable, "-m", "elt_factory.cli.running.leashed", str(self.held[0]), *component.command]
        if component.hostname and os.geteuid() == 0:
            named = f'hostname {component.hostname} && exec "$@"'
            command = ["unshare", "--uts", "sh", "-c", named, "sh", *command]
        with (self.home / f"{component.name}.log").open("ab") as log:
            component.process = subprocess.Popen(
                command,
                env=os.environ | component.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[self.held[0]],
            )
        component.leaders.append(component.process.pid)

    def _watch(self) -> None:
        while not self._ending.wait(0.5):
            with self._lock:
                for component in self.components.values():
                    self._revive(component)

    def _revive(self, component: Component) -> None:
        if component.process is not None and component.process.poll() is not None:
            component.process, component.due = None, time.monotonic() + 1
        elif component.process is None and time.monotonic() >= component.due:
            self.restarts[component.name] += 1
            self._start(component)

    def _reap(self) -> None:
        """Wait for the children of those that were killed, which are now this process's: so their time is counted."""
        own = {pid for component in self.components.values() for pid in component.leaders}
        for child in psutil.Process().children():
            if child.pid not in own and _session_of(child.pid) in own:
                with suppress(ChildProcessError, psutil.Error):
                    os.waitpid(child.pid, os.WNOHANG)

    def kill(self, name: str, *, whole: bool) -> bool:
        """Kill a component with all that it has started, or alone; whether it ran."""
        with self._lock:
            process = self.components[name].process
            if process is None or process.poll() is not None:
                return False
            self._count(self.components[name])
            if whole:
                end_session(process.pid)
            else:
                process.kill()
            process.wait()
            self._reap()
        return True

    def _count(self, component: Component) -> None:
        """Note how much CPU a component and all that it started have used, before it ends."""
        for pid in psutil.pids():
            if component.process is not None and _session_of(pid) == component.process.pid:
                with suppress(psutil.Error):
                    self.seconds[component.name] += sum(psutil.Process(pid).cpu_times()[:4])

    def tasks(self) -> list[psutil.Process]:
        """The processes in which the code of tasks runs."""
        found = []
        for pid in self.pids():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if " ".join(process.cmdline()).startswith("airflow worker -- "):
                    found.append(process)
        return found

    def pids(self) -> list[int]:
        """All processes that any component has started, of earlier lives too."""
        leaders = {pid for component in self.components.values() for pid in component.leaders}
        return [pid for pid in psutil.pids() if _session_of(pid) in leaders]

    def end_all(self) -> None:
        self._ending.set()
        self._watching.join()
        self._reap()
        for component in self.components.values():
            self._count(component)
        processes = [c.process for c in self.components.values() if c.process is not None]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 8
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for component in self.components.values():
            for leader in component.leaders:
                end_session(leader)
        for process in processes:
            process.wait()
        until(lambda: self._reap() or not self.pids(), 10, self.pids)
        ctypes.CDLL(None).prctl(_BE_SUBREAPER, 0)
        for end in self.held:
            os.close(end)


def seconds_of_children() -> float:
    """The CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def why_not(broker: str) -> str:
    """Why this machine cannot run a cluster; nothing where it can."""
    for name, port in (("PostgreSQL", 5432), ("Redis", 6379) if broker == "redis" else ("RabbitMQ", 5672)):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return f"needs {name} at {HOST}:{port}"
    return ""


@contextmanager
def cluster_over(project: Path, home: Path, broker: str, concurrency: int, source: str) -> Iterator[Cluster]:
    """Airflow with two Celery workers over a project; all it made is gone with the block."""
    name = f"elt_distributed_{os.getpid()}"
    with ExitStack() as stack:
        bucket = stack.enter_context(_object_storage(home))
        environment = environment_over(project, home) | CELERY_SETTINGS | HURRY
        environment |= {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql://postgres@{HOST}/{name}",
            "AIRFLOW__CELERY__BROKER_URL": stack.enter_context(_broker(broker, name)),
            "AIRFLOW__OPERATORS__DEFAULT_QUEUE": name,
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(concurrency),
            "AIRFLOW__CORE__PARALLELISM": str(len(WORKERS) * concurrency),
            "AIRFLOW_VAR_ELT_LANDING": "s3://landings/elt",
            "AIRFLOW_CONN_LANDING": _storage_connection(bucket),
            "AIRFLOW_CONN_SHOP_API": json.dumps({"conn_type": "http", "host": source}),
            "AIRFLOW_CONN_RECEIVER": json.dumps({"conn_type": "http", "host": f"{source}/hook"}),
        }
        cluster = Cluster(project, environment, name)
        stack.enter_context(_metadata(cluster, len(WORKERS) * concurrency))
        _add_components(cluster, source)
        cluster.start_all()
        stack.callback(cluster.end_all)
        yield cluster


def _add_components(cluster: Cluster, source: str) -> None:
    cluster.url, server = Deployment(cluster.project, cluster.environment).serve(BUNDLE)
    cluster.add("api-server", *server)
    for command in ("scheduler", "triggerer", "dag-processor"):
        cluster.add(command, command)
    for worker in WORKERS:
        temporary = cluster.home / worker
        temporary.mkdir()
        # the same address, and a header by which the source knows who asks
        limited = {"conn_type": "http", "host": source, "extra": {"X-Worker": worker}}
        cluster.add(
            worker,
            *("celery", "worker", "--skip-serve-logs", "--celery-hostname", worker),
            hostname=worker,
            TMPDIR=str(temporary),
            AIRFLOW_CONN_LIMITED_API=json.dumps(limited),
        )


def _storage_connection(address: str) -> str:
    extra = {"endpoint_url": address, "region_name": "us-east-1"}
    return json.dumps({"conn_type": "aws", "login": "key", "password": "secret", "extra": extra})


@contextmanager
def _object_storage(home: Path) -> Iterator[str]:
    """The address of an S3 server in a process of its own, with a bucket."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    serve = [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]
    with _serving(serve, home / "storage.log", lambda: _succeeds("PUT", f"{address}/landings")):
        yield address


@contextmanager
def source_over(home: Path) -> Iterator[str]:
    """The address of the source of all rows."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    serve = [sys.executable, str(Path(__file__).with_name("source_server.py")), str(port)]
    with _serving(serve, home / "source.log", lambda: _succeeds("GET", f"{address}/seen")):
        yield address


@contextmanager
def _serving(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(ready, 60, log.read_text)
        yield
    finally:
        server.kill()
        server.wait()


def _succeeds(method: str, address: str) -> bool:
    try:
        return httpx.request(method, address, timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _broker(kind: str, queue: str) -> Iterator[str]:
    """The URL of an empty broker: a Redis database that nothing is in, or RabbitMQ, where the queue is removed."""
    if kind == "redis":
        client = next(c for number in range(15, 0, -1) if not (c := redis.Redis(HOST, db=number)).dbsize())
        number = client.connection_pool.connection_kwargs["db"]
        # taken, before the first message, for others who look for one
        client.set("taken", queue)
        try:
            yield f"redis://{HOST}:6379/{number}"
        finally:
            client.flushdb()
            client.close()
        return
    url = f"amqp://guest:guest@{HOST}:5672//"
    try:
        yield url
    finally:
        with Connection(url) as connection:
            connection.default_channel.queue_delete(queue)
            connection.default_channel.exchange_delete(queue)


@contextmanager
def _metadata(cluster: Cluster, slots: int) -> Iterator[None]:
    """A database of its own, with Airflow's tables and the pool of the warehouse.

    As many slots as tasks: one process has the DuckDB file at a time, and others start meanwhile and wait for it.
    """
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{cluster.database}"')
        try:
            make_metadata(cluster.environment, slots)
            yield
        finally:
            server.execute(f'DROP DATABASE "{cluster.database}" WITH (FORCE)')


def make_metadata(environment: Mapping[str, str], slots: int) -> None:
    """Give a database that is empty Airflow's tables and the pool of the warehouse."""
    make = (
        "from elt_factory.cli.local import apply_settings, migrate_database; migrate_database();"
        f"apply_settings({{'airflow': {{'pools': [{{'pool_name': 'warehouse', 'pool_slot': {slots}}}]}}}})"
    )
    subprocess.run([sys.executable, "-c", make], env=os.environ | environment, cwd=ROOT, check=True)
