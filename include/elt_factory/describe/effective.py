"""The config as it is in effect: every value, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from elt_factory.config.errors import Position
from elt_factory.config.loading import DEFAULTS_FILE
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.yaml.source import YamlPath, YamlSource
from elt_factory.describe.words import in_yaml

Origin = Literal["file", "defaults", "language"]
_NOTHING = object()


@dataclass(frozen=True)
class Setting:
    """One value of a config, as it is written, and where. Without a position it is the language's own default."""

    path: YamlPath
    value: Any
    position: Position | None

    @property
    def origin(self) -> Origin:
        """Who says so: the config's file, the defaults of its folder, or no one."""
        if self.position is None:
            return "language"
        return "defaults" if self.position.file.name == DEFAULTS_FILE else "file"

    @property
    def where(self) -> str:
        """`fleet.yaml:3`, or `default`."""
        return f"{_near(self.position.file)}:{self.position.line}" if self.position else "default"

    def entry(self) -> dict[str, Any]:
        """Return the setting for machines."""
        position = self.position
        return {
            "path": ".".join(map(str, self.path)),
            "value": self.value,
            "origin": self.origin,
            "file": str(_near(position.file)) if position else None,
            "line": position.line if position else None,
            "column": position.column if position else None,
        }


def settings(item: LoadedConfig) -> list[Setting]:
    """Every value that is in effect, in the order of the language; what no one says and means nothing is left out."""
    return list(_settings(_effective(item), item.source, ()))


def settings_text(item: LoadedConfig) -> str:
    """Return the config in effect as YAML that could appear in its place, with the origin of each value next to it."""
    lines = list(_lines(_effective(item), item.source, (), ""))
    width = min(max(len(text) for text, _ in lines), 72)
    return "\n".join(f"{text:<{width}}  # {where}" if where else text for text, where in lines) + "\n"


def _effective(item: LoadedConfig) -> Any:
    dumped = item.config.model_dump(mode="json", by_alias=True)
    return _as_written(dumped, item.source.data)


def _as_written(value: Any, written: Any) -> Any:
    """Return the value with plain text where a file has it.

    `500/minute` and not its parts. Values of no one are taken out.
    """
    if isinstance(value, dict) and (isinstance(written, dict) or written is _NOTHING):
        below = written if isinstance(written, dict) else {}
        made = {name: _as_written(part, below.get(name, _NOTHING)) for name, part in value.items()}
        return {name: part for name, part in made.items() if part is not None or below.get(name, _NOTHING) is None}
    if isinstance(value, list) and (isinstance(written, list) or written is _NOTHING):
        parts = written if isinstance(written, list) else [_NOTHING] * len(value)
        return [_as_written(part, source) for part, source in zip(value, parts, strict=True)]
    return value if written is _NOTHING else written


def _settings(value: Any, source: YamlSource, path: YamlPath) -> Iterator[Setting]:
    if _is_leaf(value):
        yield Setting(path, value, _position(source, path))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _settings(part, source, (*path, name))
    else:
        for index, part in enumerate(value):
            yield from _settings(part, source, (*path, index))


def _lines(value: Any, source: YamlSource, path: YamlPath, indent: str) -> Iterator[tuple[str, str]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in entries:
        here = (*path, name)
        mark = f"{in_yaml(name)}:" if isinstance(value, dict) else "-"
        if _is_leaf(part):
            yield f"{indent}{mark} {in_yaml(part)}", Setting(here, part, _position(source, here)).where
        elif isinstance(value, dict):
            yield f"{indent}{mark}", ""
            yield from _lines(part, source, here, f"{indent}  ")
        else:
            # the first line of what appears in a list begins with its dash
            first, *rest = _lines(part, source, here, f"{indent}  ")
            yield f"{indent}- {first[0].lstrip()}", first[1]
            yield from rest


def _is_leaf(value: Any) -> bool:
    """Whether a value appears on one line: a scalar, an empty collection, a list of scalars."""
    if isinstance(value, list):
        return not any(isinstance(part, (dict, list)) and part for part in value)
    return not (isinstance(value, dict) and value)


def _position(source: YamlSource, path: YamlPath) -> Position | None:
    return source.written_at(path)


def _near(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else Path(os.path.normpath(file))
