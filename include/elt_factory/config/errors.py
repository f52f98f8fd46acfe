"""Errors in a config, each with its place and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from elt_factory.core.content import content_of

KEY = "[key]"  # ends a path that means the key and not its value; pydantic writes the same
# names of secrets; the path of a token in a response is not one
_NAMES = (
    r"(?:(?:api|access|secret|private|subscription|app|auth|license|account)[_-]?key|passw(?:or)?d|passphrase|passcode|"
    r"(?<!delta)(?:^|[\W_])(?:token|pwd|pass|sig|jwt|bearer|cookie|dsn)|authorization|secret|signature|credentials?|"
    r"session[_-]?id|(?:access|auth|refresh|id|bearer|session|private|api)token|connection[_-]?string{})[\"']?\s*"
)
# what is one only with some values
_IN_DOUBT = (
    r"|params[\"']?\s*:\s*\{(?:[^}]{0,200}[\s,\"'])?key|(?<![\w.-])key(?=[\"']?\s*:\s*[\"']?[\w-]{16})"
    r"|(?<![\w.-])auth(?![\"']?\s*:\s*(?:\{|(?:api_key|bearer|basic|none|oauth2|session|jwt)\s*$))"
)
_NO_TEMPLATE = r"(?![\"']?(?:(?:Bearer|Basic|Token) )?(?:\$\{\w+\}|\{\{[^{}]*\}\})[\"']?[\s,}\]]*$)"
_NAMED_SECRET = re.compile(rf"{_NAMES.format(_IN_DOUBT)}[:=]\s*{_NO_TEMPLATE}(?P<value>\S.*)", re.IGNORECASE)
_BELOW_A_SECRET = re.compile(rf"[\s\"'-]*[\w.-]*?{_NAMES.format('')}:", re.IGNORECASE)
_LOGIN = re.compile(r"://(?P<value>(?:[^/\s@]{0,200}@|[^\s@/:]{0,200}:[^\s@]{0,200}@).*)")
_FURTHEST = 200  # lines above, among which the key of a line is looked for
_WORD = re.compile(r"[^\s\"'{}\[\](),:;]{3,}")
_SIGNS = "*&!@%."  # that begin a word of YAML, or end one that was cut
_CUT = 6  # characters of a word that was cut
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

    def __post_init__(self) -> None:
        """Say nothing that the line is not shown with."""
        if self.code != "secret":
            object.__setattr__(self, "message", _without_words_of(self.position, self.message))
            object.__setattr__(self, "hint", _without_words_of(self.position, self.hint))

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
    return next(iter(_lines_up(position)), None)


def _lines_up(position: Position) -> list[str]:
    """Return the line of a place, and behind it those above, the nearest first; nothing where it is not there."""
    try:
        lines = content_of(position.file).decode().splitlines()[: position.line]
    except (OSError, UnicodeDecodeError):
        return []
    return lines[: -_FURTHEST - 1 : -1] if len(lines) == position.line else []


def _excerpt(position: Position) -> list[str]:
    lines = _lines_up(position)
    return [f"  | {_covered(lines)}", f"  | {' ' * (position.column - 1)}^"] if lines else []


def _covered(lines: Sequence[str]) -> str:
    """Return the first of these lines without secrets; all of it is one where it is below the name of one."""
    line, *above = lines
    text = line.lstrip(" ")
    # an item may begin where the key of its list does
    depth = len(line) - len(text) + text.startswith("- ")
    for other in above:
        key = other.lstrip(" -")
        if key and not key.startswith("#") and len(other) - len(key) < depth:
            if _BELOW_A_SECRET.match(other):
                return re.sub(r"\S", "*", line)
            depth = len(other) - len(key)
    return without_secrets(line)


def _without_words_of(position: Position, text: str) -> str:
    """Return what is said of a place without the words that its line is shown without."""
    lines = _lines_up(position)
    covered = _covered(lines) if lines else ""
    if not lines or covered == lines[0]:
        return text
    pairs = dropwhile(lambda pair: pair[0] == pair[1], zip(lines[0], covered, strict=True))
    hidden = "".join(sign for sign, _ in pairs)
    words = [word.strip(_SIGNS) for word in _WORD.findall(hidden)]
    return _WORD.sub(lambda found: "***" if _is_one_of(found[0].strip(_SIGNS), words) else found[0], text)


def _is_one_of(word: str, words: Sequence[str]) -> bool:
    return word in words or (len(word) >= _CUT and any(one.startswith(word) for one in words))


def without_secrets(line: str) -> str:
    """Return a line of a config, or a part of it, with stars for all behind a login or the name of a secret.

    As long as it was: the caret below stays at its place.
    """
    for pattern in (_LOGIN, _NAMED_SECRET):
        found = pattern.search(line)
        if found:
            line = line[: found.start("value")] + re.sub(r"\S", "*", found["value"])
    return line
