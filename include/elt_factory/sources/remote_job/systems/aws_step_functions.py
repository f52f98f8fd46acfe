"""Executions of AWS Step Functions."""

from __future__ import annotations

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text
from elt_factory.sources.remote_job.description import ID, KEY, AsText, Call, Description, Payload, RemoteJobKind


class StepFunctions(Model):
    """An execution of a state machine of AWS Step Functions."""

    state_machine: Text = Field(
        description="ARN of the state machine.", examples=["arn:aws:states:eu-central-1:123456789012:stateMachine:load"]
    )
    input: Payload = Field(
        {},
        description="Input of the execution. Templates are filled in.",
        examples=[{"day": "{{ window.start | date }}"}],
    )


def _describe(spec: StepFunctions) -> Description:
    # the ARN of an execution has the machine's name, without a version or alias, and its own
    machine = ":".join(spec.state_machine.replace(":stateMachine:", ":execution:").split(":")[:7])
    asked = {"stateMachineArn": spec.state_machine, "name": KEY, "input": AsText(spec.input)}
    return Description(
        service="stepfunctions",
        start=Call("start_execution", json=asked),
        known_id=f"{machine}:{KEY}",
        look=Call("describe_execution", json={"executionArn": ID}),
        status="status",
        done=("SUCCEEDED",),
        failed=("FAILED", "TIMED_OUT"),
        cancelled=("ABORTED",),
        errors=("cause", "error"),
        repeatable=True,  # by the name: one that runs is answered as a new one, one that has ended with the conflict
        conflict=("ExecutionAlreadyExists",),
        own_retries=True,  # one that is redriven has the same ARN
        cancel=Call("stop_execution", json={"executionArn": ID, "cause": "cancelled with the run"}),
        link=f"https://console.aws.amazon.com/states/home#/executions/details/{ID}",
    )


KIND = RemoteJobKind(
    name="aws_step_functions",
    model=StepFunctions,
    description="Execute a state machine of AWS Step Functions.",
    examples=({"state_machine": "arn:aws:states:eu-central-1:123456789012:stateMachine:load"},),
    describe=_describe,
    words=lambda spec: f"Step Functions executes {spec.state_machine.rpartition(':')[2]}",
    connection_types=("aws",),
    extras={"aws": "s3"},
)
