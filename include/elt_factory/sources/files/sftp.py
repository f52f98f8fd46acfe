"""A folder on an SFTP server: host keys are verified, files are fetched as they were listed, links stay inside."""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadRequestError,
    EltError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.core.stores import host_and_port
from elt_factory.sources.files.sftp_login import opened
from elt_factory.sources.files.store import Found, Store, changed, matches_part, outside

if TYPE_CHECKING:
    from paramiko import SFTPAttributes, SFTPClient, SSHClient

_PIECE = 32 * 1024  # what every server gives at a time
_WINDOW = 256  # pieces that are on their way
_TRIES, _WAIT = 3, 0.5
_SILENCE = 60.0  # seconds without a word


@dataclass(frozen=True)
class SftpPlace:
    """Where a folder is: the server, the folder there, absolute or below that of the login, and its name for people."""

    host: str
    port: int
    folder: str
    connection: Connection = field(repr=False)

    def __str__(self) -> str:
        port = "" if self.port == 22 else f":{self.port}"  # noqa: PLR2004 - what SSH has
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{host}{port}/{self.folder.lstrip('/')}".rstrip("/")


class SftpStore(Store):
    """A folder on an SFTP server. What changes while it is read is seen by its size and its time, in seconds."""

    def __init__(self, place: SftpPlace) -> None:
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        self._place, self._own = place, threading.local()
        self._lock = threading.Lock()
        self._client: SSHClient | None = None

    def __str__(self) -> str:
        return str(self._place)

    def close(self) -> None:
        """Close the connection to the server."""
        if self._client is not None:
            self._client.close()

    def there(self) -> bool:
        """Whether the folder is there."""
        with self._spoken():
            return self._attributes("") is not None

    def look(self, name: str) -> Found | None:
        """Return the file of a name, by its real one."""
        with self._spoken():
            about = self._attributes(name)
            if about is None or not stat.S_ISREG(about.st_mode or 0):
                return None
            return _found(self._real(name, name), about)

    def called(self, pattern: str) -> Found | None:
        """Return the file whose name is a pattern; a server whose names have no such signs is not asked for one."""
        folder, _, name = pattern.rpartition("/")
        return self.look(pattern) if not has_magic(folder) and name in self.names(folder) else None

    def matches(self, pattern: str) -> Iterator[Found]:
        """Yield the files that a pattern matches, folder by folder."""
        with self._spoken():
            yield from self._walk("", pattern.split("/"), pattern)

    def names(self, folder: str) -> Sequence[str]:
        """Return what is in a folder."""
        with self._spoken():
            try:
                return [str(name) for name in self._sftp.listdir(self._at(folder))]
            except FileNotFoundError:
                return []

    def fetch(self, found: Found, folder: Path, most: int | None = None) -> Path:
        """Return a copy of a file."""
        folder.mkdir(parents=True)
        target = folder / Path(found.name).name
        with self._spoken():
            before = self._attributes(found.name)
            if before is None or _found(found.name, before) != found:
                raise changed(found.name)
            size = min(found.size, most or found.size)
            with target.open("wb") as copy, self._sftp.open(self._at(found.name), "rb") as content:
                for piece in _pieces(content, size):
                    copy.write(piece)
            after = self._attributes(found.name)
            if after is None or _found(found.name, after) != found or target.stat().st_size != size:
                raise changed(found.name)
        return target

    def _walk(self, folder: str, forms: Sequence[str], pattern: str) -> Iterator[Found]:
        head, rest = forms[0], forms[1:]
        if rest and head != "**" and not has_magic(head):
            if (inner := self._entered(_join(folder, head), pattern)) is not None:
                yield from self._walk(inner, rest, pattern)
            return
        if head == "**" and rest:
            yield from self._walk(folder, rest, pattern)
        for about in self._sftp.listdir_attr(self._at(folder)):
            if matches_part(about.filename, head):
                yield from self._step(_join(folder, about.filename), about, forms, pattern)

    def _step(self, name: str, about: SFTPAttributes, forms: Sequence[str], pattern: str) -> Iterator[Found]:
        """Yield what a name that matches the first form leads to: itself, or what is in it."""
        mode, rest = about.st_mode or 0, forms if forms[0] == "**" else forms[1:]
        if stat.S_ISREG(mode) and len(forms) == 1:
            yield _found(name, about)
        elif stat.S_ISDIR(mode) and rest:
            yield from self._walk(name, rest, pattern)
        elif stat.S_ISLNK(mode):
            # as a shell, `**` follows no link into a folder
            if len(forms) == 1 and (found := self.look(name)):
                yield found
            elif forms[0] != "**" and rest and (inner := self._entered(name, pattern)) is not None:
                yield from self._walk(inner, rest, pattern)

    def _entered(self, name: str, pattern: str) -> str | None:
        """Return the real name of a folder; None where it is none."""
        about = self._attributes(name)
        return self._real(name, pattern) if about and stat.S_ISDIR(about.st_mode or 0) else None

    def _real(self, name: str, pattern: str) -> str:
        real = str(self._sftp.normalize(self._at(name)))
        if real != self._root and not real.startswith(self._root.rstrip("/") + "/"):
            raise outside(pattern, self)
        return real[len(self._root) :].lstrip("/")

    def _attributes(self, name: str) -> SFTPAttributes | None:
        """Return what the server says of a file or folder, where links lead; None where there is none."""
        try:
            return self._sftp.stat(self._at(name))
        except FileNotFoundError:
            return None

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    @cached_property
    def _root(self) -> str:
        try:
            root = str(self._sftp.normalize(self._place.folder or "."))
            self._sftp.stat(root)
        except FileNotFoundError:
            raise SourceNotReadyError(f"folder {self} does not exist") from None
        return root

    @property
    def _sftp(self) -> SFTPClient:
        """The channel of this thread: a channel has no room for two."""
        if not hasattr(self._own, "channel"):
            self._own.channel = self._connected().open_sftp()
            self._own.channel.get_channel().settimeout(_SILENCE)
        channel: SFTPClient = self._own.channel
        return channel

    def _connected(self) -> SSHClient:
        with self._lock:
            for tries in range(_TRIES):
                if self._client is not None:
                    break
                try:
                    self._client = opened(self._place.host, self._place.port, self._place.connection)
                except SourceUnavailableError:
                    if tries == _TRIES - 1:
                        raise
                    time.sleep(_WAIT * 2**tries)
            assert self._client is not None  # noqa: S101 - the loop ends with a client or an error
            return self._client

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Say what went wrong in our words."""
        from paramiko import SSHException

        try:
            yield
        except EltError:
            raise
        except PermissionError:
            hint = "check what the login of the connection may list and read there"
            raise AccessDeniedError(f"{self} denied access; hint: {hint}") from None
        except UnicodeDecodeError:
            hint = "rename it there, or choose a folder without it"
            raise BadRequestError(f"what is listed in {self} has a name that is not UTF-8; hint: {hint}") from None
        except (SSHException, EOFError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise SourceNotReadyError(f"a file or folder of {self} was removed while it was read") from None
            # paramiko ends with a colon where the server said nothing
            said = str(error).rstrip(": ") or type(error).__name__
            raise SourceUnavailableError(f"{self} broke off: {said}") from None


def place_of(host: str, folder: str, connection: Connection) -> SftpPlace:
    """Return the place that a URL and a connection name together.

    Raises:
        BadRequestError: they name no server, or two.
    """
    name, port = host_and_port(host) if host else ("", None)
    known = (connection.host or "").strip("[]")
    if name and known and name.lower() != known.lower():
        raise BadRequestError(
            f'the folder is on {name}, but the connection "{connection.conn_id}" is one to {known}, which gets its '
            "login alone; hint: use a connection of that server"
        )
    if not (name or known):
        raise BadRequestError(f'the connection "{connection.conn_id}" has no host')
    return SftpPlace(name or known, port or connection.port or 22, folder, connection)


def _pieces(content: Any, size: int) -> Iterator[bytes]:
    """Yield a file's bytes, a window of requests at a time: never more than that is in memory."""
    for start in range(0, size, _PIECE * _WINDOW):
        end = min(size, start + _PIECE * _WINDOW)
        yield from content.readv([(at, min(_PIECE, end - at)) for at in range(start, end, _PIECE)])


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _found(name: str, about: SFTPAttributes) -> Found:
    return Found(name, about.st_size or 0, datetime.fromtimestamp(about.st_mtime or 0, UTC))
