"""Jobs of dbt Cloud."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Whole
from elt_factory.sources.remote_job.description import ID, KEY, Call, Description, Find, RemoteJobKind


class DbtCloud(Model):
    """A run of one job of dbt Cloud."""

    account_id: Whole = Field(description="Id of the account.", examples=[12345])
    job_id: Whole = Field(description="Id of the job.", examples=[678])


def _describe(spec: DbtCloud) -> Description:
    path = f"/api/v2/accounts/{spec.account_id}"
    newest = {
        "job_definition_id": spec.job_id,
        "order_by": "-id",
        "limit": 20,
        "include_related": '["trigger"]',
    }
    return Description(
        start=Call("POST", f"{path}/jobs/{spec.job_id}/run/", json={"cause": f"ELT Factory {KEY}"}),
        id="data.id",
        look=Call(path=f"{path}/runs/{ID}/"),
        status="data.status",  # 1 queued, 2 starting, 3 running
        done=("10",),
        failed=("20",),
        cancelled=("30",),
        errors=("data.status_message",),
        link_at="data.href",
        find=Find(Call(path=f"{path}/runs/", params=newest), items="data", id="id", key="trigger.cause"),
        cancel=Call("POST", f"{path}/runs/{ID}/cancel/"),
        auth={"type": "api_key", "header": "Authorization", "prefix": "Token "},
    )


KIND = RemoteJobKind(
    name="dbt_cloud",
    model=DbtCloud,
    description="Run a job of dbt Cloud.",
    examples=({"account_id": 12345, "job_id": 678},),
    describe=_describe,
    words=lambda spec: f"dbt Cloud runs the job {spec.job_id}",
)
