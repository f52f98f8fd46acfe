"""Twelve faults in every remote system: no job hangs, is left running unsaid, or is run twice for one window.

`pytest -n0 -s` prints the count. A fault that a system cannot have is in `CANNOT`, with the reason; an end that is not
that of the fault's other systems is in `OTHERWISE`, with the reason as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.core.failures import JobRunningError
from elt_factory.sources.remote_job.remote import RemoteRun
from remote_jobs_support import EVERY, MORE, SYSTEMS, Kept, Runs

ENDED, FAILED = "RemoteJobEndedError", "RemoteJobFailedError"
WRONG = ("hung", "orphaned", "run twice")
# what an error says of a job that may still run
SAID = ("whether it has ended is unknown", "whether it runs is unknown", "its system cannot cancel it")


@dataclass(frozen=True)
class End:
    """How a run ends, with so many jobs there and with these words in its last error; where not as usual, why."""

    ends: str = "done"
    jobs: int = 1
    says: str = ""
    why: str = ""


def with_states(*states: str) -> Callable[[Runs], str]:
    """A job that the looks see so."""

    def run(runs: Runs) -> str:
        runs.remote.states = [*states]
        return runs.drive(tries=2)

    return run


def fails(runs: Runs) -> str:
    """A job that fails, and the one of the retry, which does not."""
    runs.remote.states = ["failed"] if runs.remote.name in ANSWER_IS_THE_END else ["running", "failed"]
    assert runs.drive(tries=1) == FAILED
    runs.remote.states = ["running", "done"] if runs.remote.name not in ANSWER_IS_THE_END else ["done"]
    return runs.drive()


def is_tried_again_there(runs: Runs) -> str:
    """A job that fails, and that its own system tries again; one without such tries says that it is at it."""
    failed = "failed" if runs.remote.system.own_retries and runs.remote.name != "airbyte" else "retrying"
    runs.remote.states = ["running", failed, "running", "done"]
    return runs.drive()


def at_the_start(fault: str) -> Callable[[Runs], str]:
    def run(runs: Runs) -> str:
        setattr(runs.remote.faults, fault, 1)
        if runs.remote.name in ANSWER_IS_THE_END:
            runs.remote.states = ["done"]
        return runs.drive()

    return run


def at_a_look(fault: str, count: int = 1) -> Callable[[Runs], str]:
    """A fault of a look at a job that runs."""

    def run(runs: Runs) -> str:
        runs.remote.states = ["running", "running", "done"]
        with pytest.raises(JobRunningError):
            runs.once()
        setattr(runs.remote.faults, fault, count)
        return runs.drive()

    return run


def credentials_are_refused(runs: Runs) -> str:
    """Credentials that are refused midway, until a person sets others."""
    assert at_a_look("look_401", 9)(runs) == "AccessDeniedError"
    runs.remote.faults.look_401 = 0
    return runs.drive()


def worker_is_killed(at: int) -> Callable[[Runs], str]:
    """A worker that is killed before it keeps what it knows: 3 is after the start was answered."""

    def run(runs: Runs) -> str:
        answered = runs.remote.name in ANSWER_IS_THE_END
        runs.remote.states = ["done"] if answered else ["running", "running", "done"]
        runs.memory = Kept(dies_at=at)
        return runs.drive()

    return run


def never_ends(runs: Runs) -> str:
    runs.remote.states = ["running"]
    return runs.drive()


# what drives a job through the fault, and how that ends
FAULTS: Mapping[str, tuple[Callable[[Runs], str], End]] = {
    "done before the first look": (with_states("done"), End()),
    "cancelled by a person": (with_states("running", "cancelled"), End(ENDED, says="was cancelled")),
    "fails": (fails, End(jobs=2)),
    "fails and is tried again by its own system": (is_tried_again_there, End()),
    "vanishes": (with_states("running", "gone"), End(ENDED, says=SAID[0])),
    "5xx for the start": (at_the_start("start_500"), End()),
    "5xx for a look": (at_a_look("look_500"), End()),
    "starts, and no answer comes": (at_the_start("start_lost"), End()),
    "not JSON for a look": (at_a_look("look_garbage"), End()),
    "credentials are refused midway": (credentials_are_refused, End()),
    "worker killed before the answer to its start was kept": (worker_is_killed(3), End()),
    "never ends": (never_ends, End(ENDED, says="it was cancelled")),
}
ANSWER_IS_THE_END = ("aws_lambda", "superset")
AT_LOOKS = (
    "cancelled by a person",
    "fails and is tried again by its own system",
    "vanishes",
    "5xx for a look",
    "not JSON for a look",
    "credentials are refused midway",
    "never ends",
)
CANNOT: Mapping[tuple[str, str], str] = {
    (fault, name): "the answer to its start is its end, so that no look is ever sent"
    for fault in AT_LOOKS
    for name in ANSWER_IS_THE_END
}
UNSURE = ("5xx for the start", "starts, and no answer comes", "worker killed before the answer to its start was kept")
_AGAIN = "a refresh again does no harm, and no key tells which was the first"
_TOLD = "it lists no jobs: a person is told that one may run, and no other is started"
_UNSEEN = "a look does not tell that it was cancelled"
_STAYS = "its system has no way to cancel it, which a person is told"
OTHERWISE: Mapping[tuple[str, str], End] = {
    **{(fault, name): End(ENDED, 1, SAID[1], _TOLD) for fault in UNSURE for name in ("orchestra", "aws_lambda")},
    **{(fault, name): End(jobs=2, why=_AGAIN) for fault in UNSURE[1:] for name in ("tableau", "superset")},
    ("5xx for the start", "orchestra"): End(ENDED, 0, SAID[1], _TOLD),
    ("5xx for the start", "aws_lambda"): End(ENDED, 0, SAID[1], _TOLD),
    ("cancelled by a person", "airflow"): End(FAILED, 2, why="a person who ends a run there marks it as failed"),
    **{("cancelled by a person", name): End(ENDED, 1, "within 5m", _UNSEEN) for name in ("fivetran", "metabase")},
    **{("never ends", name): End(ENDED, 1, SAID[2], _STAYS) for name in ("fivetran", "metabase")},
}


CASES = [
    pytest.param(name, fault, id=f"{name}: {fault}")
    for name in EVERY
    for fault in FAULTS
    if (fault, name) not in CANNOT
]


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """What all of them came to; printed at the end."""
    counted: Counter[str] = Counter()
    yield counted
    found = ", ".join(f"{counted[name]} {name}" for name in WRONG)
    more = f"{counted['told']} left to a person who is told, {counted['harmless']} refreshes sent again"
    print(  # noqa: T201 - for -s
        f"\n{len(EVERY)} systems x {len(FAULTS)} faults: {counted['run']} run, {found}; {more}; "
        f"{len(CANNOT)} cannot be: {'; '.join(sorted(set(CANNOT.values())))}"
    )


def wrong_with(runs: Runs, ends: str, end: End) -> set[str]:
    """What is wrong with a run that is over."""
    jobs, said = runs.remote.jobs, " ".join(map(str, runs.errors))
    succeeded = sum(job.state == "done" for job in jobs)
    left = any(not job.over for job in jobs) and not any(text in said for text in SAID)
    twice = runs.remote.at_once > 0 or (succeeded > 1 and end.why != _AGAIN)
    return {name for name, is_so in zip(WRONG, (ends == "hung", left, twice), strict=True) if is_so}


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_no_fault_makes_a_job_hang_or_be_orphaned_or_run_twice(name, fault, runs, tally):
    run, (drive, usual) = runs(name, within="5m", every="1m"), FAULTS[fault]
    end = OTHERWISE.get((fault, name), usual)
    ends = drive(run)
    wrong = wrong_with(run, ends, end)
    tally.update(["run", *wrong])
    tally["told"] += any(text in str(error) for error in run.errors[-1:] for text in SAID)
    tally["harmless"] += end.why == _AGAIN
    assert not wrong
    assert (ends, len(run.remote.jobs)) == (end.ends, end.jobs)
    assert end.says in str(run.errors[-1:])
    assert "s3cret-of-the-system" not in " ".join(map(str, (*run.errors, *run.said)))


def test_a_job_that_nothing_looks_for_is_seen_as_run_twice(runs, monkeypatch):
    monkeypatch.setattr(RemoteRun, "_found", lambda *_: None)
    run, (drive, end) = runs("http"), FAULTS["starts, and no answer comes"]
    assert "run twice" in wrong_with(run, drive(run), end)


def test_a_job_that_a_run_leaves_there_is_seen_as_orphaned(runs, monkeypatch):
    monkeypatch.setattr(RemoteRun, "_cancel", lambda *_: True)
    run, (drive, end) = runs("http", within="5m", every="1m"), FAULTS["never ends"]
    assert wrong_with(run, drive(run), end) == {"orphaned"}


def test_there_are_twelve_faults_and_each_that_a_system_cannot_have_is_named():
    assert len(FAULTS) == 12
    assert set(SYSTEMS) | set(MORE) == set(REMOTE_JOBS.names())
    assert all(fault in FAULTS and name in EVERY for fault, name in (*CANNOT, *OTHERWISE))
    assert not set(CANNOT) & set(OTHERWISE)
