"""Records that are still being read: how far each of their files has come, for who follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from os import SEEK_CUR
from pathlib import Path
from threading import Condition
from typing import BinaryIO

ENOUGH_BYTES = 4 * 1024 * 1024  # who reads less than that is done before it pays to follow


class ReadFailedError(Exception):
    """The read has ended with an error: what it has written so far does not count."""


class Growing:
    """NDJSON files that a read writes, by one thread or several, while another thread follows them.

    Args:
        begin: Called once, by a thread that writes, when there are ENOUGH_BYTES to follow.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._sizes: dict[Path, int] = {}
        self._has_begun = self._has_ended = self._has_failed = False
        self._changed = Condition()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that there are so far."""
        with self._changed:
            return tuple(self._sizes)

    def grew(self, file: Path, size: int) -> None:
        """Note that the first `size` bytes of a file are there, which are whole lines of records that count."""
        with self._changed:
            self._sizes[file] = size
            begins = not self._has_begun and sum(self._sizes.values()) >= ENOUGH_BYTES
            self._has_begun = self._has_begun or begins
            self._changed.notify_all()
        if begins:
            self._begin()

    def end(self) -> None:
        """Note that all is there."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def fail(self) -> None:
        """Note that nothing of it counts: who follows ends with an error."""
        with self._changed:
            self._has_failed = True
            self._changed.notify_all()

    def pieces(self, most_bytes: int) -> Iterator[tuple[Path, bytes]]:
        """Yield what is there from the beginning, in pieces of whole lines, and wait for more until the end.

        A piece has at most `most_bytes`, or is one line.

        Raises:
            ReadFailedError: the read has failed.
        """
        opened: dict[Path, BinaryIO] = {}
        with ExitStack() as stack:
            while there := self._more_than({file: source.tell() for file, source in opened.items()}):
                for file, size in there.items():
                    if file not in opened:
                        opened[file] = stack.enter_context(file.open("rb"))
                    for piece in _lines(opened[file], size, most_bytes):
                        yield file, piece

    def _more_than(self, taken: dict[Path, int]) -> dict[Path, int]:
        """Return the files that have more than was taken of them, with their sizes; nothing at the end."""
        with self._changed:
            while True:
                if self._has_failed:
                    raise ReadFailedError
                more = {file: size for file, size in self._sizes.items() if size > taken.get(file, 0)}
                if more or self._has_ended:
                    return more
                self._changed.wait()


def _lines(source: BinaryIO, upto: int, most_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a file from where it is to a place that is the end of a line."""
    while (left := upto - source.tell()) > 0:
        chunk = source.read(min(left, most_bytes))
        end = chunk.rfind(b"\n") + 1
        if end:
            source.seek(end - len(chunk), SEEK_CUR)
            yield chunk[:end]
        else:
            yield chunk + source.readline()
