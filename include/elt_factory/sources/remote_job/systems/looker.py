"""Persistent derived tables of Looker."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, RemoteJobKind, part


class Looker(Model):
    """A build of a persistent derived table of Looker. The connection has the id and the secret of an API key."""

    model: Text = Field(description="Name of the LookML model.", examples=["sales"])
    view: Text = Field(description="Name of the view.", examples=["orders_by_day"])


def _describe(spec: Looker) -> Description:
    path = "/api/4.0/derived_table"
    return Description(
        # a build that runs is joined there
        start=Call("GET", f"{path}/{part(spec.model)}/{part(spec.view)}/start"),
        id="materialization_id",
        look=Call(path=f"{path}/{ID}/check"),
        status="resp_text.status",
        done=("complete",),
        failed=("error",),
        cancelled=("killed",),
        errors=("resp_text.message", "resp_text.error"),
        repeatable=True,
        cancel=Call("GET", f"{path}/{ID}/stop"),
        auth={
            "type": "session",
            "path": "/api/4.0/login",
            "form": {"client_id": "{{ connection.login }}", "client_secret": "{{ connection.password }}"},
            "token": "access_token",
            "prefix": "token ",
        },
    )


KIND = RemoteJobKind(
    name="looker",
    model=Looker,
    description="Build a persistent derived table of Looker.",
    examples=({"model": "sales", "view": "orders_by_day"},),
    describe=_describe,
    words=lambda spec: f"Looker builds {spec.model}.{spec.view}",
)
