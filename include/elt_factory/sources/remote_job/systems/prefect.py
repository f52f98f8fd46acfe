"""Deployments of Prefect."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, KEY, Call, Description, Payload, RemoteJobKind, part


class Prefect(Model):
    """A flow run of one deployment of Prefect."""

    deployment_id: Text = Field(description="Id of the deployment.", examples=["5f9c2a3e-1111-4222-8333-944455566677"])
    parameters: Payload = Field(
        {},
        description="Parameters of the flow. Templates are filled in.",
        examples=[{"day": "{{ window.start | date }}"}],
    )


def _describe(spec: Prefect) -> Description:
    state = {"state": {"type": "CANCELLING"}, "force": False}
    return Description(
        start=Call(
            "POST",
            f"/deployments/{part(spec.deployment_id)}/create_flow_run",
            json={"idempotency_key": KEY, "parameters": spec.parameters, "tags": ["elt-factory"]},
        ),
        id="id",
        look=Call(path=f"/flow_runs/{ID}"),
        status="state.type",
        done=("COMPLETED",),
        failed=("FAILED", "CRASHED"),
        cancelled=("CANCELLED", "CANCELLING"),
        errors=("state.message",),
        repeatable=True,  # by the key
        own_retries=True,
        cancel=Call("POST", f"/flow_runs/{ID}/set_state", json=state),
    )


KIND = RemoteJobKind(
    name="prefect",
    model=Prefect,
    description="Run a deployment of Prefect.",
    examples=({"deployment_id": "5f9c2a3e-1111-4222-8333-944455566677"},),
    describe=_describe,
    words=lambda spec: f"Prefect runs the deployment {spec.deployment_id}",
)
