"""Which proxy a request goes through: the connection's, else the one that the environment names for its address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from elt_factory.extract.label import TableLabel

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


class UnusableProxyError(ValueError):
    """A proxy is none of http or https, or its address cannot be read. The message has nothing of the address."""


class Proxies:
    """The proxies of a client.

    Args:
        given: Those in the connection's extra, by what requests calls them: `https`, `https://host`, `all`.
        conn_id: The connection.
        trust_env: Whether the environment is asked where the connection names none.
        label: Learns the passwords of proxies, so that no message has one.
    """

    def __init__(self, given: Mapping[str, str], conn_id: str, *, trust_env: bool, label: TableLabel) -> None:
        self._given, self._conn_id, self._trust_env, self._label = given, conn_id, trust_env, label
        self._known: dict[tuple[str, str, int | None], httpx.Proxy | None] = {}

    def of(self, url: httpx.URL) -> httpx.Proxy | None:
        """Return the proxy for an address; None where a request goes there by itself.

        Raises:
            UnusableProxyError: it cannot be used.
        """
        key = url.scheme, url.host, url.port
        if key not in self._known:
            self._known[key] = self._found(url)
        return self._known[key]

    def _found(self, url: httpx.URL) -> httpx.Proxy | None:
        scheme, host = url.scheme, url.host
        for name in (f"{scheme}://{host}", scheme, f"all://{host}", "all"):
            if given := self._given.get(name):
                return self._parsed(given, f'the extra of the connection "{self._conn_id}"')
        if not self._trust_env or not host or self._is_bypassed(url):
            return None
        proxies = getproxies()
        named = (proxies.get(scheme) or proxies.get("all") or "").strip()
        return self._parsed(named, f"the environment ({scheme.upper()}_PROXY or ALL_PROXY)") if named else None

    @staticmethod
    def _is_bypassed(url: httpx.URL) -> bool:
        """Whether NO_PROXY names the host, with its port or without."""
        port = url.port or _PORTS.get(url.scheme, 0)
        return any(map(proxy_bypass, (url.host, f"{url.host}:{port}")))

    def _parsed(self, text: str, place: str) -> httpx.Proxy:
        try:
            # most programs take an address without a scheme
            url = httpx.URL(text if "://" in text else f"http://{text}")
            is_whole = bool(url.host) and url.raw_path == b"/"
        except (httpx.InvalidURL, UnicodeError):
            is_whole = False
        if not is_whole:
            hint = "write http://host:port, and %40 for a @ in its login"
            raise UnusableProxyError(f"the address of the proxy in {place} cannot be read: {hint}")
        if url.scheme not in _SCHEMES:
            raise UnusableProxyError(f"the proxy in {place} is one of {url.scheme}, not of http or https")
        if url.password:
            self._label.learn(url.password)
        return httpx.Proxy(url)
