"""The language of JSON APIs: what an answer means that is not just records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of, not_both
from elt_factory.config.models.values import Scalar, Text, Whole

_CONDITIONS = ("status", "header", "path", "contains")
Status = Annotated[Whole, Field(ge=100, le=599)]


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


_ONE = {"type": "integer", "minimum": 100, "maximum": 599}
Statuses = Annotated[
    tuple[Status, ...],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE}]}),
]


class AnswerRule(Model):
    """What to do with an answer for which all conditions hold."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        any_of(*_CONDITIONS),
        not_both("header", "path"),
        {"if": {"required": ["equals"]}, "then": any_of("header", "path")},
        {"if": {"required": ["until"]}, "then": {"properties": {"do": {"const": "wait"}}}},
        {"if": {"required": ["say"]}, "then": {"properties": {"do": {"const": "fail"}}}},
    )

    status: Statuses = Field((), description="Status, or a list of them.", examples=[404, [403, 404]])
    header: Text | None = Field(
        None, description="Header that is there; with `equals`, with this value.", examples=["X-RateLimit-Remaining"]
    )
    path: Text | None = Field(
        None, description="Path in the body that has a value; with `equals`, this value.", examples=["ok"]
    )
    equals: Scalar | None = Field(None, description="Value at `header` or `path`.", examples=[False, 0])
    contains: Text | None = Field(None, description="Text in the body.", examples=["no data for this period"])
    do: Literal["skip", "end", "retry", "wait", "fail"] = Field(
        description=(
            "skip takes it as no records, and asks for no more pages; end takes it as the end of the pages, which must "
            "be complete; retry asks again after a pause; wait asks again at the time in `until`; fail fails the task."
        ),
        examples=["skip"],
    )
    until: Text | None = Field(
        None,
        description="Header with the time to wait for: seconds, an epoch or a date. By default, Retry-After.",
        examples=["X-RateLimit-Reset"],
    )
    say: Text | None = Field(None, description="Path in the body of the message to fail with.", examples=["error"])

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not any(getattr(self, name) for name in _CONDITIONS):
            hint = f"add {', '.join(_CONDITIONS[:-1])} or {_CONDITIONS[-1]}"
            raise MistakeError("an answer needs a condition", hint, code="incomplete")
        if self.header and self.path:
            message = "header and path exclude each other"
            raise MistakeError(message, "write two entries", at=("path", KEY), code="conflict")
        if self.equals is not None and not (self.header or self.path):
            message = "equals needs header or path"
            raise MistakeError(message, "add the one that it compares", at=("equals", KEY), code="conflict")
        for name, done in (("until", "wait"), ("say", "fail")):
            if getattr(self, name) and self.do != done:
                message = f"{name} needs do: {done}"
                raise MistakeError(message, f"remove {name}", at=(name, KEY), code="conflict")
        return self
