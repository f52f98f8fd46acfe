"""Jobs of other systems: whatever goes wrong, none is started twice, lost, or waited for indefinitely."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from threading import Thread

import pytest
from boto3.session import Session
from pydantic import TypeAdapter

from elt_factory.config.models.remote_jobs import REMOTE_JOBS, RemoteJob
from elt_factory.core.failures import JobRunningError, SourceBusyError, TransientError
from elt_factory.sources.remote_job import aws
from elt_factory.sources.remote_job.remote import RemoteRun, cancel, is_over
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.settings import HttpSettings
from remote_jobs_support import MORE, SYSTEMS, UUID, Remote, Runs

CONTEXT = ssl.create_default_context()
SESSION = Session("id", "s3cret-of-the-system", region_name="eu-central-1")


@pytest.fixture(scope="module")
def server() -> Iterator[Remote]:
    remote = Remote()
    Thread(target=remote.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield remote
    remote.shutdown()
    remote.server_close()


@pytest.fixture
def runs(server, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    # certificates and the models of AWS are read once, not for every try
    monkeypatch.setattr(HttpSettings, "tls", lambda _: CONTEXT)
    monkeypatch.setattr(aws, "session_of", lambda _: SESSION)
    monkeypatch.setattr(aws, "_TRIES", 1)

    def make(name: str, **changes: object) -> Runs:
        server.become(name)
        spec = {**server.system.spec}
        if name == "power_bi":
            spec["token_url"] = f"{server.url}/oauth/token"
        job = RemoteJob.model_validate({name: spec, **changes})
        if name == "matillion":
            # its token comes from a host of its own
            monkeypatch.setattr(
                "elt_factory.sources.remote_job.transport.api_of",
                lambda how, connection: _api(how, connection, server),
            )
        return Runs(server, job)

    return make


def _api(how, connection, server):
    from elt_factory.sources.rest_api.api_model import RestApi

    auth = {**(how.auth or {}), "token_url": f"{server.url}/oauth/token"}
    return RestApi.model_validate({"type": "rest_api", "connection": connection.conn_id, "auth": auth})


def of_jobs(run: Runs) -> tuple[int, int, int]:
    """How many jobs were started, how many of them while another ran, and how many still run."""
    remote = run.remote
    return len(remote.jobs), remote.at_once, sum(not job.over for job in remote.jobs)


EVERY = pytest.mark.parametrize("name", SYSTEMS)
ONE = (1, 0, 0)


@EVERY
def test_a_job_that_is_done_before_the_first_look_is_done(runs, name):
    run = runs(name)
    run.remote.states = ["done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_a_job_is_waited_for_and_what_it_is_given_has_the_values_of_the_run(runs, name):
    run = runs(name)
    run.remote.states = ["running", "running", "done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)
    assert "{{" not in str(run.remote.bodies)


@EVERY
def test_a_job_that_a_person_has_cancelled_is_not_started_again(runs, name):
    run = runs(name, within="3m", every="1m")
    run.remote.states = ["running", "cancelled"]
    ended = run.drive()
    # two systems do not tell a job that was cancelled from one that has failed, or from one that does not end
    if name == "airflow":
        assert ended == "RemoteJobFailedError"
    else:
        assert (ended, len(run.remote.jobs)) == ("RemoteJobEndedError", 1)
    assert of_jobs(run)[1:] == (0, 0)


@EVERY
def test_a_job_that_fails_and_that_its_own_system_tries_again_is_waited_for(runs, name):
    run = runs(name)
    tries_again = SYSTEMS[name].own_retries
    failed = "retrying" if name == "airbyte" else "failed"
    run.remote.states = ["running", failed, "running", "done"] if tries_again else ["running", "retrying", "done"]
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


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
def test_a_job_that_vanishes_is_left_to_a_person_to_decide(runs, name):
    run = runs(name)
    run.remote.states = ["running", "gone"]
    assert (run.drive(), of_jobs(run)) == ("RemoteJobEndedError", ONE)
    assert "whether it has ended is unknown" in str(run.errors[-1])


@EVERY
def test_a_start_that_a_server_error_met_is_sent_again_where_no_job_was_started(runs, name):
    run = runs(name)
    run.remote.faults.start_500 = 1
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_a_look_that_a_server_error_met_is_tried_again(runs, name):
    run = runs(name)
    run.remote.faults.look_500 = 2 if name == "fivetran" else 1
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_a_job_whose_start_was_taken_and_not_answered_is_found(runs, name):
    run = runs(name)
    run.remote.faults.start_lost = 1
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


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
def test_credentials_that_are_refused_midway_leave_a_job_that_the_next_try_joins(runs, name):
    run = runs(name)
    run.remote.states = ["running", "running", "done"]
    with pytest.raises(JobRunningError):
        run.once()
    run.remote.faults.look_401 = 2
    assert run.drive() == "AccessDeniedError"
    run.remote.faults.look_401 = 0
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_an_answer_that_is_not_json_is_no_end_of_a_job(runs, name):
    run = runs(name)
    run.remote.states = ["running", "running", "done"]
    with pytest.raises(JobRunningError):
        run.once()
    run.remote.faults.look_garbage = 1
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


@EVERY
def test_a_job_that_never_ends_is_cancelled_when_it_has_taken_too_long(runs, name):
    run = runs(name, within="3m", every="1m")
    run.remote.states = ["running"]
    assert run.drive() == "RemoteJobEndedError"
    assert "within 3m" in str(run.errors[-1])
    if REMOTE_JOBS.get(name).describe(run.job.spec).cancel:
        assert of_jobs(run) == ONE
    else:
        assert "its system cannot cancel it" in str(run.errors[-1])


@EVERY
def test_a_retry_and_a_worker_that_was_killed_join_the_job(runs, name):
    run = runs(name)
    run.remote.states = ["running"] * 3 + ["done"]
    # killed when the request was answered, and the answer was not kept
    run.memory.dies_at = 3
    assert (run.drive(), of_jobs(run)) == ("done", ONE)


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
