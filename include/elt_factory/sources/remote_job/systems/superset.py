"""Caches of charts in Superset: the answer to the request is the end of the job."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Whole
from elt_factory.sources.remote_job.description import Call, Description, RemoteJobKind


class Superset(Model):
    """A chart of Superset whose cache is warmed up. Its API has to take JSON Web Tokens without a CSRF token."""

    chart_id: Whole = Field(description="Id of the chart.", examples=[12])


def _describe(spec: Superset) -> Description:
    return Description(
        start=Call("PUT", "/api/v1/chart/warm_up_cache", json={"chart_id": spec.chart_id}),
        rules=(("result.0.viz_error", "*", "failed"), ("result.0.chart_id", "*", "done")),
        errors=("result.0.viz_error",),
        repeatable=True,
        link=f"{{{{ connection.host }}}}/explore/?slice_id={spec.chart_id}",
        auth={
            "type": "session",
            "path": "/api/v1/security/login",
            "json": {
                "username": "{{ connection.login }}",
                "password": "{{ connection.password }}",
                "provider": "db",
            },
            "token": "access_token",
        },
    )


KIND = RemoteJobKind(
    name="superset",
    model=Superset,
    description="Warm up the cache of a chart of Superset.",
    examples=({"chart_id": 12},),
    describe=_describe,
    words=lambda spec: f"Superset warms up the chart {spec.chart_id}",
)
