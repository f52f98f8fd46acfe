"""What every config model shares: frozen, and no key that it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Model(BaseModel):
    """A part of a config. Unknown keys are errors; nothing changes it after it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, str_strip_whitespace=False)

    # what its JSON Schema says beyond types: patterns of the text of a key, schemas of the whole mapping
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {}
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = ()
    # the key that a plain value in the mapping's place most likely means
    plain_key: ClassVar[str] = ""

    @classmethod
    def keys(cls) -> Mapping[str, FieldInfo]:
        """Return the fields by the names they have in a file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}


def require_words(model: type[Model]) -> None:
    """Refuse a model that a reference or an editor could not explain.

    Raises:
        TypeError: a field other than `type` has no description or no example.
    """
    for name, field in model.model_fields.items():
        if name != "type" and not (field.description and field.examples):
            raise TypeError(f"{model.__name__}.{name} needs a description and an example")


def require_type(model: type[Model], name: str) -> None:
    """Refuse the model of a kind that a config could not name.

    Raises:
        TypeError: its `type` is not the kind's name.
    """
    if get_args(model.model_fields["type"].annotation) != (name,):
        raise TypeError(f'the type of {model.__name__} must be Literal["{name}"]')
