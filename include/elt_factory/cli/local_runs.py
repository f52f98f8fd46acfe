"""Runs of `elt run` that ended with their process, as by `kill -9` or when the machine went down.

Airflow has such a task as running, and its slot in the pool as taken, for good: no scheduler looks after a task that
it has not queued. So each run holds a lock on a file while it lives. A file without its lock is that of a dead one, if
it is of this machine, where a lock says something, and of the database that this command asks.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from elt_factory.core.failures import redact

_FOLDER = "elt_runs"


@dataclass(frozen=True)
class LocalRun:
    """A run in a process of its own; its logical date is what Airflow knows it by.

    A process is known by when it was started, too: another one may have its number now.
    """

    dag_id: str
    logical_date: str
    pid: int
    started: float
    machine: str
    database: str

    @property
    def is_dead(self) -> bool:
        """Whether it was of this machine and this database, and its process is gone."""
        here = self.machine == socket.gethostname() and self.database == _database()
        return here and _started(self.pid) != self.started


@contextmanager
def on_record(dag_id: str, logical_date: datetime) -> Iterator[None]:
    """Hold the lock of a run. Whatever this process starts by a fork, and outlives it, holds it too.

    Where the file system has no locks, the run has no record.
    """
    pid = os.getpid()
    started = _started(pid) or 0.0
    run = LocalRun(dag_id, logical_date.isoformat(), pid, started, socket.gethostname(), _database())
    file = _folder() / f"{uuid4().hex}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as record:
        if _locked(record):
            json.dump(asdict(run), record)
            record.flush()
            # it is never seen without its lock
            new.replace(file)
        else:
            new.unlink()
        try:
            yield
        except BaseException:
            # a signal, mostly: Airflow has not heard of it
            with suppress(Exception):
                _end(run)
                file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def free_killed(say: Callable[[str], None]) -> None:
    """Free what runs of dead processes hold, and say so; the command continues where the database does not let it."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        for sentence in freed():
            say(sentence)
    except SQLAlchemyError as error:
        reason = redact(str(error).splitlines()[0])
        say(f"what killed runs of elt run hold is not freed: {reason}; the next command tries it again")


def freed() -> tuple[str, ...]:
    """End the runs of dead processes in Airflow's database, which frees their slots; return a sentence for each."""
    found = sorted(_folder().glob("*.json"))
    return tuple(sentence for file in found for sentence in _freed(file))


def _freed(file: Path) -> Iterator[str]:
    # a record of another user is left to them; NFS locks only what may be written
    with suppress(OSError), file.open("r+", encoding="utf-8") as record:
        # one that ended well, or another that frees, was quicker
        if not _locked(record) or not file.exists():
            return
        run = _read(record)
        if run is None or run.is_dead:
            if run:
                yield _end(run)
            file.unlink(missing_ok=True)


def _locked(record: IO[str]) -> bool:
    """Lock a file; False where another process has, or the file system has no locks."""
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(record: IO[str]) -> LocalRun | None:
    """Return what was written; None where the machine went down before it was on the disk."""
    try:
        return LocalRun(**json.loads(record.read()))
    except (ValueError, TypeError):
        return None


def _started(pid: int) -> float | None:
    """Return when a process was started; None where there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _database() -> str:
    """Return Airflow's database, without what it is opened with."""
    from airflow.configuration import conf
    from sqlalchemy.engine import URL, make_url

    url = make_url(conf.get("database", "sql_alchemy_conn"))
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _end(dead: LocalRun) -> str:
    """End a run as Airflow does when a person sets it to failed.

    What a scheduler has queued is not its process's, and has outlived it: then only the tasks of the process end.
    """
    from airflow.models import DagRun, TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    of_date = (DagRun.dag_id == dead.dag_id, DagRun.logical_date == datetime.fromisoformat(dead.logical_date))
    with create_session() as session:
        # a write first: it locks the row, or the file of SQLite, so that no scheduler changes what is read here
        session.execute(update(DagRun).where(*of_date).values(updated_at=datetime.now(UTC)))
        run: Any = session.scalar(select(DagRun).where(*of_date))
        if run is None:
            return _said(dead, (), goes_on=False)
        of_run = (TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        tasks: Any = session.scalars(select(TaskInstance).where(*of_run).with_for_update(of=TaskInstance)).all()
        # Airflow has run some of its tasks, or a person has cleared some
        goes_on = run.clear_number > 0 or any(task.queued_by_job_id is not None for task in tasks)
        held = _fail(run, tasks, whole=not goes_on)
        return _said(dead, held, goes_on=goes_on)


def _fail(run: Any, tasks: Sequence[Any], *, whole: bool) -> list[Any]:
    """End the tasks of a process, and the whole run; return the tasks that were running."""
    from airflow.utils.state import DagRunState, State

    now = datetime.now(UTC)
    held = [task for task in tasks if task.state in State.adoptable_states and task.queued_by_job_id is None]
    for task in held:
        task.state, task.end_date = "failed", now
    if whole:
        for task in tasks:
            if task.state is None or task.state in State.unfinished:
                task.state, task.end_date = "skipped", now
        if run.state in State.unfinished_dr_states:
            run.state, run.end_date = DagRunState.FAILED, now
    return held


def _said(dead: LocalRun, held: Sequence[Any], *, goes_on: bool) -> str:
    what = f"the process of elt run {dead.dag_id} (pid {dead.pid}, begun {dead.logical_date[:19]} UTC) was killed"
    then = "Airflow has taken the run over" if goes_on else "run it again"
    if not held:
        return f"{what}; {then if goes_on else 'nothing of it was running'}"
    names, pools = sorted(task.task_id for task in held), sorted({task.pool for task in held})
    slots = f", with its slot of the pool {' and '.join(pools)}"
    return f"{what} with {', '.join(names)} running: failed now{slots} free again; {then}"


def _folder() -> Path:
    return Path(os.environ["AIRFLOW_HOME"]) / _FOLDER
