"""`kill -9` of a connector, and of the worker that reads it, at moments of a load by changes: rows and state agree.

A first load is there. The second is killed before the first record, midway, after the state was sent, and before, while
and after its load commits. Then rows and state are those of the first load, or both those of the second. The window
again ends right, and the next one begins with its state.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from connector_stage import KINDS, LAST_WEEK, NEXT_WEEK, Stage, Steps, done, row, state
from connectors_support import alive, until

from elt_factory.core.failures import SourceUnavailableError
from elt_factory.core.window import load_id
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.state import beginning
from forked import Forked

pytestmark = pytest.mark.services
COMMITS = ("before the commit", "while it commits", "after the commit")


def _steps(kind: str, moment: str, *then: Mapping[str, Any]) -> Steps:
    """The records 3 and 4 with their state; at the moment, these steps."""
    if moment == "before the first record":
        return [*then]
    if moment == "midway":
        return [row(kind, 3), *then, row(kind, 4), *state(kind, 4), *done(kind)]
    rows = [row(kind, 3), row(kind, 4), *state(kind, 4)]
    return [*rows, {"after": then}] if kind == "dlt" else [*rows, *then]


MOMENTS: Sequence[str] = ("before the first record", "midway", "after the state")


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported and nothing open."""
    modules = ("testing.loads", "landing.land", "landing.remote", "warehouse.duckdb.warehouse", "sources.singer.reader")
    own = [f"elt_factory.{module}" for module in modules]
    return Forked("connector_stage", "duckdb", "pyarrow", "elt_factory.sources.dlt.reader", *own)


@pytest.fixture
def stage(kind: str, first_loads: Callable[[str], Path], tmp_path: Path) -> Stage:
    shutil.copytree(first_loads(kind), tmp_path / "loaded")
    return Stage(kind, tmp_path / "loaded")


def work(kind: str, folder: Path, steps: Steps) -> None:
    """Load the second window."""
    Stage(kind, folder).line(steps).load(NEXT_WEEK)


def work_until(kind: str, folder: Path, steps: Steps, moment: str) -> None:
    """Load the second window, and end as by `kill -9` at its commit."""
    load = DuckDBWarehouse.load

    def killed(self: DuckDBWarehouse, *given: Any) -> Any:
        self._connection = AtCommit(self._connection, moment)
        return load(self, *given)

    DuckDBWarehouse.load = killed
    work(kind, folder, steps)


class AtCommit:
    """A connection whose process ends at the first commit."""

    def __init__(self, connection: Any, moment: str) -> None:
        self.connection, self.moment = connection, moment

    def execute(self, statement: str, *given: Any) -> Any:
        here = statement.strip() == "COMMIT"
        if here and self.moment == "before the commit":
            die()
        if here and self.moment == "while it commits":
            Timer(random.uniform(0, 0.003), die).start()
        answer = self.connection.execute(statement, *given)
        if here and self.moment == "after the commit":
            die()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def held(stage: Stage) -> tuple[list[int], str]:
    """The ids that are there, and the state that the next load would begin with."""
    line = stage.whole(0)
    with line.warehouse() as opened:
        spec, load = line.source.tables["users"], load_id("acme", "users", LAST_WEEK)
        token = beginning(opened, "acme", "users", spec, load, LAST_WEEK).token
    return stage.ids(), str(token)


def check_agree(stage: Stage, moment: str = "") -> None:
    """Rows and state are those of one load; after the window again, and the one after it, those of the source."""
    ids, token = held(stage)
    reached = 4 if ids == [1, 2, 3, 4] else 2
    assert ids == [*range(1, reached + 1)]
    assert says(token) == reached
    if moment:
        assert reached == {"before the commit": 2, "while it commits": reached, "after the commit": 4}[moment]
    stage.whole(3, 4).load(NEXT_WEEK)
    # a window again begins where it had begun
    assert says(json.dumps(stage.asked)) == 2
    ids, token = held(stage)
    assert (ids, says(token)) == ([1, 2, 3, 4], 4)
    stage.whole(5).load(LAST_WEEK)
    assert says(json.dumps(stage.asked)) == 4
    assert stage.ids() == [1, 2, 3, 4, 5]


def says(token: str) -> int:
    """The id that a state has reached."""
    found = re.search(r'(?:last_value|id)\\*":\s*(\d)', token)
    return int(found[1] if found else token)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_connector_that_is_killed_changes_nothing(stage, moment):
    line = stage.line(_steps(stage.kind, moment, {"kill": 0}))
    with pytest.raises(SourceUnavailableError, match="ended with 137"):
        line.load(NEXT_WEEK)
    assert held(stage)[0] == [1, 2]
    check_agree(stage)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_is_killed_while_it_reads_changes_nothing_and_leaves_no_connector(stage, moment, processes):
    mark = stage.folder / "mark"
    steps = _steps(stage.kind, moment, {"mark": str(mark)}, {"sleep": 600})
    worker = processes.Process(target=work, args=(stage.kind, stage.folder, steps))
    worker.start()
    until(lambda: mark.exists() and mark.read_text().endswith("\n"))
    worker.kill()
    worker.join()
    until(lambda: not alive(mark.read_text().strip()))
    assert held(stage)[0] == [1, 2]
    check_agree(stage)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", COMMITS)
def test_a_worker_that_is_killed_at_its_commit_leaves_rows_and_state_of_one_load(stage, moment, processes):
    steps = [row(stage.kind, 3), row(stage.kind, 4), *state(stage.kind, 4), *done(stage.kind)]
    worker = processes.Process(target=work_until, args=(stage.kind, stage.folder, steps, moment))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    check_agree(stage, moment)
