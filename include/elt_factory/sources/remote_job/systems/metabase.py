"""Persisted models of Metabase. Refreshes have no ids: what a model says of its last one tells when it has ended."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Whole
from elt_factory.sources.remote_job.description import Call, Description, RemoteJobKind


class Metabase(Model):
    """A refresh of a persisted model of Metabase. The connection's password is an API key."""

    model_id: Whole = Field(description="Id of the model.", examples=[34])


def _describe(spec: Metabase) -> Description:
    path = f"/api/persist/card/{spec.model_id}"
    return Description(
        start=Call("POST", f"{path}/refresh"),
        known_id=str(spec.model_id),
        look=Call(path=path),
        status="state",
        marks={"done": "refresh_end"},
        running=("state", "refreshing"),
        failed=("error",),
        errors=("error",),
        repeatable=True,
        link=f"{{{{ connection.host }}}}/model/{spec.model_id}",
        auth={"type": "api_key", "header": "x-api-key"},
    )


KIND = RemoteJobKind(
    name="metabase",
    model=Metabase,
    description="Refresh a persisted model of Metabase.",
    examples=({"model_id": 34},),
    describe=_describe,
    words=lambda spec: f"Metabase refreshes the model {spec.model_id}",
)
