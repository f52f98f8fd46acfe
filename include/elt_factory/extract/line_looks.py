"""What the bytes of a file of lines say, in one pass: how many lines it has, how long they are, and if all is UTF-8."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

_LINE_FEED = 10
_LAST_BLANK = 32  # all blanks are up to this byte, and nothing that JSON begins with is
_BLOCK, _LEAST_BLOCK = 512 * 1024, 4096  # what is looked at stays in the processor's cache
_STRETCH = 1024 * 1024
_MARK = codecs.BOM_UTF8
LONG = 16 * 1024  # a stretch has few of such lines


@dataclass(frozen=True)
class LineLook:
    """What was seen of a file.

    Args:
        count: How many lines are not blank.
        longest: The bytes of the longest line.
        are_long: Whether lines are so long that a stretch of the file has few of them.
        is_text: Whether all is text in UTF-8.
    """

    count: int
    longest: int
    are_long: bool
    is_text: bool


def look_at(file: Path) -> LineLook:
    """Return what the bytes of a file say."""
    # a small file need not pay for the space of a large one
    look, block = _Look(), bytearray(min(_BLOCK, max(_LEAST_BLOCK, file.stat().st_size)))
    with file.open("rb", buffering=0) as content:
        _skip_mark(content)
        while size := content.readinto(block):
            look.take(block if size == len(block) else block[:size])
        look.end()
    count = _filled(file) if look.may_be_blank else look.breaks + bool(look.open)
    return LineLook(count, look.longest, look.are_long, look.is_text)


def _skip_mark(content: BinaryIO | RawIOBase) -> None:
    """Begin behind a byte order mark: a line of nothing else is blank."""
    if content.read(len(_MARK)) != _MARK:
        content.seek(0)


def _filled(file: Path) -> int:
    with file.open("rb") as content:
        _skip_mark(content)
        return sum(1 for line in content if line.strip())


@dataclass
class _Look:
    breaks: int = 0
    longest: int = 0
    open: int = 0  # bytes behind the last line break
    may_be_blank: bool = False
    are_long: bool = False
    is_text: bool = True
    _before: int = _LINE_FEED
    _stretch: list[int] = field(default_factory=lambda: [0, 0])  # its bytes, its line breaks
    _decoder: codecs.IncrementalDecoder = field(default_factory=codecs.getincrementaldecoder("utf-8"))

    def take(self, block: bytearray) -> None:
        """Look at the next bytes."""
        import numpy as np

        size, letters = len(block), np.frombuffer(block, np.uint8)
        ends = (letters == _LINE_FEED).nonzero()[0]
        begins = [block[0]] if self._before == _LINE_FEED else []
        if len(ends):
            first, last = int(ends[0]), int(ends[-1])
            begins += [int(letters[ends[:-1] + 1].min(initial=255)), *block[last + 1 : last + 2]]
            within = int((ends[1:] - ends[:-1]).max(initial=1)) - 1
            self.longest = max(self.longest, self.open + first, within)
            self.open = size - 1 - last
        else:
            self.open += size
        self.may_be_blank = self.may_be_blank or any(byte <= _LAST_BLANK for byte in begins)
        self.breaks, self._before = self.breaks + len(ends), block[-1]
        self.is_text = self.is_text and decodes(self._decoder, block)
        self._stretch = [self._stretch[0] + size, self._stretch[1] + len(ends)]
        if self._stretch[0] >= _STRETCH:
            self._end_stretch()

    def end(self) -> None:
        """Note that this was all."""
        self.longest = max(self.longest, self.open)
        self.is_text = self.is_text and decodes(self._decoder, b"")
        self._end_stretch()

    def _end_stretch(self) -> None:
        size, breaks = self._stretch
        self.are_long = self.are_long or breaks < -(-size // LONG) - 1
        self._stretch = [0, 0]


def decodes(decoder: codecs.IncrementalDecoder, piece: bytes | bytearray) -> bool:
    """Whether the next bytes are text; no bytes are the end of it."""
    if piece and piece.isascii() and not decoder.getstate()[0]:
        return True
    try:
        decoder.decode(piece, final=not piece)
    except UnicodeDecodeError:
        return False
    return True
