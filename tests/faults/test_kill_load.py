"""Loads are killed, as by `kill -9`: what is there is what was there before, or what is there after; a re-run is right.

`ELT_KILLS=200` kills every load before, while and after each of its statements, and tasks at 200 random moments: some
800 kills in all.
"""

import itertools
import os
import random
import signal
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest
from kill_support import ROWS, SCENARIOS, Task, copied, load_until, run_told, schema, state, statements_of
from orphans_support import assert_nothing_orphaned

from elt_factory.landing.places import LocalPlace
from forked import Forked

KILLS = int(os.environ.get("ELT_KILLS", "20"))
ALL = 200  # from so many kills on none of the statements is left out
MOMENTS = ("before", "while", "after")


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported and nothing open."""
    modules = ("landing.remote", "warehouse.compaction", "warehouse.erasing", "warehouse.replay")
    own = [f"elt_factory.{module}" for module in modules]
    return Forked("kill_support", "duckdb", "msgspec", "pyarrow", *own)


class Stage:
    """A table with its first window, the second one that is about to be loaded, and what there is before and after."""

    def __init__(self, folder, name):
        first = Task(folder / "first", name, 1)
        first.run()
        self.extracting = Task(first.folder, name, 2)
        self.before = state(self.extracting)
        self.loading = copied(self.extracting, folder / "landed")
        self.loading.land()
        done = copied(self.loading, folder / "done")
        self.statements = statements_of(done)
        self.after, self.schema = state(done), schema(done)
        self.commit = self.statements.index("COMMIT") + 1


@pytest.fixture(scope="module")
def folder():
    """In memory where that is a file system: what a killed process wrote the kernel has, with or without a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def stages(folder):
    """One of each scenario, made when it is asked for."""
    return cache(lambda name: Stage(folder / name, name))


def check_run_again(task, stage, how):
    """Run it to its end; whatever came before, what is there is what an undisturbed load leaves.

    Returns how many attempts have landed something, until that is over its retention.
    """
    how(task)
    found = state(task)
    assert found == stage.after
    assert schema(task) == stage.schema
    for load in map(dict, found["loads"]):
        parts = ("rows_loaded", "rows_rejected", "rows_duplicate", "rows_unchanged")
        assert load["rows_read"] == sum(load[part] for part in parts)
    attempts = [path for path in task.landing.folder.iterdir() if path.is_dir()]
    with task.open() as warehouse:
        assert_nothing_orphaned(warehouse, LocalPlace(task.folder / "landing"), "")
    return len(attempts)


def points(stage):
    """Statements and moments: all of them, or some that are others every time."""
    every = list(itertools.product(range(1, len(stage.statements) + 1), MOMENTS))
    share = KILLS // len(SCENARIOS)
    return every if KILLS >= ALL else random.sample(every, share)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_load_that_is_killed_at_any_of_its_statements_changed_nothing_or_is_done(folder, processes, stages, name):
    stage = stages(name)
    for at, moment in points(stage):
        task = copied(stage.loading, folder / "killed")
        process = processes.Process(target=load_until, args=(task, at, moment))
        process.start()
        process.join(60)
        point = f"{moment} statement {at}: {stage.statements[at - 1]}"
        assert process.exitcode == -signal.SIGKILL, point
        found = state(task)
        if moment == "while":
            assert found in (stage.before, stage.after), point
        else:
            committed = at > stage.commit or (at == stage.commit and moment == "after")
            assert found == (stage.after if committed else stage.before), point
        check_run_again(task, stage, Task.load)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_task_that_is_killed_at_any_moment_changed_nothing_or_is_done(folder, processes, stages, name):
    stage, killed, seconds = stages(name), 0, 1.0
    while killed < max(1, KILLS // len(SCENARIOS)):
        task = copied(stage.extracting, folder / "killed")
        here, there = processes.Pipe()
        process = processes.Process(target=run_told, args=(task, there))
        process.start()
        assert here.poll(60)
        time.sleep(random.uniform(0, seconds))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            # it was done before: sooner, the next time
            assert process.exitcode == 0
            seconds *= 0.8
        killed += process.exitcode == -signal.SIGKILL
        assert state(task) in (stage.before, stage.after)
        # an attempt removes nothing: what the killed one left goes by age
        assert check_run_again(task, stage, Task.run) in (1, 2)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_killed_here_writes_widens_rejects_and_changes_rows(stages, name):
    stage = stages(name)
    assert stage.before != stage.after
    widened, added = "decimal(38,9)", "text"
    columns, comments, changes = stage.schema
    assert (str(columns["v"]), str(columns["extra"])) == (widened, added)
    assert comments["extra"] == "since the second day"
    assert sorted(dict(change)["change"] for change in changes) == ["added", "widened"]
    last = dict(stage.after["loads"][-1])
    assert last["rows_read"] >= ROWS
    assert bool(last["rows_rejected"]) == SCENARIOS[name].mistakes
