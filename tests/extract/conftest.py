from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from remote_jobs_support import Remote, Runs

SERVER = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[psycopg.Connection]:
    """A connection to the test server, whose search path is a schema that lives as long as the session."""
    try:
        # tables of other columns have the same name from test to test, which a prepared statement does not notice
        database = psycopg.connect(**SERVER, connect_timeout=3, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL to test with: {error}")
    schema = f"extract_{uuid.uuid4().hex[:10]}"
    with database:
        database.execute(f"CREATE SCHEMA {schema}")
        database.execute(f"SET search_path = {schema}")
        try:
            yield database
        finally:
            database.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(scope="session")
def schema(postgres: psycopg.Connection) -> str:
    return postgres.execute("SHOW search_path").fetchone()[0]


@pytest.fixture(scope="module")
def remote_server() -> Iterator[Remote]:
    """A server that speaks as any of the remote systems."""
    from remote_jobs_support import Remote

    remote = Remote()
    Thread(target=remote.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield remote
    remote.shutdown()
    remote.server_close()


@pytest.fixture
def runs(remote_server: Remote, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runs]:
    """What makes a run of a job of a system, with changes of the job."""
    from remote_jobs_support import Runs, job_of, quickly

    quickly(remote_server, monkeypatch)

    def make(name: str, **changes: object) -> Runs:
        remote_server.become(name)
        return Runs(remote_server, job_of(remote_server, changes))

    return make


@pytest.fixture(scope="session")
def dlt_environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environments of connectors, with that of dlt: one for all processes of a run of tests."""
    from connectors_support import DLT, DLT_REQUIREMENTS

    from elt_factory.core.failures import SourceUnavailableError
    from elt_factory.extract.label import TableLabel
    from elt_factory.sources.connectors.environment import command_of
    from elt_factory.sources.dlt.model import Dlt

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "connectors"
    patch = pytest.MonkeyPatch()
    patch.setenv("ELT_CONNECTORS", str(folder))
    extract = Dlt(type="dlt", package=DLT, requirements=DLT_REQUIREMENTS, source="shop")
    try:
        command_of(extract, "python", TableLabel("shop", "orders"), print)
    except SourceUnavailableError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"dlt cannot be installed: {error}")
    finally:
        patch.undo()
    return folder


@pytest.fixture(scope="module")
def connector_environments(dlt_environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environments of dlt, and of the tests' own connector: for that uv asks no index."""
    from connectors_support import write_old_dlt, write_wheel

    wheels = tmp_path_factory.mktemp("wheels")
    write_wheel(wheels)
    write_old_dlt(wheels)
    patch = pytest.MonkeyPatch()
    patch.setenv("ELT_CONNECTORS", str(dlt_environments))
    patch.setenv("UV_FIND_LINKS", str(wheels))
    patch.setenv("UV_NO_INDEX", "1")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def first_loads(connector_environments: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What makes the folder of a kind of connector, with its first load: the records 1 and 2."""
    from connector_stage import Stage

    from elt_factory.testing.loads import WEEK

    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            Stage(kind, made[kind]).whole(1, 2).load(WEEK)
        return made[kind]

    return of
