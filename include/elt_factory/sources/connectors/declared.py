"""What a JSON schema of a stream says of its columns that the data do not say better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elt_factory.config.models.values import ColumnType


def text_columns(schema: Mapping[str, Any]) -> dict[str, ColumnType]:
    """Return the columns that are texts and nothing else: a code of digits, or a date within one, is no number or time.

    What a connector says of other columns is often wrong, and the contract finds it in all of the data.
    """
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): ColumnType("text") for name, about in properties.items() if _is_text(about)}


def _is_text(about: object) -> bool:
    if not isinstance(about, Mapping) or about.get("format") or about.get("airbyte_type"):
        return False
    kinds = about.get("type")
    named = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else set()
    return named - {"null"} == {"string"}
