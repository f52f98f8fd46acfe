"""What every config model shares: frozen, and no key that it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

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
