"""Jobs of other systems: started with the values of a run, joined, cancelled with it. Faults: test_remote_faults.py."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from elt_factory.config.models.remote_jobs import REMOTE_JOBS, RemoteJob
from elt_factory.core.failures import JobRunningError, SourceBusyError, TransientError
from elt_factory.sources.remote_job.remote import RemoteRun, cancel, is_over
from remote_jobs_support import MORE, SYSTEMS, UUID, Runs


def of_jobs(run: Runs) -> tuple[int, int, int]:
    """How many jobs were started, how many of them while another ran, and how many still run."""
    remote = run.remote
    return len(remote.jobs), remote.at_once, sum(not job.over for job in remote.jobs)


EVERY = pytest.mark.parametrize("name", SYSTEMS)
ONE = (1, 0, 0)


@EVERY
def test_a_job_is_waited_for_and_what_it_is_given_has_the_values_of_the_run(runs, name):
    run = runs(name)
    run.remote.states = ["running", "running", "done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)
    assert "{{" not in str(run.remote.bodies)


@EVERY
def test_a_job_that_fails_says_what_its_system_says_of_it(runs, name):
    run = runs(name)
    run.remote.states = ["running", "failed"]
    assert run.drive(tries=2) == "RemoteJobFailedError"
    assert of_jobs(run) == (2, 0, 0)
    if name not in ("airbyte", "fivetran", "airflow"):
        assert "disk full" in str(run.errors[0])
    assert "s3cret-of-the-system" not in " ".join(map(str, (*run.errors, *run.said)))


@EVERY
def test_a_job_that_is_over_when_its_lost_answer_is_looked_for_is_not_started_again(runs, name):
    run = runs(name)
    run.remote.faults.start_lost = 1
    run.remote.states = ["done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_a_job_whose_start_was_not_answered_is_cancelled_with_the_run(runs, name):
    run = runs(name)
    run.remote.faults.start_lost = 1
    run.remote.states = ["running"]
    with pytest.raises(TransientError):
        run.once()
    can = REMOTE_JOBS.get(name).describe(run.job.spec).cancel is not None
    cancelled = cancel(run.request)
    if name == "prefect":
        # its request that would name the job is the start itself
        assert not cancelled
    else:
        assert (cancelled, of_jobs(run)[2]) == (can, 0 if can else 1)


@EVERY
def test_a_start_that_is_answered_as_running_already_is_joined(runs, name):
    run = runs(name)
    run.remote.states = ["running", "done"]
    run.remote.faults.start_again = 1
    if name in ("fivetran", "prefect"):
        run.remote.faults.start_again = 0  # they return the job that they have
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_the_triggerer_sees_when_a_worker_is_needed_and_a_person_can_cancel(runs, name):
    run = runs(name)
    run.remote.states = ["running", "running", "running"]
    with pytest.raises(JobRunningError):
        run.once()
    assert not is_over(run.request)
    can = REMOTE_JOBS.get(name).describe(run.job.spec).cancel is not None
    assert cancel(run.request) is can
    assert run.memory.content is None
    assert of_jobs(run)[2] == (0 if can else 1)


@pytest.mark.parametrize("name", MORE)
def test_the_jobs_of_other_systems_end_as_they_say(runs, name):
    run = runs(name)
    answers_at_once = name in ("aws_lambda", "superset")
    run.remote.states = ["done"] if answers_at_once else ["running", "done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)
    run.memory.forget()
    run.remote.states = ["failed"] if answers_at_once else ["running", "failed"]
    assert run.drive(tries=1) == "RemoteJobFailedError"
    assert "disk full" in str(run.errors[-1])
    assert "{{" not in str(run.remote.bodies)


def test_a_lost_answer_of_a_system_that_cannot_say_is_for_a_person_to_decide(runs):
    run = runs("http")
    spec = {key: value for key, value in SYSTEMS["http"].spec.items() if key != "find"}
    run.job = RemoteJob.model_validate({"http": spec})
    run.remote.faults.start_lost = 1
    assert run.drive() == "RemoteJobEndedError"
    assert "whether it runs is unknown" in str(run.errors[-1])
    # who clears the task has looked
    assert run.drive() == "done"
    assert len(run.remote.jobs) == 2


def test_a_job_that_was_done_is_done_again_when_the_run_was_cleared_and_not_when_a_worker_was_killed(runs):
    run = runs("http")
    run.remote.states = ["done"]
    assert run.drive() == run.drive() == "done"
    assert len(run.remote.jobs) == 1
    with RemoteRun.of(run.request) as again:
        again.renew(1)
        again.finish()
    assert len(run.remote.jobs) == 2


def test_a_job_of_someone_else_is_waited_for(runs):
    run = runs("airbyte")
    run.remote.job("").states = ["running"]
    run.remote.faults.start_again = 1
    before = len(run.remote.jobs)
    run.remote.job = lambda _: run.remote.jobs[0]
    with pytest.raises(SourceBusyError, match="ours has to wait"):
        run.once()
    assert len(run.remote.jobs) == before
    assert run.memory.content is None


@pytest.mark.parametrize("kind", REMOTE_JOBS.all(), ids=lambda kind: kind.name)
def test_every_system_describes_its_jobs_and_says_what_it_starts(kind):
    spec = TypeAdapter(kind.model).validate_python(kind.examples[0])
    how = kind.describe(spec)
    assert kind.words(spec)
    assert how.look is None or how.id or how.id_header or how.known_id
    assert UUID not in str(how.auth)
