"""Which of Snowflake's virtual warehouses works for a config."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import Text


class Compute(Model):
    """Virtual warehouse per step; by default, that of the connection. A single name applies to all steps."""

    load: Text | None = Field(
        None, description="Virtual warehouse for loads, and for queries during extract.", examples=["LOADING"]
    )
    transform: Text | None = Field(None, description="Virtual warehouse for dbt.", examples=["TRANSFORMING"])
    quality: Text | None = Field(None, description="Virtual warehouse for sensors and checks.", examples=["LOADING"])

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, given: Any) -> Any:
        return dict.fromkeys(cls.model_fields, given) if isinstance(given, str) else given


def or_name(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema that a name may appear where the steps do."""
    schema["anyOf"].insert(0, {"type": "string", "minLength": 1})
