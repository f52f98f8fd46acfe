"""What libyaml says about text that is not YAML, in words that name the place to look, with a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from elt_factory.config.errors import ConfigError, Position, Problem, without_secrets
from elt_factory.config.yaml.slips import find_slip

_QUOTE = 'put text that contains ": " in quotes, and check the indentation'
_ALIGN = "align it with the lines above, and look for an unclosed quote"

# part of libyaml's words: what it means, and the hint
_MEANINGS: Sequence[tuple[str, str, str]] = (
    ("mapping values are not allowed", "unexpected colon: no key is possible here", _QUOTE),
    ("could not find expected ':'", "missing colon after the key", "write it as key: value"),
    ("did not find expected key", "this does not match the structure above it", _ALIGN),
    ("did not find expected '-' indicator", "missing dash: the list continues here", "align it with the list's dashes"),
    ("did not find expected ',' or ']'", "unclosed list", 'end it with "]", and separate values with commas'),
    ("did not find expected ',' or '}'", "unclosed mapping", 'end it with "}", and separate keys with commas'),
    ("did not find expected node content", "missing value", "write a value, or close the brackets above"),
    ("found unexpected end of stream", "unclosed quote", "close the text with the quote that opens it"),
    (
        "alphabetic or numeric character",
        "alias or anchor without a name",
        "put text that starts with * or & in quotes",
    ),
    ("found undefined alias", "undefined anchor", "write &name at the block it refers to"),
    ("second occurrence", "duplicate anchor", "choose another name for the anchor"),
    ("but found another document", "second document in one file", "write one config per file"),
    ("block sequence entries are not allowed", "a list cannot start here", "start it on its own line"),
    ("found unknown escape character", "unknown escape sequence in double quotes", "use single quotes, or write \\\\"),
    ("invalid Unicode character escape", "invalid Unicode escape", "use single quotes, or write \\\\"),
    ("tab character", "tab in the indentation", "indent with spaces, not tabs"),
)
# what follows from a line that can be read, and is not what its author meant
_MAY_BE_A_SLIP = (
    "mapping values are not allowed",
    "could not find expected ':'",
    "did not find expected key",
    "document start",
)
# what is not closed is noticed far below: the place to look is where it begins
_LOOK_AT_BEGINNING = ("unclosed", "missing colon", "without a name")


def syntax_error(file: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigError:
    """Return the error for YAML that cannot be parsed."""
    said = error.problem or error.context or "syntax error"
    message, hint = next(((says, fix) for part, says, fix in _MEANINGS if part in said), (said, ""))
    mark = error.problem_mark or error.context_mark
    if error.context_mark and any(part in message for part in _LOOK_AT_BEGINNING):
        mark = error.context_mark
    position = inside(file, text, mark)
    slip = find_slip(text, *_gave_up_at(file, text, error)) if any(part in said for part in _MAY_BE_A_SLIP) else None
    if slip:
        place = Position(file, slip.line, slip.column)
        return ConfigError([Problem(place, "yaml-syntax", f"invalid YAML: {slip.message}", without_secrets(slip.hint))])
    if "unclosed" in message and "${" in (text.splitlines() or [""])[position.line - 1]:
        hint = 'put a variable inside brackets in quotes: "${NAME}"'
    if "cannot start any token" in said:
        message, hint = _bad_start(text, position)
    return ConfigError([Problem(position, "yaml-syntax", f"invalid YAML: {message}", hint)])


def _gave_up_at(file: Path, text: str, error: yaml.MarkedYAMLError) -> tuple[int, int]:
    """Line and column where reading ended; of a key without a colon, where the key begins."""
    said = error.problem or ""
    mark = error.context_mark if "could not find expected" in said and error.context_mark else error.problem_mark
    position = inside(file, text, mark)
    return position.line, position.column


def inside(file: Path, text: str, mark: Any) -> Position:
    """Return the position of PyYAML's mark, moved back into the text where it lies past its end.

    The beginning for None.
    """
    lines = text.splitlines() or [""]
    if mark is None:
        return Position(file, 1, 1)
    if mark.line < len(lines):
        return Position(file, mark.line + 1, min(mark.column, len(lines[mark.line])) + 1)
    return Position(file, len(lines), len(lines[-1]) + 1)


def _bad_start(text: str, position: Position) -> tuple[str, str]:
    rest = text.splitlines()[position.line - 1][position.column - 1 :]
    if rest.lstrip(" ").startswith("\t"):
        return "tab in the indentation", "indent with spaces, not tabs"
    value = re.split(r"\s#|[,\]}]", rest)[0].strip()
    return f'a value cannot start with "{rest[:1]}"', f"put it in quotes: '{value[:40]}'"
