"""One request and its response over HTTP/1.1, by the connections of httpcore.

They are those of httpx. Its client is not used: what it adds, redirects, cookies and logins, is decided elsewhere here,
and it takes as long for a request as the request itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

import elt_factory
from elt_factory.sources.rest_api.header_rules import NOT_SENT
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
# what h11 refuses, too, but with the value in its message
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
        proxy: Says which proxy a request to an address goes through, if any.
    """

    def __init__(
        self,
        deadline: Deadline,
        tls: Callable[[], ssl.SSLContext],
        proxy: Callable[[httpx.URL], httpx.Proxy | None] = lambda _: None,
    ) -> None:
        self._backend = PunctualBackend(deadline)
        self._tls = tls
        self._proxy = proxy
        self._idle: dict[tuple[bytes, bytes, int], httpcore.HTTPConnection] = {}
        self._pools: dict[httpx.Proxy, httpcore.ConnectionPool] = {}

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.popitem()[1].close()
        while self._pools:
            self._pools.popitem()[1].close()

    @contextmanager
    def stream(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Iterator[Response]:
        """Send a request and provide its response, whose body is read in the block.

        Raises:
            UnusableProxyError: the proxy of the address cannot be used.
            httpcore.UnsupportedProtocol: the address is none of HTTP.
            httpcore.LocalProtocolError: a header cannot be sent.
            httpcore.NetworkError: there is no connection, or it broke.
            httpcore.TimeoutException: the deadline is over.
            httpcore.ProxyError: the proxy refuses.
            httpcore.RemoteProtocolError: the response is none of HTTP, or was cut off.
        """
        target = _target(url)
        given = merged({"Host": url.netloc.decode(), **_USUAL}, headers)
        sent = [_as_sent(name, value) for name, value in given.items()]
        body = b"" if content is None and method in _WITH_BODY else content
        _check_length(given, body or b"")
        with (
            self._connected(url, target) as connection,
            connection.stream(method, target, headers=sent, content=body) as response,
        ):
            yield Response(response.status, httpx.Headers(response.headers), response.iter_stream())

    @contextmanager
    def _connected(
        self, url: httpx.URL, target: httpcore.URL
    ) -> Iterator[httpcore.HTTPConnection | httpcore.ConnectionPool]:
        """Provide a connection that no other request has meanwhile."""
        if proxy := self._proxy(url):
            pool = self._through(proxy)
            try:
                yield pool
            finally:
                for used in pool.connections:
                    if _has_more(used):
                        used.close()
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
            is_used_up = not connection.is_idle() or _has_more(connection)
            if is_used_up or self._idle.setdefault(key, connection) is not connection:
                connection.close()

    def _new(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        tls = self._known() if origin.scheme == b"https" else None
        return httpcore.HTTPConnection(origin, tls, _IDLE_SECONDS, network_backend=self._backend)

    def _through(self, proxy: httpx.Proxy) -> httpcore.ConnectionPool:
        if proxy not in self._pools:
            self._pools[proxy] = httpcore.ConnectionPool(
                self._known(),
                httpcore.Proxy(_target(proxy.url), proxy.raw_auth),
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=self._backend,
            )
        return self._pools[proxy]

    def _known(self) -> ssl.SSLContext:
        try:
            return self._tls()
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None


def _has_more(connection: Any) -> bool:
    """Whether bytes came behind a response: they would be taken for the next one.

    httpcore leaves them with h11, below one or two connections; where they are not to be found, there may be some.
    """
    while connection is not None and not hasattr(connection, "_h11_state"):
        connection = getattr(connection, "_connection", None)
    return connection is None or bool(connection._h11_state.trailing_data[0])  # noqa: SLF001


def _as_sent(name: str, value: str) -> tuple[bytes, bytes]:
    if NOT_SENT.search(value):
        text = f"the value of the header {name} has a line break, or a blank at an end: it may have been copied with it"
        raise httpcore.LocalProtocolError(text)
    try:
        return name.encode(), value.encode()
    except UnicodeEncodeError:
        raise httpcore.LocalProtocolError(f"the header {name} has half of a character") from None


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
