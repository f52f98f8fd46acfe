"""Components that are kept running: what ends is started again, what cannot run ends all, and no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_factory.cli.running import record
from elt_factory.cli.running.components import slots
from elt_factory.cli.running.last_words import last_words
from elt_factory.cli.running.record import Fate, Record, how_ended

# a component that starts a process in a group of its own, as the scheduler starts tasks
PARENT = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"], process_group=0)
pathlib.Path("child").write_text(str(child.pid)); time.sleep(99)
"""
QUIET = "import time; time.sleep(99)"
BROKEN = "print('Traceback'); raise OSError(98, 'address already in use')"
SUPERVISE = """
import sys, json
from pathlib import Path
from elt_factory.cli.running.supervisor import Component, Limits, Supervisor
components = [Component(name, (code,)) for name, code in json.loads(sys.argv[1]).items()]
limits = Limits(poll=0.02, first_wait=0.05, look=0.1, silence=0.4, grace=2.0)
silent = lambda: json.loads(Path("silent").read_text()) if Path("silent").exists() else ()
leash = "import sys; from elt_factory.cli.running.leashed import leash; leash(int(sys.argv[1])); exec(sys.argv[2])"
sys.exit(Supervisor(components, Path.cwd(), {}, silent, limits, (sys.executable, "-c", leash)).run())
"""


@contextmanager
def supervised(folder: Path, **components: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, json.dumps(components)], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def within(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fate(folder: Path, name: str) -> Fate:
    found = record.read(folder)
    return found.fates[name] if found else Fate()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # no one has asked yet how an orphan ended
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " in stat.read_text()


@pytest.mark.services
def test_a_component_that_ends_or_gives_no_sign_of_life_is_started_again_and_what_it_started_ends(tmp_path):
    with supervised(tmp_path, scheduler=PARENT, triggerer=QUIET) as supervisor:
        within(
            lambda: (
                (tmp_path / "child").exists() and (tmp_path / "child").read_text() and fate(tmp_path, "triggerer").pid
            )
        )
        killed, task = fate(tmp_path, "scheduler").pid, int((tmp_path / "child").read_text())
        os.kill(killed, signal.SIGKILL)
        within(lambda: fate(tmp_path, "scheduler").starts == 2)
        assert is_gone(task)
        assert [death.how for death in fate(tmp_path, "scheduler").deaths] == ["killed by SIGKILL"]

        (tmp_path / "silent").write_text('["triggerer"]')
        within(lambda: fate(tmp_path, "triggerer").starts == 2)
        (tmp_path / "silent").unlink()
        assert "gave no sign of life for 0.4 s" in fate(tmp_path, "triggerer").deaths[0].how
        assert fate(tmp_path, "scheduler").starts == 2

        # who watches is killed: no component is left to write to the database of the next one
        left = [fate(tmp_path, name).pid for name in ("scheduler", "triggerer")]
        supervisor.kill()
        within(lambda: all(is_gone(pid) for pid in left))


@pytest.mark.services
def test_a_component_that_cannot_run_ends_all_with_one_error_that_says_why(tmp_path):
    with supervised(tmp_path, triggerer=QUIET, scheduler=BROKEN) as supervisor:
        output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 1
    assert output.splitlines()[-1] == (
        "error: the scheduler cannot be kept running: it exited with code 1: OSError: [Errno 98] address already in "
        f"use (3 times; see {tmp_path / 'scheduler.log'})"
    )
    found = record.read(tmp_path)
    assert output.splitlines()[-1] == f"error: {found.failure}"
    assert found.fates["scheduler"].starts == 3
    assert found.fates["triggerer"].starts == 1
    waits = [line.rpartition(" in ")[2] for line in output.splitlines() if "started again" in line]
    assert waits == ["0.05 s", "0.1 s"]
    # what was kept free for the last words
    assert not (tmp_path / ".reserve").exists()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("a\nTraceback (most recent call last):\nValueError: bad\nbye\n", "ValueError: bad"),
        ("OSError: [Errno 28] No space left on device\nKeyError: 'x'\n", "OSError: [Errno 28] No space left on device"),
        (
            "\x1b[31msqlalchemy.exc.OperationalError: (sqlite3) locked\x1b[0m\n",
            "OperationalError: (sqlite3) locked",
        ),
        (
            "2026-11-27T19:51:31.5Z [error    ] [Errno 98] address already in use [uvicorn.error] loc=server.py:190\n",
            "[Errno 98] address already in use",
        ),
        ("starting\nready\n\n", "ready"),
        ("", ""),
    ],
)
def test_the_last_words_of_a_log_are_the_line_that_says_why(tmp_path, log, words):
    file = tmp_path / "x.log"
    file.write_text("KeyError: of the time before\n" + log)
    assert last_words(file, 29) == words


def test_the_record_says_what_ended_and_how_often(tmp_path):
    kept, noon = Record(fates={"scheduler": Fate(), "triggerer": Fate()}), datetime(2026, 1, 2, 12, 0, 5, tzinfo=UTC)
    kept.fates["scheduler"].died(noon, how_ended(-9), "")
    kept.write(tmp_path)
    assert list(record.read(tmp_path).restarts()) == ["the scheduler ended once: killed by SIGKILL at 12:00:05 UTC"]
    kept.fates["scheduler"].died(noon, how_ended(3), "ValueError: bad")
    kept.write(tmp_path)
    assert list(record.read(tmp_path).restarts()) == [
        "the scheduler ended 2 times, the last time exited with code 3 at 12:00:05 UTC: ValueError: bad"
    ]
    (tmp_path / record.FILE).write_text("{")
    assert record.read(tmp_path) is None


def test_tasks_at_a_time_follow_from_the_cores():
    assert [slots(cores) for cores in (1, 2, 8, 64)] == [4, 4, 16, 32]
