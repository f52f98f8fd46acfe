"""Jobs of AWS against moto, whose Step Functions interpret a state machine as AWS documents it."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.session import Session
from moto import mock_aws
from moto.core.config import default_user_config

from elt_factory.config.models.remote_jobs import RemoteJob
from elt_factory.core.failures import JobRunningError
from elt_factory.sources.remote_job import aws
from elt_factory.sources.remote_job.remote import cancel, is_over
from remote_jobs_support import DATE, KEYS, Runs

SESSION = Session("id", "s3cret-of-the-system", region_name="eu-central-1")
ROLE = "arn:aws:iam::123456789012:role/loader"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Session]:
    """An AWS of this process, whose functions need no Docker."""
    ways = {"lambda": {"use_docker": False}, "stepfunctions": {"execute_state_machine": True}}
    kept = {name: dict(default_user_config[name]) for name in ways}
    with mock_aws(config=ways):
        yield SESSION
    default_user_config.update(kept)


@pytest.fixture
def runs(cloud, monkeypatch):
    monkeypatch.setattr(aws, "session_of", lambda _: cloud)
    return lambda name, spec, **more: Runs(None, RemoteJob.model_validate({name: spec, **more}))


@pytest.fixture(scope="module")
def machines(cloud: Session) -> dict[str, str]:
    """A state machine that passes, one that fails, and one that takes long: their ARNs."""
    states: dict[str, dict[str, Any]] = {
        "passes": {"Type": "Pass", "End": True},
        "fails": {"Type": "Fail", "Error": "NoSpace", "Cause": "disk full"},
        "waits": {"Type": "Wait", "Seconds": 60, "End": True},
    }
    client = cloud.client("stepfunctions")
    return {
        name: client.create_state_machine(
            name=name, roleArn=ROLE, definition=json.dumps({"StartAt": "a", "States": {"a": state}})
        )["stateMachineArn"]
        for name, state in states.items()
    }


def executions(cloud: Session, machine: str) -> list[dict[str, Any]]:
    return list(cloud.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])


def seen_until(status: str, cloud: Session, machine: str) -> None:
    """Wait until the newest execution there has a status: they run in threads of their own."""
    for _ in range(200):
        if executions(cloud, machine)[0]["status"] == status:
            return
        time.sleep(0.02)
    raise AssertionError(executions(cloud, machine))


def test_an_execution_is_started_once_joined_by_the_next_try_and_given_the_values_of_the_run(runs, cloud, machines):
    run = runs("aws_step_functions", {"state_machine": machines["passes"], "input": {"day": DATE}})
    # the worker is killed when the answer came, before it is kept
    run.memory.dies_at = 3
    with pytest.raises(KeyboardInterrupt):
        run.once()
    run.memory.dies_at = 0
    seen_until("SUCCEEDED", cloud, machines["passes"])
    assert run.drive() == "done"
    (only,) = executions(cloud, machines["passes"])
    assert KEYS.fullmatch(only["name"])
    told = cloud.client("stepfunctions").describe_execution(executionArn=only["executionArn"])
    assert json.loads(told["input"]) == {"day": "2013-01-01"}


def test_an_execution_that_fails_says_its_cause_and_the_next_try_starts_another(runs, cloud, machines):
    run = runs("aws_step_functions", {"state_machine": machines["fails"]})
    with pytest.raises(JobRunningError):
        run.once()
    seen_until("FAILED", cloud, machines["fails"])
    assert run.drive(tries=1) == "RemoteJobFailedError"
    assert "disk full" in str(run.errors[-1])
    assert "states/home#/executions/details/arn:aws:states" in str(run.errors[-1])


def test_an_execution_is_cancelled_with_the_run(runs, cloud, machines):
    run = runs("aws_step_functions", {"state_machine": machines["waits"]})
    with pytest.raises(JobRunningError):
        run.once()
    assert not is_over(run.request)
    # moto begins it in a thread, which may call it running after it was ended
    for _ in range(100):
        assert cancel(run.request)
        if [one["status"] for one in executions(cloud, machines["waits"])] == ["ABORTED"]:
            return
        time.sleep(0.05)
    pytest.fail("it is still running")


def test_a_state_machine_that_is_not_there_is_one_clear_error(runs, machines):
    run = runs("aws_step_functions", {"state_machine": machines["passes"] + "-not"})
    assert run.drive() == "BadRequestError"
    assert "start_execution" in str(run.errors[-1])


def test_a_run_of_glue_is_found_by_its_key_after_a_lost_answer(runs, cloud):
    glue = cloud.client("glue")
    cloud.client("iam").create_role(RoleName="loader", AssumeRolePolicyDocument="{}")
    glue.create_job(Name="load", Role=ROLE, Command={"Name": "glueetl", "ScriptLocation": "s3://scripts/load.py"})
    run = runs("aws_glue", {"job_name": "load", "arguments": {"--day": DATE}})
    run.memory.dies_at = 3
    assert run.drive() == "done"
    (only,) = glue.get_job_runs(JobName="load")["JobRuns"]
    assert only["Arguments"]["--day"] == "2013-01-01"
    assert KEYS.fullmatch(only["Arguments"]["--elt_key"])
    assert runs("aws_glue", {"job_name": "other"}).drive() == "BadRequestError"


def test_a_function_of_lambda_is_called_and_its_answer_ends_the_job(runs, cloud):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("load.py", "def run(event, context): return event")
    cloud.client("lambda").create_function(
        FunctionName="load", Runtime="python3.12", Role=ROLE, Handler="load.run", Code={"ZipFile": archive.getvalue()}
    )
    assert runs("aws_lambda", {"function": "load", "payload": {"day": DATE}}).drive() == "done"


def test_a_task_of_ecs_is_waited_for_and_cancelled_with_the_run(runs, cloud):
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="loaders")
    ecs.register_task_definition(
        family="load",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "load", "image": "load", "memory": 512}],
    )
    subnet = cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}}
    options = {"launchType": "FARGATE", "networkConfiguration": network}
    run = runs("aws_ecs", {"cluster": "loaders", "task_definition": "load", "options": options})
    with pytest.raises(JobRunningError):
        run.once()
    assert not is_over(run.request)
    assert cancel(run.request)
    (arn,) = ecs.list_tasks(cluster="loaders", desiredStatus="STOPPED")["taskArns"]
    (task,) = ecs.describe_tasks(cluster="loaders", tasks=[arn])["tasks"]
    assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "cancelled with the run")
    assert KEYS.fullmatch(task["startedBy"])
