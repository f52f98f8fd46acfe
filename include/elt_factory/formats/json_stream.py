"""The records of a JSON document as they are written, one after the other, without the document in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from elt_factory.core.failures import BadDataError
from elt_factory.landing import limits

_CHUNK = 1024 * 1024
_TAIL = 2
_SIGNS = {",": "a comma", ":": "a colon"}
_SPACES = re.compile(r"[ \t\r\n]*")
_BREAKS = re.compile(r"[\r\n]+")
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # values are looked at and not kept


def records(file: Path, name: str, path: Sequence[str]) -> Iterator[str]:
    """Yield the JSON text of each record of a document, without line breaks.

    The records are the elements of an array, or an object alone. Where there is no path, documents may follow one
    another.

    Args:
        file: The document, in UTF-8.
        name: What people call it.
        path: The keys that lead to the records.

    Raises:
        BadDataError: it is not JSON, ends too soon, or has nothing at the path.
    """
    with file.open(encoding="utf-8-sig", newline="") as content:
        text = _Text(content, name)
        while text.peek():
            yield from _document(text, path)
            if path and text.peek():
                raise text.error("another document follows")


def _document(text: _Text, path: Sequence[str]) -> Iterator[str]:
    for depth, key in enumerate(path):
        if not _go_to(text, key):
            raise text.error(f"no key {'.'.join(path[: depth + 1])}; set format.records to the path of the records")
    if text.peek() == "[":
        yield from _elements(text)
    else:
        yield text.value()
    for depth in reversed(range(len(path))):
        _skip_members(text, path[: depth + 1])


def _elements(text: _Text) -> Iterator[str]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.peek() != ",":
            break
        text.take(",")
    text.take("]")


def _go_to(text: _Text, key: str) -> bool:
    """Pass over an object up to the value of a key; False where it has none."""
    if text.peek() != "{":
        return False
    text.take("{")
    if text.peek() == "}":
        return False
    while True:
        if text.key() == key:
            return True
        text.value()
        if text.peek() == "}":
            return False
        text.take(",")


def _skip_members(text: _Text, path: Sequence[str]) -> None:
    """Pass over what follows in an object, up to its end.

    Raises:
        BadDataError: it has the last key of the path again, whose records would be lost.
    """
    while text.peek() == ",":
        text.take(",")
        if text.key() == path[-1]:
            raise text.error(f"the key {'.'.join(path)} is repeated, and so are its records")
        text.value()
    text.take("}")


class _Text:
    """The text of a document with a place in it. What is behind the place is let go."""

    def __init__(self, content: IO[str], name: str) -> None:
        self._content = content
        self._name = name
        self._buffer, self._at, self._line = "", 0, 1

    def peek(self) -> str:
        """Return the next sign that is not a space; "" at the end."""
        while True:
            self._at = _SPACES.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def take(self, sign: str) -> None:
        """Pass over a sign.

        Raises:
            BadDataError: another one is there.
        """
        found = self.peek()
        if found != sign:
            meant = _SIGNS.get(sign, sign)
            raise self.error(f"expected {meant}, got {found}" if found else f"the document ends before {meant}")
        self._at += 1

    def key(self) -> str:
        """Pass over a key of an object and its colon, and return it.

        Raises:
            BadDataError: something else is there.
        """
        if (found := self.peek()) != '"':
            raise self.error(f"expected a key in quotes, got {found}" if found else "the document ends before a key")
        key = str(json.loads(self.value()))
        self.take(":")
        return key

    def value(self) -> str:
        """Pass over a value, and return its text on one line.

        Raises:
            BadDataError: it is not JSON, or longer than any record may be.
        """
        self.peek()
        # a number may become another by what follows: 12 of 12.5, 1 of 1e+5
        end, more = self._end_of_value(), True
        while more and end + _TAIL >= len(self._buffer):
            more = self._more()
            end = self._end_of_value()
        if end > len(self._buffer):
            raise self._not_json()
        text, self._at = self._buffer[self._at : end], end
        return _BREAKS.sub(" ", text)

    def _end_of_value(self) -> int:
        """Return where the value at this place ends; beyond the buffer where what is there is not one, or not yet."""
        try:
            return _DECODER.raw_decode(self._buffer, self._at)[1]
        except (ValueError, RecursionError):
            return len(self._buffer) + 1

    def error(self, why: str) -> BadDataError:
        """Return the error of what is wrong at this place."""
        line = self._line + self._buffer.count("\n", 0, self._at)
        return BadDataError(f"{self._name} line {line}: {why}")

    def _not_json(self) -> BadDataError:
        try:
            _DECODER.raw_decode(self._buffer, self._at)
        except RecursionError:
            return self.error("nested too deep to be read")
        except json.JSONDecodeError as error:
            line = self._line + self._buffer.count("\n", 0, error.pos)
            cut = error.pos >= len(self._buffer.rstrip())
            why = "the document ends within a value" if cut else f"not JSON: {error.msg}"
            return BadDataError(f"{self._name} line {line}: {why}")
        return self.error("not JSON")

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        if len(self._buffer) - self._at > limits.RECORD_BYTES:
            raise self.error(f"a value is longer than {limits.RECORD_BYTES:,} characters")
        try:
            # in ever larger steps, so that a long value is not looked through again for every megabyte of it
            chunk = self._content.read(max(_CHUNK, len(self._buffer) - self._at))
        except UnicodeDecodeError:
            raise self.error("the text is not UTF-8") from None
        self._line += self._buffer.count("\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return bool(chunk)
