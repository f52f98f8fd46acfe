"""Runs of AWS Glue jobs. A run that Glue tries again gets another id, and has our key all the same."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, KEY, Call, Description, Find, Payload, RemoteJobKind


class Glue(Model):
    """A run of a job of AWS Glue."""

    job_name: Text = Field(description="Name of the job.", examples=["load_orders"])
    arguments: Payload = Field(
        {},
        description="Arguments of the run. Templates are filled in; `--elt_key` is added.",
        examples=[{"--day": "{{ window.start | date }}"}],
    )


def _describe(spec: Glue) -> Description:
    newest = Call("get_job_runs", json={"JobName": spec.job_name, "MaxResults": 50})
    return Description(
        service="glue",
        start=Call("start_job_run", json={"JobName": spec.job_name, "Arguments": {**spec.arguments, "--elt_key": KEY}}),
        id="JobRunId",
        look=newest,
        newest=True,
        status="JobRunState",
        done=("SUCCEEDED",),
        failed=("FAILED", "ERROR", "TIMEOUT", "EXPIRED"),
        cancelled=("STOPPED",),
        errors=("ErrorMessage",),
        find=Find(newest, items="JobRuns", id="Id", key="Arguments.--elt_key"),
        own_retries=True,
        cancel=Call("batch_stop_job_run", json={"JobName": spec.job_name, "JobRunIds": [ID]}),
        conflict=("ConcurrentRunsExceededException",),
        link=f"https://console.aws.amazon.com/gluestudio/home#/job/{spec.job_name}/run/{ID}",
    )


KIND = RemoteJobKind(
    name="aws_glue",
    model=Glue,
    description="Run a job of AWS Glue.",
    examples=({"job_name": "load_orders"},),
    describe=_describe,
    words=lambda spec: f"Glue runs {spec.job_name}",
    connection_types=("aws",),
    extras={"aws": "s3"},
)
