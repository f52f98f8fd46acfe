"""DAGs of another Airflow."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, KEY, Call, Description, Payload, RemoteJobKind, part


class AirflowDag(Model):
    """A run of a DAG of another Airflow, 3.0 or newer."""

    dag_id: Text = Field(description="Id of the DAG.", examples=["load_sales"])
    conf: Payload = Field(
        {},
        description="Configuration of the run. Templates are filled in.",
        examples=[{"day": "{{ window.start | date }}"}],
    )


def _describe(spec: AirflowDag) -> Description:
    path = f"/api/v2/dags/{part(spec.dag_id)}/dagRuns"
    return Description(
        start=Call("POST", path, json={"dag_run_id": KEY, "logical_date": None, "conf": spec.conf}),
        # a run of that id that is there already is ours
        known_id=KEY,
        look=Call(path=f"{path}/{ID}"),
        status="state",
        done=("success",),
        failed=("failed",),
        repeatable=True,
        own_retries=True,
        cancel=Call("PATCH", f"{path}/{ID}", json={"state": "failed"}),
        link=f"{{{{ connection.host }}}}/dags/{part(spec.dag_id)}/runs/{ID}",
        auth={
            "type": "session",
            "path": "/auth/token",
            "json": {"username": "{{ connection.login }}", "password": "{{ connection.password }}"},
            "token": "access_token",
        },
    )


KIND = RemoteJobKind(
    name="airflow",
    model=AirflowDag,
    description="Run a DAG of another Airflow.",
    examples=({"dag_id": "load_sales"},),
    describe=_describe,
    words=lambda spec: f"another Airflow runs {spec.dag_id}",
)
