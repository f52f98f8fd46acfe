"""Files that are compressed, known by their first bytes whatever they are called: gzip, zip, bzip2, xz, zstd."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from elt_factory.core.failures import BadDataError
from elt_factory.formats.kind import Delivered, FormatKind

ENDINGS = (".gz", ".zip", ".bz2", ".xz", ".zst")
_CHUNK = 1024 * 1024
_LONGEST_SIGN = 16
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # a frame of zstd that holds no data, as pzstd begins with
_PARTS = b"PK\x03\x04"
_OFFICE = "[Content_Types].xml"
LIMIT = 50_000_000_000  # bytes
_SHOWN = 5  # members of an archive in a message


class _UnfitError(Exception):
    """An archive of which it is open what to read."""


def is_packed(file: Path, kind: FormatKind) -> bool:
    """Whether a file is compressed, and not of a format that begins like that itself."""
    with file.open("rb") as content:
        head = content.read(_LONGEST_SIGN)
    return _way(head) is not None and not any(head.startswith(sign) for sign in kind.signs)


def unpacked(file: Delivered, kind: FormatKind, folder: Path, most: int | None = None, limit: int = LIMIT) -> Delivered:
    """Return a file, or a copy of what a compressed one holds.

    Args:
        file: The file.
        kind: Its format.
        folder: Where the copy goes; nothing else is there.
        most: How many bytes to take at most, for a look.
        limit: How many bytes it may have, unpacked.

    Raises:
        BadDataError: it is damaged, encrypted, larger than it may be, or an archive of several files.
    """
    if not is_packed(file.path, kind):
        _check_parts(file, kind, limit)
        return file
    base = Path(file.name).name
    name = base[: -len(Path(base).suffix)] if Path(base).suffix.lower() in ENDINGS else base
    target = folder / name
    folder.mkdir(parents=True)
    with damage_named(file.name), _opened(file) as content, target.open("wb") as copy:
        if most is None:
            copied(content, copy, file.name, limit)
        else:
            copy.write(content.read(most))
    return Delivered(file.name, target)


@contextmanager
def _opened(file: Delivered) -> Iterator[IO[bytes]]:
    with file.path.open("rb") as packed:
        way = _way(packed.read(_LONGEST_SIGN))
        packed.seek(0)
        with (way or nullcontext)(packed) as content:
            yield content


def copied(content: IO[bytes], copy: IO[bytes], name: str, limit: int) -> None:
    """Copy what is unpacked, up to a limit: a few bytes may stand for terabytes.

    Raises:
        BadDataError: it has more bytes.
    """
    size = 0
    while chunk := content.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise _too_large(name, limit)
        copy.write(chunk)


def _check_parts(file: Delivered, kind: FormatKind, limit: int) -> None:
    """Refuse a file of a format that is itself a zip archive, such as a workbook, whose parts are too large."""
    import zipfile

    if _PARTS not in kind.signs or not zipfile.is_zipfile(file.path):
        return
    # one that is damaged is said by what reads it
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(file.path) as parts:
        if sum(part.file_size for part in parts.infolist()) > limit:
            raise _too_large(file.name, limit)


def _too_large(name: str, limit: int) -> BadDataError:
    hint = "if that is correct, raise max_unpacked_mb in extract"
    return BadDataError(f"{name} has more than {limit / 1e6:,.0f} MB unpacked; hint: {hint}")


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Name what is packed in the errors of what unpacks it."""
    import lzma
    import zipfile
    import zlib

    try:
        yield
    except _UnfitError as error:
        raise BadDataError(f"{name} is {error}") from None
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadDataError(f"{name} is compressed, and damaged or cut off: {error}") from None
    except OSError as error:
        if error.errno is not None:  # the disk's, not the file's
            raise
        raise BadDataError(f"{name} is compressed, and damaged or cut off: {error}") from None


def _gzip(packed: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    import gzip

    return gzip.GzipFile(fileobj=packed)  # type: ignore[return-value]


class _Members(io.RawIOBase):
    """What was packed in one or more members, each whole: Python's own readers pass over one that is damaged."""

    def __init__(self, packed: IO[bytes], begin: Callable[[], Any], padding: bytes = b"") -> None:
        self._packed, self._begin, self._padding = packed, begin, padding
        self._member, self._rest = begin(), b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end of the last member."""
        while True:
            if self._member.eof:
                self._rest = self._member.unused_data.lstrip(self._padding) or self._next_member()
                if not self._rest:
                    return 0
                self._member = self._begin()
            if self._member.needs_input and not self._rest:
                self._rest = self._packed.read(_CHUNK)
                if not self._rest:
                    raise EOFError("it ends before its end")
            found = self._member.decompress(self._rest, len(buffer))
            self._rest = b""
            if found:
                buffer[: len(found)] = found
                return len(found)

    def _next_member(self) -> bytes:
        while chunk := self._packed.read(_CHUNK):
            if found := chunk.lstrip(self._padding):
                return found
        return b""


def _bzip2(packed: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    import bz2

    return io.BufferedReader(_Members(packed, bz2.BZ2Decompressor))


def _xz(packed: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    import lzma

    return io.BufferedReader(_Members(packed, lzma.LZMADecompressor, padding=b"\0"))


def _zstd(packed: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    import pyarrow as pa

    stream: Any = pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd")
    return stream  # type: ignore[no-any-return]


@contextmanager
def _zip(packed: IO[bytes]) -> Iterator[IO[bytes]]:
    import zipfile

    with zipfile.ZipFile(packed) as archive:
        members = [member for member in archive.infolist() if not member.is_dir() and not is_of_system(member.filename)]
        if any(member.filename == _OFFICE for member in members):
            raise _UnfitError("an Office document, such as an Excel workbook: write format: {type: excel}")
        if len(members) != 1:
            names = ": " * bool(members) + ", ".join(member.filename for member in members[:_SHOWN])
            hint = "write which of them in path, as in archive.zip/*.csv"
            raise _UnfitError(f"a zip archive of {len(members)} files{names}; hint: {hint}")
        if members[0].flag_bits & 1:
            raise _UnfitError("an encrypted zip archive; hint: deliver it without a password")
        with archive.open(members[0]) as content:
            yield content


def is_of_system(name: str) -> bool:
    """Whether an archive's member was added by the system that made it, next to what people put in."""
    return name.startswith("__MACOSX/") or Path(name).name in (".DS_Store", "Thumbs.db")


_WAYS: Mapping[bytes, Callable[[IO[bytes]], AbstractContextManager[IO[bytes]]]] = {
    b"\x1f\x8b": _gzip,
    b"PK\x03\x04": _zip,
    b"PK\x05\x06": _zip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}


def _way(head: bytes) -> Callable[[IO[bytes]], AbstractContextManager[IO[bytes]]] | None:
    if _SKIPPABLE.match(head):
        return _zstd
    return next((way for sign, way in _WAYS.items() if head.startswith(sign)), None)
