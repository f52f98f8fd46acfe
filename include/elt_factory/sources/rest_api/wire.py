"""One request and its response over HTTP/1.1, by the connections of httpcore.

They are those of httpx. Its client is not used: what it adds, redirects, cookies and logins, is decided elsewhere here,
and it takes as long for a request as the request itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpcore
import httpx

import elt_factory
from elt_factory.sources.rest_api.outcomes import merged
from elt_factory.sources.rest_api.punctual import Deadline, PunctualBackend

_IDLE_SECONDS = 5.0  # a server may close a connection that is idle longer, just when the next request is sent
_SCHEMES = ("http", "https")
_USUAL = {
    "Accept": "*/*",
    # what body.py can unpack, and no more than that is asked for
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "User-Agent": f"elt-factory/{elt_factory.__version__}",
}
_WITH_BODY = ("POST", "PUT", "PATCH")  # methods of which a server wants to know that there is none


@dataclass(frozen=True)
class Response:
    """The beginning of a response; `pieces` are the bytes of its body, packed as they were sent."""

    status: int
    headers: httpx.Headers = field(repr=False)
    pieces: Iterator[bytes] = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return httpx.codes.is_success(self.status)


class Wire:
    """Connections to servers, one of each kept for the next request, on which each request has its deadline.

    Args:
        deadline: When the request that is under way must be over.
        tls: Says how servers are known; asked when a connection needs it.
        proxy: The address of a proxy for all requests.

    Raises:
        OSError: with a proxy, files for TLS that cannot be used.
        ValueError: the proxy is none that can be used.
    """

    def __init__(self, deadline: Deadline, tls: Callable[[], ssl.SSLContext], proxy: str | None = None) -> None:
        self._backend = PunctualBackend(deadline)
        self._tls = tls
        self._idle: dict[tuple[bytes, bytes, int], httpcore.HTTPConnection] = {}
        self._pool = self._through(httpx.Proxy(proxy)) if proxy else None

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.popitem()[1].close()
        if self._pool:
            self._pool.close()

    @contextmanager
    def stream(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Iterator[Response]:
        """Send a request and provide its response, whose body is read in the block.

        Raises:
            httpcore.UnsupportedProtocol: the address is none of HTTP.
            httpcore.LocalProtocolError: a header cannot be sent.
            httpcore.NetworkError: there is no connection, or it broke.
            httpcore.TimeoutException: the deadline is over.
            httpcore.ProxyError: the proxy refuses.
            httpcore.RemoteProtocolError: the response is none of HTTP, or was cut off.
        """
        target = _target(url)
        given = merged({"Host": url.netloc.decode(), **_USUAL}, headers)
        try:
            sent = [(name.encode(), value.encode()) for name, value in given.items()]
        except UnicodeEncodeError:
            raise httpcore.LocalProtocolError("a header has half of a character") from None
        body = b"" if content is None and method in _WITH_BODY else content
        _check_length(given, body or b"")
        with (
            self._connected(target) as connection,
            connection.stream(method, target, headers=sent, content=body) as response,
        ):
            yield Response(response.status, httpx.Headers(response.headers), response.iter_stream())

    @contextmanager
    def _connected(self, target: httpcore.URL) -> Iterator[httpcore.HTTPConnection | httpcore.ConnectionPool]:
        """Provide a connection that no other request has meanwhile."""
        if self._pool:
            yield self._pool
            return
        origin = target.origin
        key = origin.scheme, origin.host, origin.port
        connection = self._idle.pop(key, None)
        if connection and connection.has_expired():
            connection.close()
            connection = None
        connection = connection or self._new(origin)
        try:
            yield connection
        finally:
            # one that is not idle has something of this response left
            if not connection.is_idle() or self._idle.setdefault(key, connection) is not connection:
                connection.close()

    def _new(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        try:
            tls = self._tls() if origin.scheme == b"https" else None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        return httpcore.HTTPConnection(origin, tls, _IDLE_SECONDS, network_backend=self._backend)

    def _through(self, proxy: httpx.Proxy) -> httpcore.ConnectionPool:
        if proxy.url.scheme not in _SCHEMES:
            raise ValueError(f"a proxy of {proxy.url.scheme} cannot be used, only one of http or https")
        return httpcore.ConnectionPool(
            self._tls(),
            httpcore.Proxy(_target(proxy.url), proxy.raw_auth),
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )


def _check_length(headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a length that was given by hand and is another: httpcore would leave the request half sent."""
    told = next((value for name, value in headers.items() if name.casefold() == "content-length"), str(len(body)))
    if told != str(len(body)):
        said = f'the header Content-Length is "{told}", the body has {len(body)} bytes'
        raise httpcore.LocalProtocolError(f"{said}: leave it out")


def _target(url: httpx.URL) -> httpcore.URL:
    if url.scheme not in _SCHEMES:
        raise httpcore.UnsupportedProtocol(f'the address has the scheme "{url.scheme}", not http or https')
    if not url.host:
        raise httpcore.UnsupportedProtocol("the address has no host")
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
