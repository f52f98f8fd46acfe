"""Changes to the text of a YAML file that leave every comment and all layout around them as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from elt_factory.config.yaml.text import compose
from elt_factory.config.yaml.tree import YamlPath

_MERGE = "<<"
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)+")


@dataclass(frozen=True)
class Edit:
    """New text in the place of the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Document:
    """A YAML text, the places in it, and the edits that change it there."""

    file: Path
    text: str
    _aliased: set[int] = field(default_factory=set, init=False, repr=False, compare=False)

    def __contains__(self, path: YamlPath) -> bool:
        return path in self.nodes

    @cached_property
    def nodes(self) -> dict[YamlPath, tuple[yaml.Node | None, yaml.Node]]:
        """Every path that is written in the text, with the nodes of its key and its value."""
        root = compose(self.file, self.text)
        return dict(self._found(root, ())) if root is not None else {}

    def paths(self, *pattern: str) -> list[YamlPath]:
        """Return the paths that a pattern means, `*` standing for any one part, in the order of the text."""
        return [path for path in self.nodes if _matches(path, pattern)]

    def value(self, path: YamlPath) -> str:
        """Return the text of a scalar, without quotes."""
        return str(self.nodes[path][1].value)

    def rename(self, path: YamlPath, name: str) -> Edit:
        """Give the key of a path another name."""
        key = self.nodes[path][0]
        if key is None:
            raise KeyError(path)
        return Edit(key.start_mark.index, key.end_mark.index, name)

    def replace(self, path: YamlPath, text: str) -> Edit:
        """Write something else in the place of a scalar, or of a list or mapping in brackets."""
        value = self.nodes[path][1]
        start = value.start_mark.index
        # an anchor and a tag stay: others may name it
        kept = _PROPERTIES.match(self.text, start)
        return Edit(kept.end() if kept else start, value.end_mark.index, text)

    def insert_first(self, line: str) -> Edit:
        """Write a line before the first key, below the comments at the top."""
        start = min((node.start_mark.index for _, node in self.nodes.values()), default=0)
        return Edit(start, start, f"{line}{self._line_end}")

    def edited(self, edits: Iterable[Edit]) -> Document:
        """Return the document with edits made; those of what several aliases share are made once.

        Raises:
            ValueError: two edits overlap.
        """
        text, before = self.text, len(self.text) + 1
        for edit in sorted(set(edits), key=lambda edit: (edit.start, edit.end), reverse=True):
            if edit.end > before:
                raise ValueError(f"two edits change the same text: {edit}")
            text, before = text[: edit.start] + edit.text + text[edit.end :], edit.start
        return Document(self.file, text)

    @property
    def _line_end(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _found(self, node: yaml.Node, path: YamlPath) -> Iterator[tuple[YamlPath, tuple[yaml.Node | None, yaml.Node]]]:
        if not path:
            yield path, (None, node)
        if id(node) in self._aliased:
            # an alias: what it stands for is edited where it is written
            return
        self._aliased.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value != _MERGE:
                    yield (*path, key.value), (key, value)
                    yield from self._found(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield (*path, index), (None, value)
                yield from self._found(value, (*path, index))


def _matches(path: YamlPath, pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True))
