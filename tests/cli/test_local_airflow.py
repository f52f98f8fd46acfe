"""Where the metadata of the project's Airflow is, and what `elt doctor` says of its components."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from elt_factory.cli import local, standalone
from elt_factory.cli.background import Server
from elt_factory.cli.health import components
from elt_factory.cli.metadata import metadata_url, shown, use_postgres, use_sqlite
from elt_factory.cli.running.record import Fate, Record
from elt_factory.core.failures import ServiceError

ROOT = Path(__file__).parents[2]
SERVER = "postgresql://postgres@127.0.0.1:5432"


POOL = """
airflow:
  pools:
    - {pool_name: warehouse, pool_slot: 3, pool_description: three loads together}
"""


@pytest.fixture
def database() -> Iterator[str]:
    """The name of a database that does not exist yet."""
    name = f"elt_metadata_{uuid.uuid4().hex[:8]}"
    try:
        server = psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL to test with: {error}")
    with server:
        yield name
        server.execute(f"DROP DATABASE IF EXISTS {name}")


def test_whoever_finds_sqlite_locked_waits_also_the_asynchronous_engine(tmp_path):
    from airflow.settings import _get_async_conn_uri_from_sync
    from sqlalchemy.dialects.sqlite.aiosqlite import dialect as asynchronous
    from sqlalchemy.dialects.sqlite.pysqlite import dialect

    url = metadata_url(tmp_path)
    assert dialect().create_connect_args(make_url(url))[1]["timeout"] == 120
    url = _get_async_conn_uri_from_sync(url)
    assert asynchronous().create_connect_args(make_url(url))[1]["timeout"] == 120


@pytest.mark.services
def test_a_database_of_postgresql_is_created_once_and_remembered_until_sqlite_is_wanted_again(tmp_path, database):
    from sqlalchemy import create_engine

    for _ in range(2):
        use_postgres(tmp_path, f"{SERVER}/{database}".replace("postgresql", "postgres", 1))
    assert metadata_url(tmp_path) == f"{SERVER}/{database}"
    assert (tmp_path / "metadata_url").stat().st_mode & 0o777 == 0o600
    assert shown(tmp_path) == f"PostgreSQL at 127.0.0.1:5432, database {database}"
    engine = create_engine(metadata_url(tmp_path))
    with engine.connect() as connection:
        assert connection.execute(text("select current_database()")).scalar() == database
    engine.dispose()
    use_sqlite(tmp_path)
    assert shown(tmp_path) == "SQLite"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("airflow", "invalid URL for --postgres"),
        ("mysql://root@127.0.0.1/airflow", "mysql://root@127.0.0.1/airflow does not name a database of PostgreSQL"),
        ("postgresql://u:s3cret@127.0.0.1", r"postgresql://u:\*\*\*@127.0.0.1 does not name a database"),
        ("postgresql://u:s3cret@127.0.0.1:1/x", r"postgresql://u:\*\*\*@127.0.0.1:1/x: .*refused"),
    ],
)
def test_a_url_that_is_no_use_is_refused_without_its_password_and_nothing_is_changed(tmp_path, url, message):
    with pytest.raises(ServiceError, match=message) as refused:
        use_postgres(tmp_path, url)
    assert "s3cret" not in str(refused.value)
    assert shown(tmp_path) == "SQLite"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the Airflow of a project."""
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / ".airflow"))
    (tmp_path / ".airflow").mkdir()
    return tmp_path / ".airflow"


def said() -> list[tuple[str, str]]:
    return [(line.status, line.found) for line in components.airflow()]


def test_the_doctor_says_what_ended_and_what_could_not_be_kept_running(home, monkeypatch):
    assert said() == [("ok", "not started; elt up starts it")]
    kept = Record(fates={"scheduler": Fate(pid=1, starts=2), "triggerer": Fate(pid=2, starts=1)})
    kept.fates["scheduler"].died(datetime(2026, 1, 2, 12, tzinfo=UTC), "killed by SIGKILL", "")
    kept.write(home)
    monkeypatch.setattr(components, "running", lambda: Server(1, 8080, "here"))
    monkeypatch.setattr(components, "silent", lambda _: ())
    assert said() == [
        ("warning", "the scheduler ended once: killed by SIGKILL at 12:00:00 UTC; it was started again"),
        ("ok", "all components report at http://127.0.0.1:8080; metadata in SQLite"),
    ]
    monkeypatch.setattr(components, "silent", lambda _: ("triggerer",))
    assert ("error", "no sign of life of triggerer") in said()

    monkeypatch.setattr(components, "running", lambda: None)
    kept.failure = "the scheduler cannot be kept running: it exited with code 1: disk is full"
    kept.write(home)
    assert said() == [("error", kept.failure)]
    monkeypatch.setattr(standalone, "use_local_airflow", lambda: True)
    reported: list[str] = []
    assert standalone.down(reported.append) is False
    assert reported[-1] == kept.failure


def test_the_doctor_says_nothing_of_an_airflow_that_is_not_the_projects(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    assert said() == []


@pytest.mark.parametrize("arguments", [["pools", "get", "warehouse", "--output", "plain"], ["pools", "--help"]])
def test_a_command_of_airflow_is_run_by_the_projects_own(tmp_path, arguments, airflow_template):
    """What follows `elt airflow` is Airflow's, options too."""
    home = tmp_path / ".airflow"
    home.mkdir()
    (tmp_path / "dag_configs").mkdir()
    (tmp_path / "airflow_settings.yaml").write_text(POOL)
    shutil.copy(airflow_template, home / "airflow.db")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-c", "from elt_factory.cli.main import main; main()", "airflow", *arguments]
    environment = inherited | {"ELT_PROJECT": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "three loads together" in done.stdout or "usage: airflow pools" in done.stdout.lower()


def test_commands_that_begin_together_make_the_airflow_of_the_project_once(tmp_path, monkeypatch):
    made = []

    def migrate() -> None:
        made.append("began")
        sleep(0.2)
        (tmp_path / ".airflow" / "airflow.db").touch()
        made.append("ended")

    (tmp_path / "dag_configs").mkdir()
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setattr(local, "migrate_database", migrate)
    monkeypatch.setattr(local, "_apply", lambda _: made.append("applied"))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: local._prepare(tmp_path, tmp_path / ".airflow"), range(4)))
    assert made == ["began", "ended", "applied"]
