"""Jobs of other systems, whatever fails: one at a time, once for each window, and green when their rows are there."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from proof_budget import EXAMPLES, bounded, budget

from elt_factory.config.models.remote_jobs import RemoteJob
from elt_factory.core.failures import EltError, JobRunningError, NotMovedError, SourceBusyError
from elt_factory.core.window import Window, load_id
from elt_factory.sources.remote_job.remote import RemoteRun
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.remote import Verifying, Watched, reached, verify
from remote_jobs_support import SYSTEMS, Kept, Remote, Runs

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
WATCHED = Watched("shop", "orders", Relation("raw", "orders"), "synced", "day")
FAULTS = ("start_500", "start_lost", "look_500", "look_garbage")
ENDS = (["done"], ["running", "done"], ["running", "running", "done"], ["running", "failed"])


class Jobs(RuleBasedStateMachine):
    """Windows one after another; tries die, answers are lost, jobs fail or load nothing."""

    system: str
    remote: Remote

    def __init__(self) -> None:
        super().__init__()
        self.remote.become(self.system)
        self.folder = tempfile.TemporaryDirectory()
        self.warehouse = DuckDBWarehouse(Path(self.folder.name) / "warehouse.duckdb", log=lambda _: None)
        self.warehouse.execute("CREATE SCHEMA raw")
        self.warehouse.execute("CREATE TABLE raw.orders (id INTEGER, day DATE, synced TIMESTAMPTZ)")
        job = RemoteJob.model_validate({self.system: dict(self.remote.system.spec), "lost": "start_again"})
        self.runs = Runs(self.remote, job)
        self.day, self.loaded, self.empty, self.green = 0, 0, False, dict[int, int]()
        self.begin()

    def teardown(self) -> None:
        self.warehouse.close()
        self.folder.cleanup()

    @property
    def window(self) -> Window:
        start = FIRST + timedelta(days=self.day)
        return Window(start, start + timedelta(days=1))

    def begin(self) -> None:
        """The next window: nothing is known of its job."""
        self.runs.memory, self.first = Kept(), len(self.remote.jobs)
        self.began, self.before = self.warehouse.now(), reached(self.warehouse, WATCHED)

    @rule(
        states=st.sampled_from(ENDS),
        fault=st.sampled_from((None, *FAULTS)),
        write=st.integers(0, 4),
        empty=st.sampled_from((False, False, True)),
        tries=st.integers(1, 4),
    )
    def tries_run(self, states, fault, write, empty, tries):
        """Some tries, whose first may meet a fault, or die at a write; a job may load nothing."""
        self.remote.states, self.empty = list(states), empty
        if fault:
            setattr(self.remote.faults, fault, 1)
        self.runs.memory.dies_at = self.runs.memory.writes + write if write else 0
        for _ in range(tries):
            try:
                self.runs.once()
            except (JobRunningError, SourceBusyError):
                self.runs.now += self.runs.job.every
            except (EltError, KeyboardInterrupt):
                continue
            else:
                self.job_has_succeeded()
                return

    @rule()
    def a_person_clears_the_task(self):
        with RemoteRun.of(self.runs.request) as again:
            again.renew(1)

    def job_has_succeeded(self) -> None:
        if not self.empty:
            rows = f"({self.day}, DATE '2013-01-01' + {self.day}, now()), ({-self.day}, DATE '2013-01-01', now())"
            self.warehouse.execute(f"INSERT INTO raw.orders VALUES {rows}")
        asked = Verifying(load_id("shop", "orders", self.window), self.window, "run", self.before, self.began)
        if self.empty:
            with pytest.raises(NotMovedError):
                verify(self.warehouse, WATCHED, asked)
            return
        report, _ = verify(self.warehouse, WATCHED, asked)
        self.green[self.day] = report.rows_loaded
        # a retry joins, and failed jobs aside each window has had one
        assert sum(job.state in ("done", "running") for job in self.remote.jobs[self.first :]) == 1
        self.day += 1
        self.begin()

    @invariant()
    def never_two_at_once(self):
        assert self.remote.at_once == 0

    @invariant()
    def every_green_window_is_in_the_warehouse_and_no_other(self):
        assert set(self.green.values()) <= {2}
        if self.green:
            rows = self.warehouse.query("SELECT count(*), sum(rows_loaded) FROM _elt.loads").rows[0]
            assert (rows[0], rows[1]) == (len(self.green), 2 * len(self.green))


@pytest.fixture
def jobs_hold(monkeypatch):
    """Run the machine against a system."""
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    remote = Remote()
    Thread(target=remote.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def hold(name: str, examples: int) -> None:
        machine = type(f"Jobs of {name}", (Jobs,), {"system": name, "remote": remote})
        run_state_machine_as_test(machine, settings=budget() if EXAMPLES else bounded(examples))

    yield hold
    remote.shutdown()
    remote.server_close()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["http", "airbyte", "airflow"] if not EXAMPLES else [*SYSTEMS][:7])
def test_a_job_is_started_once_for_each_window_and_is_green_when_its_rows_are_there(name, jobs_hold):
    jobs_hold(name, 3)


@pytest.mark.timeout(0)
def test_a_job_that_is_not_looked_for_when_its_answer_was_lost_is_found(jobs_hold, monkeypatch):
    monkeypatch.setattr(RemoteRun, "_found", lambda *_: None)
    with pytest.raises(AssertionError):
        jobs_hold("http", 10)
