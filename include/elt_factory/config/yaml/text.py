"""From a file to libyaml's tree of it; what would harm the parser is refused before it sees it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.yaml.syntax import inside, syntax_error
from elt_factory.core.content import TooLargeError, content_of

PLAIN, CORE = "plain", "tag:yaml.org,2002:"
TEXT_TAG, MAP_TAG, SEQUENCE_TAG = f"{CORE}str", f"{CORE}map", f"{CORE}seq"
MAX_DEPTH = 50
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
# what YAML cannot hold; libyaml would not say in which line
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MAX_CHARACTERS = 2_000_000
_SAFE_DEPTH = 1000
_COLLECTIONS: dict[type[yaml.Node], str] = {yaml.MappingNode: MAP_TAG, yaml.SequenceNode: SEQUENCE_TAG}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Gives every plain scalar one tag: what it means is decided elsewhere, by YAML 1.2 and not 1.1.

    The three methods take PyYAML's own place, which tries patterns on every scalar and costs more than all parsing.
    """

    def resolve(self, kind: type[yaml.Node], _: str | None, implicit: tuple[bool, bool] | bool) -> str:
        """Return the tag of a node that has none in the text."""
        if kind is yaml.ScalarNode:
            return PLAIN if isinstance(implicit, tuple) and implicit[0] else TEXT_TAG
        return _COLLECTIONS[kind]

    def descend_resolver(self, *_: object) -> None:
        """Nothing depends on where a node appears."""

    def ascend_resolver(self) -> None:
        """Nothing depends on where a node appears."""


def text_of(file: Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        content = content_of(file)
    except TooLargeError as error:
        message = f"the file has more than {_MAX_CHARACTERS} characters"
        raise _single(Position(file, 1, 1), "too-large", message) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise _single(Position(file, 1, 1), "unreadable", f"cannot read the file: {why}") from error
    try:
        # a byte order mark, as Windows editors write it, is not part of the text
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        raise _single(
            _end_of(file, before), "unreadable", "the file is not valid UTF-8", "save the file as UTF-8"
        ) from error


def compose(file: Path, text: str) -> yaml.Node | None:
    """Return the tree of a text; None where nothing is in it.

    Raises:
        ConfigError: it is not YAML, or would harm the parser.
    """
    _refuse_unsafe(file, text)
    try:
        return yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        raise syntax_error(file, text, error) from error
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise _single(Position(file, 1, 1), "yaml-syntax", f"invalid YAML: {message}") from error


def _single(position: Position, code: str, message: str, hint: str = "") -> ConfigError:
    """Return the error of one problem."""
    return ConfigError([Problem(position, code, message, hint)])


def _refuse_unsafe(file: Path, text: str) -> None:
    """Refuse text that would harm the parser, which calls itself in C for each level of nesting."""
    found = _UNPRINTABLE.search(text)
    if found:
        message = f"invalid YAML: the character U+{ord(found[0]):04X} is not allowed"
        raise _single(_end_of(file, text[: found.start()]), "yaml-syntax", message, "delete it")
    if len(text) > _MAX_CHARACTERS:
        raise _single(Position(file, 1, 1), "too-large", f"the file has more than {_MAX_CHARACTERS} characters")
    # each level takes one of these, or an indentation deeper than the last, of which that much text cannot hold many
    if sum(map(text.count, "[{-?")) > _SAFE_DEPTH:
        _refuse_deep(file, text)


def _refuse_deep(file: Path, text: str) -> None:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _single(inside(file, text, event.start_mark), "too-deep", TOO_DEEP)
    except yaml.MarkedYAMLError as error:
        raise syntax_error(file, text, error) from error


def _end_of(file: Path, before: str) -> Position:
    """Return the position right after a text."""
    lines = f"{before}.".splitlines()
    return Position(file, len(lines), len(lines[-1]))
