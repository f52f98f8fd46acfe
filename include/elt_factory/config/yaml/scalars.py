"""What a plain scalar means, by the YAML 1.2 core schema: `no`, `on`, `1_000`, `012`, `12:30` and dates stay text."""

from __future__ import annotations

import math
import re
from typing import Any

_WORDS = {"": None, "~": None} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.capitalize(), word.upper())
}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BEGINS_NUMBER = frozenset("+-.0123456789")
_MAX_DIGITS = 38


class BeyondNumbers:
    """Stands for a number that no warehouse holds."""


def resolve(text: str) -> Any:
    """Return the value of a plain scalar; `BeyondNumbers` for a number that is too large."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _BEGINS_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text) if len(text.lstrip("+-")) <= _MAX_DIGITS else BeyondNumbers
    if _FLOAT.fullmatch(text):
        return float(text) if math.isfinite(float(text)) else BeyondNumbers
    return text
