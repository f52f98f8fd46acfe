"""Lines of a text of which one may be as long as the file: it costs no more memory than a long record."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TextIO

_KEPT = 10_000
_PIECE = 1024 * 1024


class CutLine(str):
    """The beginning of a line that is longer than any record may be."""

    __slots__ = ()


def bounded_lines(stream: TextIO, most: int) -> Iterator[str]:
    """Yield the lines of a text with their ends; of one with more characters than `most` a `CutLine`."""
    for line in iter(partial(stream.readline, most + 1), ""):
        if len(line) <= most or line.endswith("\n"):
            yield line
            continue
        kept, rest = CutLine(line[:_KEPT]), line
        while rest and not rest.endswith(("\n", "\r")):
            rest = stream.readline(_PIECE)
        yield kept
