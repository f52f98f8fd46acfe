"""Syncs of Fivetran. They have no ids: what a connection says of its last sync tells when one has ended."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import Call, Description, RemoteJobKind, part


class Fivetran(Model):
    """A sync of one connection of Fivetran. Set its schedule there to manual."""

    connection_id: Text = Field(description="Id of the connection in Fivetran.", examples=["warm_enlighten"])


def _describe(spec: Fivetran) -> Description:
    path = f"/v1/connections/{part(spec.connection_id)}"
    return Description(
        # without force a sync that runs continues, so the request may come again
        start=Call("POST", f"{path}/sync", json={"force": False}),
        known_id=spec.connection_id,
        look=Call(path=path),
        status="data.status.sync_state",
        marks={"done": "data.succeeded_at", "failed": "data.failed_at"},
        running=("data.status.sync_state", "syncing"),
        errors=("data.status.tasks.0.message", "data.status.warnings.0.message"),
        repeatable=True,
        link=f"https://fivetran.com/dashboard/connections/{part(spec.connection_id)}/status",
        auth={"type": "basic"},
        headers={"Accept": "application/json;version=2"},
    )


KIND = RemoteJobKind(
    name="fivetran",
    model=Fivetran,
    description="Sync a connection of Fivetran.",
    examples=({"connection_id": "warm_enlighten"},),
    describe=_describe,
    words=lambda spec: f"Fivetran syncs {spec.connection_id}",
    loaded_at="_fivetran_synced",
)
