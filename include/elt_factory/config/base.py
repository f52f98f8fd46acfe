"""What every config model shares: frozen, and no key that it does not know."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Model(BaseModel):
    """A part of a config. Unknown keys are errors; nothing changes it after it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, str_strip_whitespace=False)

    @classmethod
    def keys(cls) -> Mapping[str, FieldInfo]:
        """Return the fields by the names they have in a file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}
