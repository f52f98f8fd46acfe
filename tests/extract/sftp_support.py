"""An SFTP server on loopback, over a folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from elt_factory.core.connection import Connection

SECRET = "sftp-s3cret"


@dataclass
class SftpServer:
    """`opening` is called with the name of each file that is opened; `files` is what a login sees as its root.

    `reading` is called before each piece of a file that is sent.
    """

    files: Path
    key: Any
    port: int = 0
    opening: list[Callable[[str], None]] = field(default_factory=list)
    reading: list[Callable[[], None]] = field(default_factory=list)
    users: set[str] = field(default_factory=lambda: {"shop"})
    public_keys: list[Any] = field(default_factory=list)

    @property
    def host_key(self) -> str:
        return " ".join(self.key.export_public_key().decode().split()[:2])

    def connection(self, **extra: Any) -> Connection:
        given = {"host_key": self.host_key, **extra}
        return Connection("shop", "sftp", "127.0.0.1", self.port, login="shop", password=SECRET, extra=given)


class Login(asyncssh.SSHServer):
    def __init__(self, server: SftpServer) -> None:
        self.server = server

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username in self.server.users and password == SECRET

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: Any) -> bool:
        return key in self.server.public_keys


class Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, server: SftpServer) -> None:
        super().__init__(channel, chroot=str(server.files).encode())
        self.server = server

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        for told in self.server.opening:
            told(path.decode())
        return super().open(path, pflags, attrs)

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        for told in self.server.reading:
            told()
        return super().read(file_obj, offset, size)


@contextmanager
def sftp_server(folder: Path, port: int = 0, key: bytes | None = None) -> Iterator[SftpServer]:
    made = asyncssh.import_private_key(key) if key else asyncssh.generate_private_key("ssh-ed25519")
    server = SftpServer(folder, made)
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        listener = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_factory=lambda: Login(server),
            server_host_keys=[server.key],
            sftp_factory=lambda channel: Files(channel, server),
        )
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
