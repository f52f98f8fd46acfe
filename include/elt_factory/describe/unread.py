"""Where the values are that a variable decides which is not read here: what they hold cannot be judged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from elt_factory.config.yaml.source import YamlSource

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def variable_lines(source: YamlSource) -> Iterator[tuple[Path, int]]:
    """Yield the file and line of each value that has a variable without a default."""
    for path, position in source.values.items():
        value = _at(source.data, path)
        if isinstance(value, str) and _VARIABLE.search(value):
            yield position.file, position.line


def _at(data: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data
