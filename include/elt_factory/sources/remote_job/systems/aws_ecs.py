"""Tasks of AWS ECS."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, KEY, Call, Description, Payload, RemoteJobKind

_BEFORE_ITS_END = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING")


class Ecs(Model):
    """A task of AWS ECS. The exit code of its first container says how it ended."""

    cluster: Text = Field(description="Name of the cluster.", examples=["loaders"])
    task_definition: Text = Field(description="Family, with a revision or without.", examples=["load_orders:3"])
    options: Payload = Field(
        {},
        description="Other arguments of RunTask. Templates are filled in.",
        examples=[
            {"launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}
        ],
    )


def _describe(spec: Ecs) -> Description:
    asked = {"cluster": spec.cluster, "taskDefinition": spec.task_definition, "startedBy": KEY, "clientToken": KEY}
    return Description(
        service="ecs",
        start=Call("run_task", json={**spec.options, **asked}),
        id="tasks.0.taskArn",
        look=Call("describe_tasks", json={"cluster": spec.cluster, "tasks": [ID]}),
        status="tasks.0.lastStatus",
        rules=(
            # an exit code is one only when the task has stopped
            *(("tasks.0.lastStatus", status, "running") for status in _BEFORE_ITS_END),
            ("failures.0.reason", "MISSING", "gone"),
            ("tasks.0.stopCode", "UserInitiated", "cancelled"),
            ("tasks.0.containers.0.exitCode", "0", "done"),
            ("tasks.0.containers.0.exitCode", "*", "failed"),
            ("tasks.0.lastStatus", "STOPPED", "failed"),
        ),
        errors=("tasks.0.stoppedReason", "tasks.0.containers.0.reason"),
        repeatable=True,  # by the client token
        cancel=Call("stop_task", json={"cluster": spec.cluster, "task": ID, "reason": "cancelled with the run"}),
        conflict=(),
    )


KIND = RemoteJobKind(
    name="aws_ecs",
    model=Ecs,
    description="Run a task of AWS ECS.",
    examples=({"cluster": "loaders", "task_definition": "load_orders:3"},),
    describe=_describe,
    words=lambda spec: f"ECS runs {spec.task_definition}",
    connection_types=("aws",),
    extras={"aws": "s3"},
)
