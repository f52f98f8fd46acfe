"""Functions of AWS Lambda: the answer to the call is the end of the job."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import KEY, AsText, Call, Description, Payload, RemoteJobKind


class Lambda(Model):
    """A call of a function of AWS Lambda, of at most 15 minutes. The task has a worker as long as it takes."""

    function: Text = Field(description="Name or ARN of the function.", examples=["load_orders"])
    payload: Payload = Field(
        {},
        description="What the function is given. Templates are filled in; `elt_key` is added.",
        examples=[{"day": "{{ window.start | date }}"}],
    )


def _describe(spec: Lambda) -> Description:
    asked = {"FunctionName": spec.function, "Payload": AsText({**spec.payload, "elt_key": KEY})}
    return Description(
        service="lambda",
        start=Call("invoke", json=asked),
        rules=(("FunctionError", "*", "failed"), ("StatusCode", "*", "done")),
        errors=("Payload.errorMessage", "Payload", "FunctionError"),
        conflict=(),
    )


KIND = RemoteJobKind(
    name="aws_lambda",
    model=Lambda,
    description="Call a function of AWS Lambda.",
    examples=({"function": "load_orders"},),
    describe=_describe,
    words=lambda spec: f"Lambda runs {spec.function}",
    connection_types=("aws",),
    extras={"aws": "s3"},
)
