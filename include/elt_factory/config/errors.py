"""Errors in a config, each with its place and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_factory.core.content import content_of

KEY = "[key]"  # ends a path that means the key and not its value; pydantic writes the same
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")
# what a line gives a name of a secret to, in YAML and in an address; a template is not one
_NAMED_SECRET = re.compile(
    r"(?:(?:api|access|secret|private|subscription|app|auth|license|account)[_-]?key|passw(?:or)?d|passphrase|passcode|"
    r"(?:^|[\W_])(?:token|pwd|sig|jwt|bearer|cookie|dsn)|authorization|secret|signature|credentials?|session[_-]?id|"
    r"(?:access|auth|refresh|id|bearer|session|private|api)token|connection[_-]?string)"
    r"[\"']?\s*[:=]\s*(?!\s|[\"']?[{$])(?P<value>\"[^\"]*|'[^']*|[^\s,\]}&#\"'][^,\]}&#\"']*)",
    re.IGNORECASE,
)
_SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True)
class Position:
    """Where something appears in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a config, where it is, and how to fix it."""

    position: Position
    code: str
    message: str
    hint: str = ""

    def render(self) -> str:
        """Text of several lines: place, message, the offending line with a caret, the hint."""
        # errors are shown in the UI and in logs, where a secret that someone wrote into a config must not go
        excerpt = [] if self.code == "secret" else _excerpt(self.position)
        lines = [f"{self.position}: {self.message} [{self.code}]", *excerpt]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ConfigError(ValueError):
    """A config cannot be used. Carries every problem found in it, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(problem.render() for problem in self.problems))


class MistakeError(ValueError):
    """What a validator finds wrong with a value, before anyone knows where in a file it appears.

    Args:
        message: One sentence without a full stop.
        hint: How to fix it.
        at: Where below the validated value, as keys and indexes, with KEY at the end where the key itself is wrong;
            nothing for the value itself.
        code: What kind of problem it is.
    """

    def __init__(
        self, message: str, hint: str = "", *, at: tuple[str | int, ...] = (), code: str = "bad-value"
    ) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message, self.hint, self.at, self.code = message, hint, at, code


class MistakesError(ValueError):
    """Several mistakes that one validator finds at the same time."""

    def __init__(self, found: Sequence[MistakeError]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = tuple(found)


def raise_found(found: Iterable[MistakeError]) -> None:
    """Raise the mistakes that were found, if any.

    Raises:
        MistakesError: there is at least one.
    """
    mistakes = list(found)
    if mistakes:
        raise MistakesError(mistakes)


def shown(value: object) -> str:
    """Return a value in a message: text in quotes and shortened, collections by their kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    text = without_secrets(" ".join(str(value).split()))
    return f'"{text[:_SHOWN]}..."' if len(text) > _SHOWN else f'"{text}"'


def invalid(what: str, value: object) -> str:
    """Write the message for a value that cannot be read: `invalid duration "soon"`, `invalid duration: got a list`."""
    if isinstance(value, (str, int, float)):
        return f"invalid {what} {shown(value)}"
    return f"invalid {what}: got {shown(value)}"


def near_name(name: str, known: Iterable[str]) -> str:
    """'did you mean "x"?' for the nearest known name, or all known names when none is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"use one of: {', '.join(names)}" if names else ""


def _place(problem: Problem) -> tuple[str, int, int]:
    return str(problem.position.file), problem.position.line, problem.position.column


def written_from(position: Position) -> str:
    """Return what a line of a file has from a place on; nothing where the file is not there."""
    return (_line(position) or "")[position.column - 1 :]


def _line(position: Position) -> str | None:
    try:
        return content_of(position.file).decode().splitlines()[position.line - 1]
    except (OSError, IndexError, UnicodeDecodeError):
        return None


def _excerpt(position: Position) -> list[str]:
    line = _line(position)
    if line is None:
        return []
    return [f"  | {without_secrets(line)}", f"  | {' ' * (position.column - 1)}^"]


def without_secrets(line: str) -> str:
    """Return a line of a config, or a part of it, with stars for what a login or a name says to be a secret."""
    line = _PASSWORD.sub(lambda match: "*" * len(match[0]), line)
    return _NAMED_SECRET.sub(_starred, line)


def _starred(match: re.Match[str]) -> str:
    """Return what was matched with its value in stars, as long as it was: the caret below stays at its place."""
    named = match[0][: match.start("value") - match.start()]
    return named + "*" * len(match["value"])
