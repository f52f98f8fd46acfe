"""What a file of another tool has to be like where it is read: another value is one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elt_factory.importing.project import NotAProjectError

# what any name has that is not written in a shape
OTHERS = "*"
# a text, or a list of texts
TEXTS = ("text", ["text"])
_NAMES: dict[type[Any], str] = {dict: "a mapping", list: "a list", str: "text"}


def check(value: Any, shape: Any, file: Path, at: str = "") -> None:
    """End where a value does not have its shape; what is empty has every one.

    Args:
        value: What is in the file.
        shape: A mapping with the shapes of its values, a list with that of its items, the word text, or several shapes
            of which one fits; None takes everything.
        file: The file.
        at: Where the value is in it.

    Raises:
        NotAProjectError: it does not have it.
    """
    if value is None or shape is None:
        return
    shapes = shape if isinstance(shape, tuple) else (shape,)
    kind = next((one for one in shapes if isinstance(value, _kind(one))), None)
    if kind is None:
        wanted = " or ".join(_NAMES[_kind(one)] for one in shapes)
        place = at.removeprefix(".") or "the file"
        raise NotAProjectError(f"{file}: {place}: expected {wanted}, got {_NAMES.get(type(value), value)}")
    if isinstance(kind, Mapping):
        for key, below in value.items():
            check(below, kind.get(key, kind.get(OTHERS)), file, f"{at}.{key}")
    elif isinstance(kind, list):
        for number, below in enumerate(value):
            check(_there(below, file, f"{at}[{number}]"), kind[0], file, f"{at}[{number}]")


def _kind(shape: Any) -> type[Any]:
    return str if isinstance(shape, str) else dict if isinstance(shape, Mapping) else list


def _there(value: Any, file: Path, at: str) -> Any:
    if value is None:
        raise NotAProjectError(f"{file}: {at.removeprefix('.')}: it is empty")
    return value


def needed(items: Any, keys: tuple[str, ...], file: Path, at: str) -> None:
    """End where an item of a list has none of some keys.

    Raises:
        NotAProjectError: it has none.
    """
    for place, one in enumerate(items or []):
        if not any(one.get(key) for key in keys):
            raise NotAProjectError(f"{file}: {at}[{place}]: {' or '.join(keys)} is missing")
