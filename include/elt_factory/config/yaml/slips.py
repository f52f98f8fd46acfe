"""The slip behind text that is not YAML: libyaml names the line where it gave up, which is often the one after."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_KEY = re.compile(r"^(?P<before>\s*(?:- )?)(?P<key>[A-Za-z_][\w.-]*)(?P<rest>.*)$")
_HAS_KEY = re.compile(r"^\s*(?:- +)*(?:[^\s#\"'\[{].*?|\"[^\"]*\"|'[^']*'):(?:\s|$)")
_OPENS = re.compile(r"(?:[:\[,{]\s+|[\[,{]|^\s*(?:- +)+|^\s*)(?P<quote>[\"'])")
_TAKES_VALUE = re.compile(r"^\s*(?:- +)*(?P<key>[A-Za-z_][\w.-]*):\s+(?P<value>[^\s#|>&\"'\[{].*)$")
_STEP = 2  # the indentation that most files have
_FURTHEST = 200  # lines above, in which an open quote is looked for
_ASCII = "\x7f"
_FULL_WIDTH = "\uff1a"


class Slip(NamedTuple):
    """What is wrong in a text, where, and how to fix it; line and column count from 1."""

    line: int
    column: int
    message: str
    hint: str


def find_slip(text: str, line: int, column: int) -> Slip | None:
    """Return the slip that explains why a text could not be read any further than a place; None where none is known."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return None
    near = [line, *_above(lines, line)]
    return next((slip for look in _LOOKS for slip in look(lines, near, column)), None)


def odd_sign(text: str) -> str:
    """Return the first sign of a text that looks like a space, or like nothing, and is none; "" where there is none."""
    return next((sign for sign in text if _is_odd(sign)), "")


def called(sign: str) -> str:
    """Return a sign that no one sees, in words."""
    what = "a no-break space" if sign == "\xa0" else "an invisible character"
    return f"{what} (U+{ord(sign):04X})"


def _is_odd(sign: str) -> bool:
    return sign > _ASCII and unicodedata.category(sign) in ("Zs", "Cf", "Zl", "Zp")


def _above(lines: Sequence[str], line: int) -> list[int]:
    """Return the number of the nearest line above that says anything; nothing where there is none."""
    found = (number for number in range(line - 1, 0, -1) if lines[number - 1].strip() not in ("", "---"))
    return [number for number in found if not lines[number - 1].lstrip().startswith("#")][:1]


def _odd_spaces(lines: Sequence[str], near: Sequence[int], _: int) -> Iterator[Slip]:
    for number in near:
        line = lines[number - 1]
        sign = odd_sign(re.sub(r"\"[^\"]*\"|'[^']*'|(?<=\s)#.*", "", line))
        if sign:
            message = f"{called(sign)} in place of a space"
            yield Slip(number, line.index(sign) + 1, message, "replace it with a plain space")


def _glued(lines: Sequence[str], near: Sequence[int], _: int) -> Iterator[Slip]:
    """`name:flights`, `name = flights` and the like, in the line that could not be read or right above it."""
    for number in near:
        found = _KEY.match(lines[number - 1])
        if found is None:
            continue
        rest, column = found["rest"], found.end("key") + 1
        if re.match(r":[^\s:/]", rest):
            value = rest[1:].split(" #")[0].strip()
            yield Slip(number, column, "missing space after the colon", f"write {found['key']}: {value[:40]}")
        elif _FULL_WIDTH in rest.split(" #")[0] and ": " not in rest:
            yield Slip(
                number, column, "full-width colon instead of a plain one", f"write {found['key']}: with a plain colon"
            )
        elif re.match(r"\s*=\s*\S", rest):
            value = rest.split("=", 1)[1].strip()
            yield Slip(number, column, "a key ends with a colon, not with =", f"write {found['key']}: {value[:40]}")


def _unclosed_quote(lines: Sequence[str], near: Sequence[int], column: int) -> Iterator[Slip]:
    """Yield a quote that ended only where the next one began, on the line that could not be read."""
    last = near[0]
    for number in range(last - 1, max(0, last - _FURTHEST), -1):
        opened = _open_quote(lines[number - 1])
        if opened is None:
            continue
        quote, begin = opened
        between = "\n".join([*lines[number : last - 1], lines[last - 1][: column - 1]])
        if between.count(quote) % 2:
            yield Slip(number, begin + 1, "unclosed quote", "close the text with the quote that opens it")
        return


def _open_quote(line: str) -> tuple[str, int] | None:
    """Return the quote of a line that its line does not close, and where; None where there is none."""
    place = 0
    while found := _OPENS.search(line, place):
        quote, begin = found["quote"], found.start("quote")
        ends = re.compile(r"(?:[^\"\\]|\\.)*\"" if quote == '"' else r"(?:[^']|'')*'").match(line, begin + 1)
        if ends is None:
            return quote, begin
        place = ends.end()
    return None


def _closes_nothing(lines: Sequence[str], near: Sequence[int], column: int) -> Iterator[Slip]:
    sign = lines[near[0] - 1][column - 1 : column]
    if sign in ("]", "}"):
        yield Slip(near[0], column, f'unmatched "{sign}"', "delete it")


def _second_colon(lines: Sequence[str], near: Sequence[int], column: int) -> Iterator[Slip]:
    """Text with a colon in it, after a key of the same line."""
    found = _TAKES_VALUE.match(lines[near[0] - 1])
    if found and ": " in found["value"] and column > found.start("value") + 1:
        value = found["value"].split(" #")[0].strip()
        hint = (
            f'write {found["key"]}: "{value[:60]}"' if '"' not in value else f"put the text of {found['key']} in quotes"
        )
        yield Slip(near[0], found.start("value") + 1, 'text that contains ": " needs quotes', hint)


def _indentation(lines: Sequence[str], near: Sequence[int], _: int) -> Iterator[Slip]:
    """Yield a line at a depth at which nothing above it appears."""
    here, above = near[0], near[1] if len(near) > 1 else None
    if above is None or not _HAS_KEY.match(lines[here - 1]):
        return
    deep, before = _indent(lines[here - 1]), _indent(lines[above - 1])
    if deep > before:
        yield from _too_deep(lines, here, above)
    elif deep not in (depths := _depths(lines, here)):
        wanted = min((depth for depth in depths if depth > deep), default=before)
        message = f"this line is indented by {_spaces(deep)}, but the lines around it by {_spaces(wanted)}"
        yield Slip(here, deep + 1, message, f"indent it by {_spaces(wanted)}")


def _too_deep(lines: Sequence[str], here: int, above: int) -> Iterator[Slip]:
    deep, before = _indent(lines[here - 1]), _indent(lines[above - 1])
    taken = _TAKES_VALUE.match(lines[above - 1])
    if before % _STEP and not deep % _STEP:
        # the line above is the one that differs from all others
        message = f"this line is indented by {_spaces(before)}, but the lines around it by {_spaces(deep)}"
        yield Slip(above, before + 1, message, f"indent it by {_spaces(deep)}")
    elif taken and deep - before >= _STEP and lines[above - 1].rstrip().endswith(taken["value"].strip()):
        message = f'"{taken["key"]}" already has a value, so it cannot have keys below it'
        yield Slip(
            here, deep + 1, message, f"remove the value of {taken['key']}, or indent this line by {_spaces(before)}"
        )
    elif not lines[above - 1].rstrip().endswith(":"):
        message = f"this line is indented by {_spaces(deep)}, but the lines around it by {_spaces(before)}"
        yield Slip(here, deep + 1, message, f"indent it by {_spaces(before)}")


def _no_key(lines: Sequence[str], near: Sequence[int], _: int) -> Iterator[Slip]:
    """Yield a line without any key, above one that has its own."""
    for number in near[1:]:
        line = lines[number - 1]
        is_plain = re.match(r"^\s*[A-Za-z_-]", line) and not line.lstrip().startswith("- ")
        if is_plain and not _HAS_KEY.match(line):
            yield Slip(number, _indent(line) + 1, "missing colon after the key", "write it as key: value")


def _depths(lines: Sequence[str], line: int) -> list[int]:
    """Return the depths of the blocks that are open above a line, the outermost first."""
    depths: list[int] = []
    for text in lines[: line - 1]:
        if text.strip() and not text.lstrip().startswith("#"):
            deep = _indent(text)
            depths = [*(depth for depth in depths if depth < deep), deep]
    return depths


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count or 'no'} spaces"


_LOOKS: Sequence[Callable[[Sequence[str], Sequence[int], int], Iterator[Slip]]] = (
    _odd_spaces,
    _unclosed_quote,
    _glued,
    _closes_nothing,
    _indentation,
    _second_colon,
    _no_key,
)
