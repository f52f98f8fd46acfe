"""The language of JSON APIs: where the records are in an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import NO_TEMPLATE, not_both
from elt_factory.config.models.values import ColumnName, Flag, Text

EACH = "[*]"
_DOT = re.compile(r"(?<!\\)\.")


class Records(Model):
    """Where the records are; a text in its place is the path."""

    plain_key: ClassVar[str] = "path"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"path": (NO_TEMPLATE,)}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        not_both("key", "columns", "one"),
        {"if": {"required": ["value"]}, "then": {"required": ["key"]}},
    )

    path: Text | None = Field(
        None,
        description="Path in the response; `[*]` after a step goes into each element of a list, or value of an object.",
        examples=["data.items", "items[*].order"],
    )
    optional: Flag = Field(False, description="Whether null or no value at the path means no records.", examples=[True])
    key: ColumnName | None = Field(
        None, description="The records are the values of an object: column for their keys.", examples=["date"]
    )
    value: ColumnName | None = Field(
        None, description="Column for values that are not objects, next to `key`.", examples=["rate"]
    )
    columns: Text | tuple[ColumnName, ...] | None = Field(
        None,
        description="The records are lists: their columns, or the path of the columns in the response.",
        examples=["fields", ["id", "name"]],
    )
    one: Flag = Field(False, description="Whether the object at the path is itself the record.", examples=[True])

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        shapes = [name for name in ("key", "columns", "one") if getattr(self, name)]
        if len(shapes) > 1:
            message = f"{shapes[0]} and {shapes[1]} exclude each other"
            raise MistakeError(message, "keep one of them", at=(shapes[1], KEY), code="conflict")
        if self.value and not self.key:
            raise MistakeError("value needs key", "add key:", at=("value", KEY), code="conflict")
        if self.path is None and not shapes and not self.optional:
            raise MistakeError("records needs a path", "add path:", code="incomplete")
        return self

    @property
    def above(self) -> str | None:
        """The path to the first list or object that is gone through; None for the whole answer."""
        return (self.path or "").partition(EACH)[0].strip(".") or None


@lru_cache(maxsize=256)
def steps(path: str) -> Sequence[str]:
    """Return the keys of a dotted path; a dot within a key has a backslash before it."""
    return tuple(step.replace("\\.", ".") for step in _DOT.split(path))


def _by_column(value: Any) -> Any:
    """Return the paths by their columns: those of a list are called as their steps are, with _ between them."""
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(path, str) for path in value):
        raise MistakeError("expected paths", "write a list, as in [customer.email]", code="wrong-type")
    return {"_".join(steps(path)): path for path in value}


def _check_nested(value: dict[str, str]) -> dict[str, str]:
    for column, path in value.items():
        if len(steps(path)) < 2:  # noqa: PLR2004 - of a step into a value, and one within it
            hint = "write the path of a value inside another one, as in customer.email"
            raise MistakeError(f'"{path}" is a column already', hint, at=(column,), code="bad-value")
    return value


_PATHS = {"type": "string", "pattern": r"^[^{}]*[^{}\\]\.[^{}]+$"}
Flatten = Annotated[
    dict[ColumnName, Text],
    BeforeValidator(_by_column),
    AfterValidator(_check_nested),
    WithJsonSchema({"anyOf": [{"type": "array", "items": _PATHS}, {"type": "object", "additionalProperties": _PATHS}]}),
]


def or_path(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that a path may appear where the mapping does."""
    schema["anyOf"].insert(0, {"type": "string", "minLength": 1, "pattern": NO_TEMPLATE})
