"""The body of an answer: unpacked with a limit, and on disk as soon as it is large."""

from __future__ import annotations

import mmap
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from elt_factory.sources.rest_api.damage import DamagedAnswerError, TooLargeAnswerError, UnreadableAnswerError

Body = bytes | mmap.mmap

MEMORY_BYTES = 8 * 1024 * 1024
_STEP = 1024 * 1024
_TELLING = 2  # bytes that say how a body is packed
_EITHER = 32 + zlib.MAX_WBITS  # gzip and zlib, by their first bytes
_PLAIN = ("", "identity")
_PACKED = ("gzip", "x-gzip", "deflate")


def read_body(chunks: Iterable[bytes], headers: Mapping[str, str], limit: int, scratch: str | None) -> Body:
    """Read a whole body, unpacked: in memory up to 8 MB, else in a file below `scratch` that is gone when it is let go.

    Raises:
        TooLargeAnswerError: it has more than `limit` bytes, packed or unpacked.
        DamagedAnswerError: what is packed ends too soon or is broken.
        UnreadableAnswerError: it is packed in a way that no one asked for.
    """
    _refuse_announced(headers, limit)
    pieces, size, parts = list[bytes](), 0, _within(decoded(chunks, headers), limit)
    for piece in parts:
        pieces.append(piece)
        size += len(piece)
        if size > MEMORY_BYTES:
            return _on_disk(chain(pieces, parts), scratch)
    return b"".join(pieces)


def read_beginning(chunks: Iterable[bytes], headers: Mapping[str, str], most: int) -> bytes:
    """Read the first bytes of a body, unpacked as far as that can be done: those of an error, to be quoted."""
    pieces, size = list[bytes](), 0
    with suppress(DamagedAnswerError, UnreadableAnswerError):
        for piece in decoded(chunks, headers):
            pieces.append(piece[: most - size])
            size += len(pieces[-1])
            if size >= most:
                break
    return b"".join(pieces)


def _within(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLargeAnswerError(limit)
        yield piece


def _on_disk(pieces: Iterable[bytes], scratch: str | None) -> Body:
    with tempfile.TemporaryFile(dir=scratch) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _refuse_announced(headers: Mapping[str, str], limit: int) -> None:
    announced = headers.get("content-length", "")
    # as a float: thousands of digits are not a number that Python takes for an int
    if announced.isdecimal() and float(announced) > limit:
        raise TooLargeAnswerError(limit)


def decoded(chunks: Iterable[bytes], headers: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the bytes of a body without its content-encoding; the errors are those of `read_body`."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in _PLAIN:
        yield from chunks
    elif coding in _PACKED:
        yield from _inflated(chunks)
    else:
        raise UnreadableAnswerError(
            f'unsupported content-encoding "{coding}" in the response: only gzip and deflate are read'
        )


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the unpacked bytes, a megabyte at a time: a few bytes may stand for gigabytes."""
    pieces = _beginning_with(iter(chunks), _TELLING)
    first = next(pieces, b"")
    # as some servers understand deflate, there is nothing around it
    unpack = zlib.decompressobj(_EITHER if _is_wrapped(first) else -zlib.MAX_WBITS)
    for piece in chain([first], pieces):
        rest = piece.lstrip(b"\0") if unpack.eof else piece
        while rest:
            if unpack.eof:
                # one gzip file after another is one gzip file
                unpack = zlib.decompressobj(_EITHER)
            yield from _steps(unpack, rest)
            # zeros fill up a block
            rest = unpack.unused_data.lstrip(b"\0")
    if first and not unpack.eof:
        raise DamagedAnswerError("truncated compressed response")


def _beginning_with(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of which the first has at least `size`, unless that is all there are."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= size:
            break
    if first:
        yield first
    yield from pieces


def _steps(unpack: Any, rest: bytes) -> Iterator[bytes]:
    """Yield what these bytes unpack to, of which some may wait though all bytes are taken."""
    try:
        while len(piece := unpack.decompress(rest, _STEP)) == _STEP:
            yield piece
            rest = unpack.unconsumed_tail
        yield piece
    except zlib.error as error:
        raise DamagedAnswerError(f"corrupt compressed response: {error}") from None


def _is_wrapped(head: bytes) -> bool:
    """Whether these are the first bytes of gzip, or of zlib (RFC 1950), whose first two are a multiple of 31."""
    is_zlib = len(head) >= _TELLING and head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0
    return head[:1] == b"\x1f" or is_zlib
