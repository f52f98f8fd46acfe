"""Enhanced refreshes of semantic models in Power BI."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, Find, Payload, RemoteJobKind, part


class PowerBi(Model):
    """An enhanced refresh of a semantic model of Power BI. The connection has a service principal's id and secret."""

    tenant: Text = Field(description="Id or domain of the tenant.", examples=["example.onmicrosoft.com"])
    group_id: Text = Field(description="Id of the workspace.", examples=["fdb91b8f-0000-4000-8000-000000000003"])
    dataset_id: Text = Field(description="Id of the semantic model.", examples=["f7fc6510-0000-4000-8000-000000000004"])
    options: Payload = Field(
        {"type": "full"},
        description="Body of the request for the refresh.",
        examples=[{"type": "full", "maxParallelism": 2}],
    )
    token_url: Text | None = Field(
        None,
        description="Address of the token endpoint. By default, Microsoft's for the tenant.",
        examples=["https://login.microsoftonline.us/example/oauth2/v2.0/token"],
    )


def _describe(spec: PowerBi) -> Description:
    path = f"/v1.0/myorg/groups/{part(spec.group_id)}/datasets/{part(spec.dataset_id)}/refreshes"
    token = f"https://login.microsoftonline.com/{part(spec.tenant)}/oauth2/v2.0/token"
    return Description(
        start=Call("POST", path, json=spec.options),
        id_header="location",
        look=Call(path=f"{path}/{ID}"),
        status="status",  # Unknown: it is in progress
        done=("Completed",),
        failed=("Failed", "TimedOut", "Disabled"),
        cancelled=("Cancelled",),
        errors=("messages.0.message", "serviceExceptionJson", "extendedStatus"),
        find=Find(Call(path=path, params={"$top": 5}), items="value", id="requestId"),
        conflict=(409,),
        cancel=Call("DELETE", f"{path}/{ID}"),
        auth={
            "type": "oauth2",
            "token_url": spec.token_url or token,
            "scope": "https://analysis.windows.net/powerbi/api/.default",
        },
    )


KIND = RemoteJobKind(
    name="power_bi",
    model=PowerBi,
    description="Refresh a semantic model of Power BI.",
    examples=(
        {
            "tenant": "example.onmicrosoft.com",
            "group_id": "fdb91b8f-0000-4000-8000-000000000003",
            "dataset_id": "f7fc6510-0000-4000-8000-000000000004",
        },
    ),
    describe=_describe,
    words=lambda spec: f"Power BI refreshes {spec.dataset_id}",
)
