"""An Airflow, sources and a warehouse of the tests' own; a test pays only for what it asks for."""

import fcntl
import gc
import json
import logging
import mimetypes
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import sleep

import duckdb
import pytest
from hypothesis import HealthCheck, settings

import durations
import tiers
from fakesnow_server import FakeSnowflake, fakesnow_running

ROOT = Path(__file__).parents[1]
API_KEY = "nyc-flights-demo"
# What the shell, or the task, that runs the tests may have: a project of its own would hide our DAGs
NOT_INHERITED = (
    "ELT_PROJECT",
    "ELT_ENVIRONMENT",
    "_AIRFLOW_PARSING_CONTEXT_DAG_ID",
    "_AIRFLOW_PARSING_CONTEXT_TASK_ID",
    "PYTHONDONTWRITEBYTECODE",
)

# how long an example takes says how busy the machine is
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

CASES_ON_FAKESNOW = 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _sample_cases_on_fakesnow(config, items)
    tiers.mark_tiers(items)
    durations.longest_first(items)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # the checkout itself may be in a folder of such a name
    is_ours = collection_path.parent == ROOT / "tests"
    return (is_ours and tiers.is_elsewhere(collection_path, config.option.markexpr)) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    # a command that ran in this process may have left it quiet
    logging.disable(logging.NOTSET)
    with tiers.running(item):
        return (yield)


def _sample_cases_on_fakesnow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test with many cases run a few, spread over all, on fakesnow, where each takes seconds.

    DuckDB runs every case, and so does fakesnow where ELT_EVERY_CASE is set.
    """
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "fakesnow" in item.callspec.id:
            cases.setdefault((item.path, item.originalname), []).append(item)
    if "ELT_EVERY_CASE" in os.environ:
        return
    dropped: list[pytest.Item] = []
    for found in cases.values():
        steps = max(len(found) - 1, 1)
        kept = {round(number * steps / (CASES_ON_FAKESNOW - 1)) for number in range(CASES_ON_FAKESNOW)}
        dropped += [item for number, item in enumerate(found) if number not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


def pytest_collection_finish() -> None:
    # thousands of tests stay for the whole session: each look for garbage went through them, a seventh of all time
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    for tier, about in tiers.TIERS.items():
        config.addinivalue_line("markers", f"{tier}: {about}")
    tiers.watch_unit_tests()
    if "ELT_DURATIONS" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(durations.Recorder())
    # Airflow reads its environment once, when it is first imported: before any test module is
    own = config._tmp_path_factory.getbasetemp()
    # each process that a test starts would compile Airflow and dbt anew: more than half of its time
    sys.dont_write_bytecode = False
    for name in NOT_INHERITED:
        os.environ.pop(name, None)
    os.environ |= airflow_environment(own / "airflow")
    os.environ |= connections(own / "data", api_port=1)


def airflow_environment(home: Path) -> dict[str, str]:
    from elt_factory.cli.local import local_environment

    environment = local_environment(ROOT)
    # whoever runs one command's tests in another project must not find this one
    del environment["ELT_PROJECT"]
    return environment | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }


def connections(data: Path, api_port: int, **changes: dict[str, object]) -> dict[str, str]:
    """What airflow_settings.yaml gives a laptop, over another folder and port."""
    given: dict[str, dict[str, object]] = {
        "warehouse": {"conn_type": "duckdb", "host": str(data / "warehouse.duckdb")},
        "flights_api": {"conn_type": "http", "host": f"http://127.0.0.1:{api_port}", "password": API_KEY},
        "weather_files": {"conn_type": "fs", "extra": {"path": str(data / "sources" / "weather")}},
        "fleet_db": {"conn_type": "sqlite", "host": str(data / "sources" / "fleet.sqlite")},
        **changes,
    }
    variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in given.items()}
    return variables | {"AIRFLOW_VAR_ELT_LANDING": str(data / "landing")}


@pytest.fixture(scope="session")
def environment_of() -> Callable[..., dict[str, str]]:
    """What gives the environment of a project; `conftest` is the name of several modules."""
    return connections


def any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def unused_ports() -> Iterator[int]:
    """Ports that nothing listens on."""
    return iter(any_free_port, None)


@pytest.fixture
def unused_port(unused_ports: Iterator[int]) -> int:
    return next(unused_ports)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a parallel test session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def dbt_manifest(shared_folder: Path) -> None:
    """The dbt manifest that the DAGs are drawn from."""
    from elt_factory.cli.local import ensure_manifest

    with one_at_a_time(shared_folder, "manifest"), tiers.running(None):
        ensure_manifest()


@pytest.fixture(scope="session")
def airflow_template(shared_folder: Path) -> Path:
    """An empty metadata database with the pool `warehouse`, made once for all processes: never to be used itself."""
    home = shared_folder / "airflow-template"
    done = home / "done"
    with one_at_a_time(shared_folder, "airflow-template"):
        if not done.exists():
            make = (
                "import yaml; from elt_factory.cli.local import apply_settings, migrate_database;"
                "migrate_database();"
                "pools = yaml.safe_load(open('airflow_settings.yaml'))['airflow']['pools'];"
                "apply_settings({'airflow': {'pools': pools}})"
            )
            environment = os.environ | airflow_environment(home) | {"PYTHONPATH": str(ROOT / "include")}
            home.mkdir(parents=True)
            subprocess.run([sys.executable, "-c", make], env=environment, cwd=ROOT, check=True, capture_output=True)
            done.touch()
    return home / "airflow.db"


@pytest.fixture(scope="session")
def airflow_db(airflow_template: Path) -> Path:
    """The metadata database of this process."""
    database = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    # a test without it may have opened an empty one, whose connections do not see what is copied over its file
    with closing(sqlite3.connect(airflow_template)) as template, closing(sqlite3.connect(database)) as own:
        template.backup(own)
    return database


@pytest.fixture(scope="session")
def fake_snowflake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeSnowflake]:
    """A fakesnow server; ask it for the fields of a connection to a database of its own."""
    with (
        fakesnow_running(tmp_path_factory.mktemp("fakesnow"), any_free_port()) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        # the connector looks for a cloud around this machine each time it connects, and reads a list of all types of
        # files for each file that it uploads
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        patch.setattr(mimetypes, "knownfiles", [])
        # and for proxies, in the whole environment, twice for each statement
        patch.setattr("snowflake.connector.vendored.requests.sessions.get_environ_proxies", lambda *_, **__: {})
        yield server


@pytest.fixture(scope="session")
def demo_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the flights API, a real process with its usual limits and failures."""
    from demo.process import running

    port = any_free_port()
    with running(tmp_path_factory.mktemp("api"), port):
        yield port


@pytest.fixture(scope="session")
def demo_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weather of January and the fleet: to be copied, never changed."""
    from demo.prepare import prepare

    folder = tmp_path_factory.mktemp("sources")
    prepare(folder, months=[1])
    return folder


@dataclass(frozen=True)
class Line:
    """The whole line over a data folder of its own: DAGs run in this process, the warehouse can be asked."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, dag_id: str, **conf: object):
        """Run a DAG and return its outcome."""
        from rich.console import Console

        from elt_factory.cli.execution import run_dag

        with (self.folder / "screen.txt").open("a") as screen, self.using():
            return run_dag(dag_id, conf, Console(file=screen), self.log_file)

    @contextmanager
    def using(self, **changes: str) -> Iterator[None]:
        """This line's connections, in the environment."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.environment | changes).items():
                patch.setenv(name, value)
            yield

    def connect(self, name: str, **fields: object) -> None:
        """Change a connection."""
        self.environment[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)

    @property
    def log_file(self) -> Path:
        return self.folder / "airflow.log"

    @property
    def warehouse_file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def query(self, statement: str) -> list[tuple]:
        with duckdb.connect(str(self.warehouse_file)) as connection:
            return connection.execute(statement).fetchall()

    def one(self, statement: str) -> object:
        return self.query(statement)[0][0]

    def tries(self, outcome) -> dict[str, int]:
        """How often every task of a run was tried."""
        with closing(sqlite3.connect(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")) as metadata:
            counted = "select task_id, try_number from task_instance where dag_id = ? and run_id = ?"
            return dict(metadata.execute(counted, [outcome.dag_id, outcome.run_id]).fetchall())

    @property
    def screen(self) -> str:
        """What who runs it sees."""
        file = self.folder / "screen.txt"
        return file.read_text() if file.exists() else ""

    def when_screen_says(self, text: str, act: Callable[[], object]) -> Thread:
        """Act once, beside the run, when a text is on the screen."""

        def watch() -> None:
            while text not in self.screen:
                sleep(0.05)
            act()

        watching = Thread(target=watch, daemon=True)
        watching.start()
        return watching


@pytest.fixture(scope="session")
def lines(airflow_db: Path, dbt_manifest: None) -> Iterator[Callable[..., Line]]:
    """Make a line over a folder."""
    from dbt_common.behavior_flags import BehaviorFlagRendered

    def make(folder: Path, api_port: int = 1, **environment: str) -> Line:
        folder.mkdir(parents=True, exist_ok=True)
        return Line(folder, connections(folder, api_port) | environment)

    with pytest.MonkeyPatch.context() as patch:
        # for a name that a warning might tell, every command of dbt reads the source of the whole stack, which is deep
        patch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt"))
        yield make


@pytest.fixture
def line(lines: Callable[..., Line], demo_sources: Path, demo_api: int, tmp_path: Path) -> Line:
    """The demo's line: its three sources, an empty warehouse."""
    shutil.copytree(demo_sources, tmp_path / "data" / "sources")
    return lines(tmp_path / "data", demo_api)


@pytest.fixture
def tiny(lines: Callable[..., Line], tmp_path: Path) -> Callable[..., Line]:
    """A line whose project is one config, given as YAML, with `input.csv` as what it may read."""

    def make(yaml: str, rows: str = "id,amount\n1,2.5\n2,3.5\n") -> Line:
        project = tmp_path / "project"
        (project / "dag_configs").mkdir(parents=True, exist_ok=True)
        (project / "dag_configs" / "tiny.yaml").write_text(yaml)
        inbox = project / "inbox"
        inbox.mkdir(exist_ok=True)
        (inbox / "input.csv").write_text(rows)
        made = lines(tmp_path / "data", ELT_PROJECT=str(project))
        made.connect("inbox", conn_type="fs", extra={"path": str(inbox)})
        return made

    return make
