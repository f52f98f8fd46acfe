"""YAML text to plain data that knows where every key and value appears.

libyaml parses (nine times faster than pure Python); scalars are what the YAML 1.2 core schema says. Data come first,
and places only when someone asks: a file that is right is seldom asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from elt_factory.config.errors import ConfigError, Position
from elt_factory.config.yaml.text import compose, text_of
from elt_factory.config.yaml.tree import NotPlainError, PlacedTree, YamlPath, plain_data
from elt_factory.config.yaml.variables import BEGIN

__all__ = ["Places", "YamlPath", "YamlSource", "parse_yaml", "read_yaml", "read_yaml_again"]


class Places(NamedTuple):
    """Where each path appears: its key and its value. An entry of a list has no key."""

    keys: Mapping[YamlPath, Position]
    values: Mapping[YamlPath, Position]


@dataclass(frozen=True)
class YamlSource:
    """Plain data of a YAML file, and of those below it, with the place of each path.

    Args:
        file: The file; a place may lie in another one, whose data these are laid over.
        data: Plain data.
        find_places: Finds the places, when they are first asked for.
    """

    file: Path
    data: Any
    find_places: Callable[[], Places] = field(repr=False, compare=False)

    @cached_property
    def places(self) -> Places:
        """Where each path appears."""
        return self.find_places()

    @property
    def keys(self) -> Mapping[YamlPath, Position]:
        """Where the key of each path appears."""
        return self.places.keys

    @property
    def values(self) -> Mapping[YamlPath, Position]:
        """Where the value of each path appears."""
        return self.places.values

    def at(self, path: YamlPath) -> Position:
        """Return the position of a path's value, or the key of its nearest ancestor that appears in a file."""
        if path in self.values:
            return self.values[path]
        return self.at_key(path[:-1])

    def at_key(self, path: YamlPath) -> Position:
        """Return the position of a path's key, or of its nearest ancestor's that appears in a file."""
        for end in range(len(path), -1, -1):
            found = self.keys.get(path[:end]) or self.values.get(path[:end])
            if found:
                return found
        return Position(self.file, 1, 1)

    def written_at(self, path: YamlPath) -> Position | None:
        """Where a path is written, in whichever file; None where its value is a default of the language."""
        return self.keys.get(path) or self.values.get(path)

    def part(self, path: YamlPath) -> YamlSource:
        """Return what appears below a path, which must be there, as a source of its own."""
        data = self.data
        for key in path:
            data = data[key]
        return YamlSource(self.file, data, partial(_places_below, self, path))

    def without(self, key: str) -> YamlSource:
        """Return the source without one of its keys."""
        data = {name: value for name, value in self.data.items() if name != key}
        return YamlSource(self.file, data, partial(_places_without, self, key))

    def over(self, base: YamlSource) -> YamlSource:
        """Return this source laid over another: mappings are merged key by key, all else is replaced, by null too."""
        return YamlSource(self.file, _merged(base.data, self.data), partial(_merged_places, base, self))


def read_yaml(file: Path) -> YamlSource:
    """Parse one file.

    Raises:
        ConfigError: unreadable file, YAML syntax, duplicate key, key that is not text, unknown tag, endless alias,
            a variable that is not set.
    """
    return parse_yaml(file, text_of(file))


def read_yaml_again(file: Path) -> YamlSource:
    """`read_yaml` for a file that many configs share: parsed again only when its text has changed.

    Raises:
        ConfigError: as `read_yaml`.
    """
    text = text_of(file)
    # what variables hold may change while the text does not
    return parse_yaml(file, text) if BEGIN in text else _parse_once(file, text)


def parse_yaml(file: Path, text: str) -> YamlSource:
    """Parse the text of a file, which need not be there yet.

    Raises:
        ConfigError: as `read_yaml`.
    """
    node = compose(file, text)
    find_places = partial(_places_in, file, text)
    # an anchor may unfold to what only the careful way notices
    if node is not None and "&" not in text:
        try:
            return YamlSource(file, plain_data(node), find_places)
        except NotPlainError:
            pass
    tree = PlacedTree(file)
    data = tree.build(node, ()) if node is not None else None
    if tree.problems:
        raise ConfigError(tree.problems)
    return YamlSource(file, data, find_places)


_parse_once = lru_cache(maxsize=64)(parse_yaml)


def _places_in(file: Path, text: str) -> Places:
    """Return the places in a text that has been read before."""
    node, tree = compose(file, text), PlacedTree(file)
    if node is not None:
        tree.build(node, ())
    return Places(tree.keys, tree.values)


def _places_below(source: YamlSource, path: YamlPath) -> Places:
    keys, values = (
        {place[len(path) :]: position for place, position in found.items() if place[: len(path)] == path}
        for found in source.places
    )
    return Places(keys, values)


def _places_without(source: YamlSource, key: str) -> Places:
    keys, values = (
        {place: position for place, position in found.items() if place[:1] != (key,)} for found in source.places
    )
    return Places(keys, values)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _merged_places(base: YamlSource, over: YamlSource) -> Places:
    hidden = set(_replaced(base.data, over.data, ()))
    keys, values = (
        {place: position for place, position in found.items() if not _is_below(place, hidden)} | dict(more)
        for found, more in zip(base.places, over.places, strict=True)
    )
    return Places(keys, values)


def _replaced(base: Any, over: Any, path: YamlPath) -> list[YamlPath]:
    """Return the paths at which one value takes the place of another, with all that is below it."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return [path]
    return [below for key in over if key in base for below in _replaced(base[key], over[key], (*path, key))]


def _is_below(path: YamlPath, tops: set[YamlPath]) -> bool:
    return any(path[:end] in tops for end in range(len(path) + 1))
