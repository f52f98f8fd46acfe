"""What libyaml says about text that is not YAML, in words that name the place to look, with a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.yaml_slips import find_slip

_QUOTE = 'put text that holds ": " in quotes, and check the indentation'
_ALIGN = "align it with its neighbours above, and look for an unclosed quote"

# part of libyaml's words: what it means, and the hint
_MEANINGS: Sequence[tuple[str, str, str]] = (
    ("mapping values are not allowed", "a colon makes a key here, where no key can stand", _QUOTE),
    ("could not find expected ':'", "a key without a colon", "write it as key: value"),
    ("did not find expected key", "this does not fit what stands above it", _ALIGN),
    ("did not find expected '-' indicator", "a list goes on here without a dash", "align it with the list's dashes"),
    ("did not find expected ',' or ']'", "this list is not closed", 'end it with "]", its values parted by commas'),
    ("did not find expected ',' or '}'", "this mapping is not closed", 'end it with "}", its keys parted by commas'),
    ("did not find expected node content", "a value is missing here", "write a value, or close the brackets above"),
    ("found unexpected end of stream", "this quote is not closed", "end the text with the quote it begins with"),
    (
        "alphabetic or numeric character",
        "an alias or anchor has no name here",
        "put text that begins with * or & in quotes",
    ),
    ("found undefined alias", "no anchor of this name stands above", "write &name at the block that is meant"),
    ("second occurrence", "this anchor's name is taken", "give the anchor a name of its own"),
    ("but found another document", "a second document begins here", "write one config a file"),
    ("block sequence entries are not allowed", "a list cannot begin here", "begin it on a line of its own"),
    ("found unknown escape character", "this escape is not known in double quotes", "use single quotes, or write \\\\"),
    ("invalid Unicode character escape", "this escape is no character", "use single quotes, or write \\\\"),
    ("tab character", "a tab stands in the indentation", "indent with spaces, not tabs"),
)
# what follows from a line that can be read, and is not what its author meant
_MAY_BE_A_SLIP = (
    "mapping values are not allowed",
    "could not find expected ':'",
    "did not find expected key",
    "document start",
)
# what is not closed is noticed far below: the place to look is where it begins
_LOOK_AT_BEGINNING = ("is not closed", "without a colon", "has no name")


def syntax_error(file: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigError:
    """The error for YAML that cannot be parsed."""
    said = error.problem or error.context or "syntax error"
    message, hint = next(((says, fix) for part, says, fix in _MEANINGS if part in said), (said, ""))
    mark = error.problem_mark or error.context_mark
    if error.context_mark and any(part in message for part in _LOOK_AT_BEGINNING):
        mark = error.context_mark
    position = inside(file, text, mark)
    slip = find_slip(text, *_gave_up_at(file, text, error)) if any(part in said for part in _MAY_BE_A_SLIP) else None
    if slip:
        place = Position(file, slip.line, slip.column)
        return ConfigError([Problem(place, "yaml-syntax", f"this is not YAML: {slip.message}", slip.hint)])
    if "is not closed" in message and "${" in (text.splitlines() or [""])[position.line - 1]:
        hint = 'put a variable within brackets in quotes: "${NAME}"'
    if "cannot start any token" in said:
        message, hint = _bad_start(text, position)
    return ConfigError([Problem(position, "yaml-syntax", f"this is not YAML: {message}", hint)])


def _gave_up_at(file: Path, text: str, error: yaml.MarkedYAMLError) -> tuple[int, int]:
    """Line and column where reading ended; of a key without a colon, where the key begins."""
    said = error.problem or ""
    mark = error.context_mark if "could not find expected" in said and error.context_mark else error.problem_mark
    position = inside(file, text, mark)
    return position.line, position.column


def inside(file: Path, text: str, mark: Any) -> Position:
    """The position of PyYAML's mark, moved back into the text where it lies past its end; the beginning for None."""
    lines = text.splitlines() or [""]
    if mark is None:
        return Position(file, 1, 1)
    if mark.line < len(lines):
        return Position(file, mark.line + 1, min(mark.column, len(lines[mark.line])) + 1)
    return Position(file, len(lines), len(lines[-1]) + 1)


def _bad_start(text: str, position: Position) -> tuple[str, str]:
    rest = text.splitlines()[position.line - 1][position.column - 1 :]
    if rest.lstrip(" ").startswith("\t"):
        return "a tab stands in the indentation", "indent with spaces, not tabs"
    value = re.split(r"\s#|[,\]}]", rest)[0].strip()
    return f'a value cannot begin with "{rest[:1]}"', f"put it in quotes: '{value[:40]}'"
