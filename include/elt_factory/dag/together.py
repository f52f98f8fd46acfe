"""Several DAG files are read by one process of the DAG processor, and each is still a DAG file of its own.

A process per file costs many times what reading the file does: Airflow forks, sets up logging, asks its database for
work and stores what came, once per file. It has no setting for more than one, so the class of its DAG processor is
extended here, in the DAG processor alone, for bundles that ask for it by `parse_together`. One process then reads the
file that was due and others that wait behind it. What it hands back without any error is stored as Airflow stores it,
file by file; every file that is missing from that, and all files of a process that was killed, timed out or reported an
error, are read once more, each by a process of its own. So only a file's own process ever says what is wrong with it.
"""

# What Airflow's class keeps to itself is what is extended here
# ruff: noqa: SLF001

from __future__ import annotations

import inspect
import logging
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

log = logging.getLogger(__name__)

_MANAGER = "airflow.dag_processing.manager"
# What is called or replaced, as Airflow 3.3 has it: another Airflow reads each file by a process of its own
_METHODS = {
    "_create_process": ["self", "dag_file"],
    "_start_new_processes": ["self"],
    "handle_parsing_result": ["self", "file", "proc", "session"],
    "_add_files_to_queue": ["self", "files", "mode"],
    "persist_parsing_result": [
        *("self", "bundle_name", "bundle_version", "version_data"),
        *("parsing_result", "run_duration", "relative_fileloc", "session"),
    ],
}
_STATE = ("_processors", "_file_queue", "_file_stats", "_callback_to_execute", "_parallelism", "_bundle_versions")
_TRIES = 3
# The files that the process that is being forked reads: set right before a fork, and seen by the child alone
_reading: tuple[str, ...] = ()


def reading() -> tuple[str, ...]:
    """Return the files that this process reads, as Airflow names them; none where it reads only its own."""
    return _reading


@dataclass
class Together:
    """The files that are read together now, of the DAG processor of this process.

    Args:
        create: Airflow's own way to start a process for a file.
        handle: Airflow's own way to store what a process found.
    """

    create: Callable[..., Any]
    handle: Callable[..., Any]
    limits: dict[str, int] = field(default_factory=dict)
    running: dict[Any, list[Any]] = field(default_factory=dict)
    alone: set[Any] = field(default_factory=set)

    def start(self, manager: Any, file: Any) -> Any:
        """Start the process of a file, and give it others that wait."""
        global _reading  # noqa: PLW0603 - what a fork inherits
        others: list[Any] = [] if self._is_alone(manager, file) else self._others(manager, file)
        self.alone.discard(file)
        if not others:
            return self._create(manager, file)
        for other in others:
            del manager._file_queue[other]
        self.running[file] = [file, *others]
        _reading = tuple(str(each.rel_path) for each in self.running[file])
        try:
            return self._create(manager, file)
        finally:
            _reading = ()

    def _create(self, manager: Any, file: Any) -> Any:
        """Start a process; one that is killed before it has its file would end the DAG processor."""
        callbacks = manager._callback_to_execute.get(file)
        for _ in range(_TRIES):
            try:
                return self.create(manager, file)
            except (BrokenPipeError, ConnectionResetError):
                log.warning("a process was killed before it could read %s; another is started", file.rel_path)
                if callbacks:
                    manager._callback_to_execute[file] = callbacks
        return self.create(manager, file)

    def clean(self, manager: Any) -> None:
        """Take what is being read out of the queue, and put back what a process that was killed had to read."""
        for leader in [leader for leader in self.running if leader not in manager._processors]:
            self._one_by_one(manager, self.running.pop(leader))
        waiting = {file for file, callbacks in manager._callback_to_execute.items() if callbacks}
        for file in {file for files in self.running.values() for file in files} - waiting:
            manager._file_queue.pop(file, None)
        # Airflow forgets to run the callbacks of a file that was being read when they came, until it is read again
        left = [file for file in waiting if file not in manager._file_queue and file not in manager._processors]
        manager._add_files_to_queue([file for file in left if file.absolute_path.exists()], mode="front")

    def finish(self, manager: Any, leader: Any, process: Any) -> bool:
        """Store what a process found of several files; whether it had several."""
        files = self.running.pop(leader, None)
        if files is None:
            return False
        result = process.parsing_result
        if result is None or result.import_errors:
            self._one_by_one(manager, files)
            return True
        took = time.monotonic() - process.start_time
        found = {dag.relative_fileloc for dag in result.serialized_dags}
        stored = [file for file in files if str(file.rel_path) in found]
        try:
            _store(manager, leader.bundle_name, result, took / len(files))
        except Exception:
            log.exception("cannot store %s DAGs; they are read again", len(found))
            self._one_by_one(manager, files)
            return True
        for file in stored:
            manager._file_stats[file] = _stat(manager._file_stats[file], took, len(files))
        self._one_by_one(manager, [file for file in files if file not in stored])
        return True

    def _is_alone(self, manager: Any, file: Any) -> bool:
        return (
            file in self.alone
            or file.bundle_name not in self.limits
            or file.bundle_version is not None
            or bool(manager._callback_to_execute.get(file))
        )

    def _others(self, manager: Any, file: Any) -> list[Any]:
        waiting = [
            other
            for other in manager._file_queue
            if other.bundle_name == file.bundle_name
            and other not in manager._processors
            and not self._is_alone(manager, other)
        ]
        # all processes get their share, and a few files are read by a process each
        share = min(self.limits[file.bundle_name], (len(waiting) + 1) // manager._parallelism)
        return waiting[: share - 1] if share > 1 else []

    def _one_by_one(self, manager: Any, files: Iterable[Any]) -> None:
        again = [file for file in files if file.absolute_path.exists()]
        self.alone.update(again)
        manager._add_files_to_queue(again, mode="front")


_together: Together | None = None


def parse_together(bundle: str, most: int) -> None:
    """Have the DAG processor of this process read up to that many files of a bundle by one process.

    Nothing happens in any other process, or where Airflow's DAG processor is not as it is known.
    """
    global _together  # noqa: PLW0603 - one DAG processor to a process
    module = sys.modules.get(_MANAGER)
    if most <= 1 or module is None:
        return
    if _together is None:
        manager = module.DagFileProcessorManager
        unknown = [name for name, takes in _METHODS.items() if _takes(manager, name) != takes]
        unknown += [name for name in _STATE if not hasattr(manager, name)]
        if unknown:
            log.warning("each file is read by a process of its own: this Airflow has another %s", ", ".join(unknown))
            return
        _together = _extend(manager)
    _together.limits[bundle] = most


def _extend(manager: Any) -> Together:
    together = Together(manager._create_process, manager.handle_parsing_result)
    start = manager._start_new_processes

    def create_process(self: Any, dag_file: Any) -> Any:
        return together.start(self, dag_file)

    def start_new_processes(self: Any) -> None:
        together.clean(self)
        start(self)

    def handle_parsing_result(self: Any, file: Any, proc: Any, **more: Any) -> None:
        if not together.finish(self, file, proc):
            together.handle(self, file, proc, **more)

    manager._create_process = create_process
    manager._start_new_processes = start_new_processes
    manager.handle_parsing_result = handle_parsing_result
    return together


def _store(manager: Any, bundle: str, result: Any, took: float) -> None:
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    found = [dag.relative_fileloc for dag in result.serialized_dags]
    with create_session() as session:
        # Airflow would clear the errors of the one file alone that the process was started for
        mine = ParseImportError.bundle_name == bundle
        session.execute(delete(ParseImportError).where(mine, ParseImportError.filename.in_(found)))
        manager.persist_parsing_result(
            bundle_name=bundle,
            bundle_version=manager._bundle_versions[bundle],
            version_data=manager._bundle_version_data.get(bundle),
            parsing_result=result,
            run_duration=took,
            relative_fileloc=None,
            session=session,
        )


def _stat(known: Any, took: float, files: int) -> Any:
    """Return what Airflow keeps of a file that was read: as of the begin, so that a change since then is not missed."""
    began = datetime.now(UTC) - timedelta(seconds=took)
    return type(known)(num_dags=1, last_finish_time=began, last_duration=took / files, run_count=known.run_count + 1)


def _takes(manager: Any, name: str) -> list[str] | None:
    method = getattr(manager, name, None)
    return list(inspect.signature(method).parameters) if method else None
