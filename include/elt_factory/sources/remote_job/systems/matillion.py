"""Pipelines of Matillion's Data Productivity Cloud."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, Find, Payload, RemoteJobKind, part


class Matillion(Model):
    """An execution of one pipeline of Matillion's Data Productivity Cloud."""

    project_id: Text = Field(description="Id of the project.", examples=["0a1b2c3d-0000-4000-8000-000000000001"])
    pipeline: Text = Field(description="Name of the pipeline.", examples=["load_orders.orch.yaml"])
    environment: Text = Field(description="Name of the environment.", examples=["production"])
    variables: Payload = Field(
        {},
        description="Scalar variables of the pipeline. Templates are filled in.",
        examples=[{"day": "{{ window.start | date }}"}],
    )


def _describe(spec: Matillion) -> Description:
    path = f"/v1/projects/{part(spec.project_id)}/pipeline-executions"
    body = {
        "pipelineName": spec.pipeline,
        "environmentName": spec.environment,
        "scalarVariables": spec.variables,
    }
    newest = Call(path="/v1/pipeline-executions", params={"projectId": spec.project_id})
    return Description(
        start=Call("POST", path, json=body),
        id="pipelineExecutionId",
        look=Call(path=f"{path}/{ID}"),
        status="result.status",
        done=("SUCCESS",),
        failed=("FAILED",),
        cancelled=("CANCELLED", "CANCELLING", "TERMINATED"),
        errors=("result.message",),
        find=Find(newest, items="results", id="pipelineExecutionId"),
        cancel=Call("PATCH", f"{path}/{ID}", json={"status": "CANCELLED"}),
        auth={"type": "oauth2", "token_url": "https://id.core.matillion.com/oauth/dpc/token"},
    )


KIND = RemoteJobKind(
    name="matillion",
    model=Matillion,
    description="Run a pipeline of Matillion's Data Productivity Cloud.",
    examples=(
        {
            "project_id": "0a1b2c3d-0000-4000-8000-000000000001",
            "pipeline": "load_orders.orch.yaml",
            "environment": "production",
        },
    ),
    describe=_describe,
    words=lambda spec: f"Matillion runs {spec.pipeline}",
)
