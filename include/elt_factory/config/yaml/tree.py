"""From YAML's tree to plain data: a quick way for what is right, and one that knows every place and every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.errors import ConfigError, MistakeError, Position, Problem, shown
from elt_factory.config.yaml.scalars import BeyondNumbers, resolve
from elt_factory.config.yaml.text import CORE, MAP_TAG, MAX_DEPTH, PLAIN, SEQUENCE_TAG, TEXT_TAG, TOO_DEEP
from elt_factory.config.yaml.variables import BEGIN, in_key, is_variable, substitute

YamlPath = tuple[str | int, ...]
Entries = dict[str, tuple[yaml.Node, yaml.Node]]

_RESOLVED_TAGS = (PLAIN, *(f"{CORE}{name}" for name in ("int", "float", "bool", "null", "seq", "map")))
_TAGS = (TEXT_TAG, *_RESOLVED_TAGS)
_PLAIN_TAGS = (PLAIN, TEXT_TAG)
_MERGE = "<<"
_MAX_VALUES = 200_000


class NotPlainError(ValueError):
    """A tree has something in it that the quick way does not know, right or wrong."""


def plain_data(node: yaml.Node, depth: int = 0) -> Any:
    """Return the data of a tree without aliases, merges, tags and mistakes.

    Raises:
        NotPlainError: it has one of them.
    """
    kind, tag = type(node), node.tag
    if kind is yaml.ScalarNode:
        return _plain_scalar(node.value, tag)
    if depth > MAX_DEPTH:
        raise NotPlainError
    if kind is yaml.SequenceNode and tag == SEQUENCE_TAG:
        return [plain_data(item, depth + 1) for item in node.value]
    if kind is not yaml.MappingNode or tag != MAP_TAG:
        raise NotPlainError
    data: dict[str, Any] = {}
    for key_node, value in node.value:
        key = key_node.value
        if type(key_node) is not yaml.ScalarNode or key_node.tag not in _PLAIN_TAGS:
            raise NotPlainError
        if key in data or key == _MERGE or BEGIN in key:
            raise NotPlainError
        data[key] = plain_data(value, depth + 1)
    return data


def _plain_scalar(text: str, tag: str) -> Any:
    if BEGIN in text or "\0" in text or tag not in _PLAIN_TAGS:
        raise NotPlainError
    value = resolve(text) if tag == PLAIN else text
    if value is BeyondNumbers:
        raise NotPlainError
    return value


class PlacedTree:
    """Data of a tree with the place of everything in it, and every mistake that the YAML has by itself."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys: dict[YamlPath, Position] = {}
        self.values: dict[YamlPath, Position] = {}
        self.problems: list[Problem] = []
        self.open: set[int] = set()
        self.brought: dict[int, Entries] = {}

    def build(self, node: yaml.Node, path: YamlPath) -> Any:
        """Return the data of a node at a path."""
        self.values[path] = self._position(node)
        if len(self.values) > _MAX_VALUES:
            raise ConfigError([*self.problems, self._too_large(node)])
        if id(node) in self.open:
            message = "alias refers to the block that contains it"
            position = self.keys.get(path, self._position(node))
            self.problems.append(Problem(position, "yaml-alias", message, "use another anchor"))
            return None
        if len(path) > MAX_DEPTH:
            raise ConfigError([*self.problems, Problem(self._position(node), "too-deep", TOO_DEEP)])
        self.open.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self.open.discard(id(node))

    def _value(self, node: yaml.Node, path: YamlPath) -> Any:
        if node.tag not in _TAGS:
            self._unknown_tag(node)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        data: dict[str, Any] = {}
        for key, (key_node, value) in self._entries(node).items():
            self.keys[(*path, key)] = self._position(key_node)
            data[key] = self.build(value, (*path, key))
        return data

    def _entries(self, node: yaml.Node) -> Entries:
        """Return the keys of a mapping with their nodes: its own first, then those that << brings and it has not."""
        own: Entries = {}
        merged: Entries = {}
        for key, value in node.value:
            if key.tag == PLAIN and key.value == _MERGE:
                merged.update(self._merged(key, value, (id(node),)))
            elif self._is_key(key, own):
                own[key.value] = key, value
        return {**own, **{name: entry for name, entry in merged.items() if name not in own}}

    def _merged(self, key: yaml.Node, node: yaml.Node, within: tuple[int, ...]) -> Entries:
        """Return what << brings from a node; evaluated a single time, however often it is named."""
        if id(node) in within or len(within) > MAX_DEPTH:
            self._problem(key, "yaml-alias", "<< refers to the block that contains it", "use another anchor")
            return {}
        if id(node) not in self.brought:
            self.brought[id(node)] = self._bring(key, node, (*within, id(node)))
        return self.brought[id(node)]

    def _bring(self, merge: yaml.Node, node: yaml.Node, within: tuple[int, ...]) -> Entries:
        if isinstance(node, yaml.SequenceNode):
            # of several mappings the first wins
            brought = [self._merged(merge, item, within) for item in reversed(node.value)]
            return {key: entry for entries in brought for key, entry in entries.items()}
        if not isinstance(node, yaml.MappingNode):
            self._problem(
                node, "yaml-merge", "<< takes a mapping or a list of mappings", "refer to an anchor: <<: *name"
            )
            return {}
        own: Entries = {}
        below: Entries = {}
        for key, value in node.value:
            if key.value == _MERGE:
                below.update(self._merged(key, value, within))
            elif isinstance(key, yaml.ScalarNode):
                own[key.value] = key, value
        return {**below, **own}

    def _is_key(self, key: yaml.Node, own: Entries) -> bool:
        if not isinstance(key, yaml.ScalarNode):
            braces = isinstance(key, yaml.MappingNode)
            hint = 'put the template in quotes: "{{ ... }}"' if braces else "write plain text before the colon"
            self._problem(key, "yaml-key", "a key must be plain text", hint)
            return False
        if key.tag not in _TAGS:
            self._unknown_tag(key)
            return False
        if key.value in own:
            first = own[key.value][0].start_mark.line + 1
            message = f"key {shown(key.value)} is repeated: first defined on line {first}"
            self._problem(key, "duplicate-key", message, "keep one of them")
            return False
        if BEGIN in key.value:
            mistake = in_key(key.value)
            self._problem(key, mistake.code, mistake.message, mistake.hint)
            return False
        return True

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if BEGIN in text:
            return self._with_variables(node)
        if "\0" in text:
            self._problem(node, "bad-value", "character U+0000 is not allowed in text", "delete it")
        return self._plain(node, text) if node.tag in _RESOLVED_TAGS else text

    def _with_variables(self, node: yaml.ScalarNode) -> Any:
        try:
            text = substitute(node.value)
        except MistakeError as mistake:
            self._problem(node, mistake.code, mistake.message, mistake.hint)
            return None
        if "\0" in text:
            self._problem(node, "bad-value", "character U+0000 is not allowed in text", "delete it")
        return self._plain(node, text) if node.tag == PLAIN and is_variable(node.value) else text

    def _plain(self, node: yaml.ScalarNode, text: str) -> Any:
        value = resolve(text)
        if value is BeyondNumbers:
            self._problem(node, "bad-value", "number is too large", "write a smaller number, or put it in quotes")
            return None
        return value

    def _unknown_tag(self, node: yaml.Node) -> None:
        tag = node.tag.replace(CORE, "!!")
        self._problem(node, "yaml-tag", f"unknown tag {shown(tag)}", "write the value without a tag")

    def _too_large(self, node: yaml.Node) -> Problem:
        message = f"the aliases in this file expand to more than {_MAX_VALUES} values"
        return Problem(self._position(node), "too-large", message)

    def _position(self, node: yaml.Node) -> Position:
        return Position(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self._position(node), code, message, hint))
