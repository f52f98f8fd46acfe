"""Syncs of Airbyte, by its public API."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, Find, RemoteJobKind, part


class AirbyteSync(Model):
    """A sync of one connection of Airbyte."""

    connection_id: Text = Field(
        description="Id of the connection in Airbyte.", examples=["8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"]
    )
    workspace_id: Text | None = Field(
        None,
        description="Id of its workspace, for a link to the log.",
        examples=["1a2b3c4d-0000-4000-8000-000000000000"],
    )
    app_url: Text = Field(
        "https://cloud.airbyte.com", description="Address of Airbyte's pages.", examples=["https://airbyte.example.com"]
    )


def _describe(spec: AirbyteSync) -> Description:
    pages = f"{spec.app_url.rstrip('/')}/workspaces/{spec.workspace_id}/connections/{spec.connection_id}/timeline"
    newest = {"connectionId": spec.connection_id, "limit": 20, "orderBy": "createdAt|DESC"}
    return Description(
        start=Call("POST", "/jobs", json={"connectionId": spec.connection_id, "jobType": "sync"}),
        id="jobId",
        look=Call(path=f"/jobs/{ID}"),
        status="status",  # incomplete: an attempt has failed, and Airbyte makes another one
        done=("succeeded",),
        failed=("failed",),
        cancelled=("cancelled",),
        find=Find(Call(path="/jobs", params=newest), items="data", id="jobId"),
        cancel=Call("DELETE", f"/jobs/{ID}"),
        link=pages if spec.workspace_id else "",
        auth={
            "type": "session",
            "path": "/applications/token",
            "json": {
                "client_id": "{{ connection.login }}",
                "client_secret": "{{ connection.password }}",
                "grant-type": "client_credentials",
            },
            "token": "access_token",
        },
    )


KIND = RemoteJobKind(
    name="airbyte",
    model=AirbyteSync,
    description="Sync a connection of Airbyte.",
    examples=({"connection_id": "8c775d4c-2b4d-4f3a-9c5b-6a1f2e3d4c5b"},),
    describe=_describe,
    words=lambda spec: f"Airbyte syncs {part(spec.connection_id)}",
    loaded_at="_airbyte_extracted_at",
)
