"""Refreshes of extracts in Tableau. One that was asked for twice is refreshed twice, which does no harm."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, Call, Description, RemoteJobKind, part


class Tableau(Model):
    """A refresh of a workbook's extracts in Tableau. The connection has the name and the secret of an access token."""

    site_id: Text = Field(description="Id (LUID) of the site.", examples=["9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d"])
    site: Text = Field("", description="Name of the site in addresses. Empty for the default site.", examples=["sales"])
    workbook_id: Text = Field(
        description="Id (LUID) of the workbook.", examples=["1a1b1c1d-0000-4000-8000-000000000002"]
    )
    api_version: Text = Field("3.24", description="Version of Tableau's REST API.", examples=["3.24"])


def _describe(spec: Tableau) -> Description:
    api = f"/api/{part(spec.api_version)}"
    path = f"{api}/sites/{part(spec.site_id)}"
    return Description(
        start=Call("POST", f"{path}/workbooks/{part(spec.workbook_id)}/refresh", json={}),
        id="job.id",
        look=Call(path=f"{path}/jobs/{ID}"),
        status="job.progress",
        rules=(
            ("job.finishCode", "0", "done"),
            ("job.finishCode", "1", "failed"),
            ("job.finishCode", "2", "cancelled"),
            ("job.id", "*", "running"),
        ),
        errors=("job.statusNotes.statusNote.0.text", "job.extractRefreshJob.notes"),
        repeatable=True,
        cancel=Call("PUT", f"{path}/jobs/{ID}"),
        headers={"Accept": "application/json"},
        auth={
            "type": "session",
            "path": f"{api}/auth/signin",
            "json": {
                "credentials": {
                    "personalAccessTokenName": "{{ connection.login }}",
                    "personalAccessTokenSecret": "{{ connection.password }}",
                    "site": {"contentUrl": spec.site},
                }
            },
            "token": "credentials.token",
            "header": "X-Tableau-Auth",
            "prefix": "",
        },
    )


KIND = RemoteJobKind(
    name="tableau",
    model=Tableau,
    description="Refresh the extracts of a workbook of Tableau.",
    examples=(
        {
            "site_id": "9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d",
            "workbook_id": "1a1b1c1d-0000-4000-8000-000000000002",
        },
    ),
    describe=_describe,
    words=lambda spec: f"Tableau refreshes the workbook {spec.workbook_id}",
)
