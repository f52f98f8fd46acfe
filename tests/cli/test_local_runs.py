"""What is freed of runs of `elt run` whose process was killed, and what is left alone."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_factory.cli import local_runs
from elt_factory.cli.local_runs import LocalRun, free_killed, freed, on_record

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
Tasks = dict[str, tuple[str | None, int | None]]  # states, and the jobs that queued them


@pytest.fixture
def home(airflow_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What has the folder of the records; Airflow's database is shared with other tests."""
    monkeypatch.setattr(local_runs, "_folder", lambda: tmp_path / "elt_runs")
    (tmp_path / "elt_runs").mkdir()
    return tmp_path


@pytest.fixture
def dead(home: Path) -> LocalRun:
    """A run of this machine whose process is gone, on record."""
    run = LocalRun("shop", MOMENT.isoformat(), os.getpid(), 1.0, socket.gethostname(), local_runs._database())
    write(home, run)
    return run


def write(home: Path, run: LocalRun) -> None:
    (home / "elt_runs" / "a.json").write_text(json.dumps(asdict(run)))


def records(home: Path) -> list[Path]:
    return [*(home / "elt_runs").iterdir()]


@pytest.fixture
def begun() -> Iterator[Callable[..., Callable[[], dict[str, str | None]]]]:
    """Begin a run with tasks in some states; what it returns says their states, and that of the run."""
    from airflow.models import DagModel, DagRun, TaskInstance
    from airflow.models.dagbundle import DagBundleModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import create_scheduler_operator
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    def begin(tasks: Tasks, clear_number: int = 0) -> Callable[[], dict[str, str | None]]:
        with DAG("shop", schedule=None) as dag:
            for name in tasks:
                EmptyOperator(task_id=name, pool="warehouse")
        with create_session() as session:
            session.merge(DagBundleModel(name="b"))
            session.flush()
            session.merge(DagModel(dag_id="shop", bundle_name="b"))
            run = DagRun("shop", "r", logical_date=MOMENT, run_type="manual", run_after=MOMENT, state="running")
            run.clear_number = clear_number
            session.add(run)
            session.flush()
            for name, (state, job) in tasks.items():
                task = TaskInstance(create_scheduler_operator(dag.get_task(name)), None, run_id="r", state=state)
                task.dag_id, task.queued_by_job_id = "shop", job
                session.add(task)
        return states

    def states() -> dict[str, str | None]:
        with create_session() as session:
            found = session.execute(select(TaskInstance.task_id, TaskInstance.state).where(TaskInstance.run_id == "r"))
            run = session.scalar(select(DagRun.state).where(DagRun.dag_id == "shop"))
            return {name: state and str(state) for name, state in found} | {"": str(run)}

    yield begin
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == "shop"))


def test_a_killed_run_is_failed_with_what_was_running_and_what_was_to_come(dead, home, begun):
    states = begun({"a": ("success", None), "b": ("running", None), "c": (None, None)})
    (sentence,) = freed()
    assert f"the process of elt run shop (pid {dead.pid}, begun 2026-01-01T00:00:00 UTC) was killed with b " in sentence
    assert sentence.endswith("failed now, with its slot of the pool warehouse free again; run it again")
    assert states() == {"a": "success", "b": "failed", "c": "skipped", "": "failed"}
    assert records(home) == []


@pytest.mark.parametrize(
    ("tasks", "cleared"),
    [
        ({"a": ("running", None), "b": ("running", 7), "c": (None, None)}, 0),
        ({"a": ("running", None), "b": ("success", 7), "c": (None, None)}, 0),
        ({"a": ("running", None), "b": ("scheduled", None), "c": (None, None)}, 1),
    ],
)
@pytest.mark.usefixtures("dead")
def test_of_a_run_that_airflow_has_taken_over_only_the_task_of_the_process_ends(tasks, cleared, home, begun):
    states = begun(tasks, cleared)
    (sentence,) = freed()
    assert "killed with a running: failed now" in sentence
    assert sentence.endswith("; Airflow has taken the run over")
    assert states() == {name: state for name, (state, _) in tasks.items()} | {"a": "failed", "": "running"}
    assert records(home) == []


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "another"},
        {"database": "postgresql://db/airflow"},
        {"started": local_runs._started(os.getpid())},
    ],
    ids=["of another machine", "of another database", "alive"],
)
def test_a_run_that_cannot_be_judged_here_or_lives_is_left_with_its_record(other, dead, home, begun):
    states = begun({"a": ("running", None)})
    write(home, replace(dead, **other))
    assert freed() == ()
    assert states() == {"a": "running", "": "running"}
    assert len(records(home)) == 1


def test_a_record_names_its_process_machine_and_database_without_a_password(home, monkeypatch):
    from airflow.configuration import conf

    monkeypatch.setattr(conf, "get", lambda *_: "postgresql://me:secret@db:5432/airflow?sslpassword=hidden")
    with on_record("shop", MOMENT):
        (file,) = records(home)
        run = LocalRun(**json.loads(file.read_text()))
        assert (run.pid, run.machine) == (os.getpid(), socket.gethostname())
        assert run.database == "postgresql://db:5432/airflow"
        assert not run.is_dead
        # its lock is held, whoever asks
        assert freed() == ()
    assert records(home) == []


@pytest.mark.usefixtures("airflow_db")
def test_a_run_goes_on_without_a_record_where_files_cannot_be_locked(home, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with on_record("shop", MOMENT):
        assert records(home) == []


@pytest.mark.usefixtures("dead")
def test_records_that_cannot_be_opened_and_a_database_that_is_locked_end_no_command(home, monkeypatch):
    from sqlalchemy.exc import OperationalError

    said: list[str] = []

    def locked(_: object) -> str:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    monkeypatch.setattr(local_runs, "_end", locked)
    free_killed(said.append)
    assert ["database is locked" in sentence for sentence in said] == [True]
    assert len(records(home)) == 1
    (home / "elt_runs" / "a.json").unlink()
    # as one of another user: it cannot be opened for writing, whoever runs this
    (home / "elt_runs" / "b.json").mkdir()
    free_killed(said.append)
    assert len(said) == 1
