"""Pipelines of Orchestra."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, Payload, RemoteJobKind, part


class Orchestra(Model):
    """A run of one pipeline of Orchestra. It does not say which run was started, where its answer was lost."""

    pipeline_id: Text = Field(description="Id or alias of the pipeline.", examples=["daily_sales"])
    inputs: Payload = Field(
        {}, description="Inputs of the run. Templates are filled in.", examples=[{"day": "{{ window.start | date }}"}]
    )


def _describe(spec: Orchestra) -> Description:
    api = "/api/engine/public"
    return Description(
        start=Call("POST", f"{api}/pipelines/{part(spec.pipeline_id)}/start", json={"runInputs": spec.inputs}),
        id="pipelineRunId",
        look=Call(path=f"{api}/pipeline_runs/{ID}/status"),
        status="runStatus",
        done=("SUCCEEDED", "WARNING"),
        failed=("FAILED",),
        cancelled=("CANCELLED", "CANCELLING"),
        errors=("message",),
        own_retries=True,
        cancel=Call("POST", f"{api}/pipeline_runs/{ID}/cancel"),
        link=f"https://app.getorchestra.io/pipeline-runs/{ID}/lineage",
    )


KIND = RemoteJobKind(
    name="orchestra",
    model=Orchestra,
    description="Run a pipeline of Orchestra.",
    examples=({"pipeline_id": "daily_sales"},),
    describe=_describe,
    words=lambda spec: f"Orchestra runs the pipeline {spec.pipeline_id}",
)
