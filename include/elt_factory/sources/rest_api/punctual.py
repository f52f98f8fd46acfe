"""Connections on which everything together takes no longer than one request may.

httpcore limits each read by itself, so a server that sends a byte now and then keeps its client forever, in the middle
of a header too.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore


class Deadline:
    """The moment at which the request that is under way must be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._over = time.monotonic() + seconds

    def begin(self) -> None:
        """Mark the start of a request."""
        self._over = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            httpcore.ReadTimeout: none are.
        """
        left = self._over - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left


class PunctualBackend(httpcore.NetworkBackend):
    """The network, on which everything together keeps to a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(  # noqa: D102 - as httpcore has it
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is nearer
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        # address by address: the socket library gives each of them the whole time
        failed: Exception = httpcore.ConnectError(f"no address for {host}")
        for address in _addresses(host, port):
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.left(), local_address=local_address, socket_options=socket_options
                )
            except httpcore.ConnectError as error:
                failed = error
            else:
                return _Stream(stream, self._deadline)
        raise failed


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline is nearer
        return self._inner.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - as above
        self._inner.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    except UnicodeError:
        # a part of the name is empty or too long
        raise httpcore.ConnectError(f"{host} is not the name of a host") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
