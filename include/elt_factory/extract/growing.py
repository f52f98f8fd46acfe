"""Records that are still being read: how far each of their files has come, for who follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from os import SEEK_CUR
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool

ENOUGH_BYTES = 4 * 1024 * 1024  # who reads less than that is done before it pays to follow
_LEAST_PAUSE, _MOST_PAUSE = 0.001, 0.05  # seconds


class ReadFailedError(Exception):
    """The read has ended with an error, or is not to be followed: what it has written so far does not count."""


def end_of_lines(chunk: bytes) -> int:
    """Return where the last whole line of a chunk ends; 0 where there is none."""
    return chunk.rfind(b"\n") + 1


class Growing:
    """NDJSON or CSV files that a read writes, by one thread or several, while another thread follows them.

    Args:
        begin: Called once, by a thread that writes, when there are ENOUGH_BYTES to follow.
    """

    described: Spool | None = None  # what is known before the first record; NDJSON of which nothing is, where None

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._sizes: dict[Path, int] = {}
        self._has_begun = Lock()  # taken once, and never given back
        self._has_ended = self._has_failed = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that there are so far."""
        return tuple(self._sizes)

    def grew(self, file: Path, size: int) -> None:
        """Note that the first `size` bytes of a file are there, which are whole records, and count."""
        self._sizes[file] = size
        if (
            not self._has_begun.locked()
            and sum(list(self._sizes.values())) >= ENOUGH_BYTES
            and self._has_begun.acquire(blocking=False)
        ):
            self._begin()

    def end(self) -> None:
        """Note that all is there."""
        self._has_ended = True

    def fail(self) -> None:
        """Note that nothing of it counts, or is not to be followed: who follows ends with an error."""
        self._has_failed = True

    def pieces(self, most_bytes: int, end_of: Callable[[bytes], int] = end_of_lines) -> Iterator[tuple[Path, bytes]]:
        """Yield what is there from the beginning, in pieces of whole records, and wait for more until the end.

        A piece has at most `most_bytes`, or is one line.

        Args:
            most_bytes: How many bytes are read at a time.
            end_of: Returns where the last whole record of some bytes ends, and 0 for a line that does not end in them.

        Raises:
            ReadFailedError: the read has failed.
            OSError: a file cannot be read.
        """
        taken: dict[Path, int] = {}
        while there := self._more_than(taken):
            for file, size in there.items():
                # a read may leave more files than a process may have open
                with file.open("rb") as source:
                    source.seek(taken.get(file, 0))
                    for piece in _pieces(source, size, most_bytes, end_of):
                        yield file, piece
                taken[file] = size

    def _more_than(self, taken: Mapping[Path, int]) -> Mapping[Path, int]:
        """Return the files that have more than was taken of them, with their sizes; nothing at the end.

        It looks from time to time, and takes no lock: an exception of a signal could leave the reader with it for good.
        """
        pause = _LEAST_PAUSE
        while not self._has_failed:
            # asked first: what was noted before the end is seen then
            has_ended = self._has_ended
            more = {file: size for file, size in list(self._sizes.items()) if size > taken.get(file, 0)}
            if more or has_ended:
                return more
            time.sleep(pause)
            pause = min(2 * pause, _MOST_PAUSE)
        raise ReadFailedError


def _pieces(source: BinaryIO, upto: int, most_bytes: int, end_of: Callable[[bytes], int]) -> Iterator[bytes]:
    """Yield the records of a file from where it is to a place that is the end of a record."""
    while (left := upto - source.tell()) > 0:
        chunk = source.read(min(left, most_bytes))
        if not chunk:
            raise OSError(f"{source.name} has become shorter while it was read")
        end = end_of(chunk)
        if end:
            source.seek(end - len(chunk), SEEK_CUR)
            yield chunk[:end]
        else:
            yield chunk + source.readline()
