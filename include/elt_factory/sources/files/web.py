"""A folder on a web server: files by their names, as it lists none, each fetched as its headers said."""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import ClassVar

import httpx

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.files.store import UNKNOWN_SIZE, Found, Store, changed
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth import auth_of, base_url, static_headers
from elt_factory.sources.rest_api.body import decoded
from elt_factory.sources.rest_api.damage import DamagedAnswerError, UnreadableAnswerError
from elt_factory.sources.rest_api.exchange import Patience, origin_of, shown
from elt_factory.sources.rest_api.proxies import Proxies, UnusableProxyError
from elt_factory.sources.rest_api.settings import settings_of
from elt_factory.sources.rest_api.statuses import may_heal, seconds_to_wait

_ESCAPED = re.compile(r"\[([*?[])\]")
_PATTERN = re.compile(r"[*\[]")
_GONE = (404, 410)
_NO_HEAD = (400, 403, 405, 501)
_REFUSED = (401, 403)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_SECONDS = httpx.Timeout(60.0, connect=10.0)
_CHUNK = 1024 * 1024
_EXCERPT = 200
# as it is stored, so that the length and the ETag are those of the file
_HEADERS = {"Accept-Encoding": "identity"}

PATIENCE = Patience()


class WebStore(Store):
    """Files below an address. A redirect to another host is followed without anything of the connection.

    Args:
        connection: Where they are, and the login.
        folder: The folder below the connection's address.
    """

    lists: ClassVar[bool] = False

    def __init__(self, connection: Connection, folder: str) -> None:
        # their lines hold query strings
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._label = _NoTable("", "", secrets_of(connection))
        base = base_url(connection, self._label)
        if not {"?", "#"}.isdisjoint(folder):
            raise self._label.error(BadRequestError, "the folder has a query or a fragment", "write its path alone")
        self._base = httpx.URL("/".join(filter(None, (str(base).rstrip("/"), folder.strip("/")))))
        settings = settings_of(connection, self._label)
        # without auth: in a config, the connection says how
        api = RestApi(type="rest_api", connection="files")
        self._own = {**settings.headers, **static_headers(auth_of(api, connection), connection, self._label)}
        conn_id = connection.conn_id
        proxies = Proxies(settings.proxies, conn_id, trust_env=settings.trust_env, label=self._label)
        try:
            proxies.of(base)
            self._client = httpx.Client(
                headers=_HEADERS, timeout=_SECONDS, transport=_Transport(settings.tls(), proxies), trust_env=False
            )
        except UnusableProxyError as error:
            raise self._label.error(BadRequestError, str(error)) from None
        except (OSError, ValueError) as error:
            text = f'invalid extra in the connection "{conn_id}": {error}'
            raise self._label.error(BadRequestError, text, "check verify and cert") from None

    def __str__(self) -> str:
        return shown(self._base)

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()

    def find(self, pattern: str) -> list[Found]:
        """Return the file of a name.

        Raises:
            BadRequestError: it is a pattern.
        """
        name = _ESCAPED.sub("", pattern)
        if _PATTERN.search(name):
            raise BadRequestError(
                f'"{pattern}" is a pattern, but a web server lists no files; hint: write names, with %Y %m %d %H or '
                "templates for those that change"
            )
        found = self.look(_ESCAPED.sub(r"\1", pattern))
        return [found] if found else []

    def look(self, name: str) -> Found | None:
        """Return what the headers of a file say."""
        for method in ("HEAD", "GET"):
            with self._asked(method, name) as answer:
                if answer.status_code in _GONE:
                    return None
                if method == "HEAD" and answer.status_code in _NO_HEAD:
                    continue
                self._accept(answer)
                return _found(name, answer.headers)
        return None

    def matches(self, pattern: str) -> Sequence[Found]:
        """Return the file of a name."""
        return self.find(pattern)

    def names(self, folder: str) -> Sequence[str]:  # noqa: ARG002
        """Return no name."""
        return ()

    def fetch(self, found: Found, folder: Path, most: int | None = None) -> Path:
        """Return a copy of a file; one that is cut off, or damaged on its way, is asked for again."""
        folder.mkdir(parents=True)
        target = folder / (PurePosixPath(found.name.partition("?")[0]).name or "file")
        for tries in range(1, PATIENCE.tries + 1):
            try:
                self._download(found, target, most)
                break
            except httpx.TransportError as error:
                if tries == PATIENCE.tries:
                    raise self._down(error) from None
            except DamagedAnswerError as error:
                if tries == PATIENCE.tries:
                    raise self._label.error(SourceUnavailableError, f"{found.name} of {self}: {error}") from None
            except UnreadableAnswerError as error:
                raise self._label.error(BadDataError, f"{found.name} of {self}: {error}") from None
            time.sleep(PATIENCE.wait(tries, None))
        return target

    def _download(self, found: Found, target: Path, most: int | None) -> None:
        with self._asked("GET", found.name) as answer:
            if answer.status_code in _GONE:
                raise changed(found.name)
            self._accept(answer)
            if _contradict(_found(found.name, answer.headers), found):
                raise changed(found.name)
            left = most
            with target.open("wb") as copy:
                # httpx takes packed bytes that are cut off for whole ones
                for chunk in decoded(answer.iter_raw(_CHUNK), answer.headers):
                    copy.write(chunk[:left])
                    left = None if left is None else left - len(chunk)
                    if left is not None and left <= 0:
                        return
            _check_whole(answer, found)

    @contextmanager
    def _asked(self, method: str, name: str) -> Iterator[httpx.Response]:
        """Provide the answer, after redirects, and after other tries where the server is busy."""
        failed = 0
        while True:
            try:
                answer = self._follow(method, self._url(name))
            except httpx.TransportError as error:
                failed += 1
                if failed >= PATIENCE.tries:
                    raise self._down(error) from None
                time.sleep(PATIENCE.wait(failed, None))
                continue
            try:
                failed += 1
                if may_heal(answer.status_code, answer.headers) and failed < PATIENCE.tries:
                    time.sleep(PATIENCE.wait(failed, seconds_to_wait(answer.headers)))
                    continue
                yield answer
            finally:
                answer.close()
            return

    def _follow(self, method: str, url: httpx.URL) -> httpx.Response:
        own, start = self._own, url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._client.send(self._client.build_request(method, url, headers=own), stream=True)
            link = answer.headers.get("location")
            if answer.status_code not in _REDIRECTS or link is None:
                return answer
            answer.close()
            url = self._joined(url, link)
            if origin_of(url) != origin_of(start):
                own = {}
        raise self._label.error(BadRequestError, f"{shown(start)}: more than {_MOST_REDIRECTS} redirects")

    def _joined(self, url: httpx.URL, link: str) -> httpx.URL:
        try:
            found = url.join(link)
        except (httpx.InvalidURL, ValueError):
            raise self._label.error(BadRequestError, f"{shown(url)} leads to an address that is not valid") from None
        if found.scheme not in ("http", "https") or (url.scheme, found.scheme) == ("https", "http"):
            raise self._label.error(BadRequestError, f"{shown(url)}: refusing to follow {shown(found)}: not encrypted")
        return found

    def _url(self, name: str) -> httpx.URL:
        if "#" in name:
            raise self._label.error(BadRequestError, f'"{name}" has a fragment', "write %%23 for a # in a name")
        try:
            return httpx.URL(f"{str(self._base).rstrip('/')}/{name}")
        except httpx.InvalidURL as error:
            raise self._label.error(BadRequestError, f'"{name}" is not a valid path: {error}') from None

    def _accept(self, answer: httpx.Response) -> None:
        status, where = answer.status_code, shown(answer.request.url)
        if status in _REFUSED and not may_heal(status, answer.headers):
            hint = "check login and password of the connection, or the headers in its extra"
            raise self._label.error(AccessDeniedError, f"{where} returned status {status}", hint)
        if may_heal(status, answer.headers) or status == httpx.codes.ACCEPTED:
            raise self._label.error(SourceUnavailableError, f"{where} returned status {status}")
        if status != httpx.codes.OK:
            raise self._label.error(BadRequestError, f"{where} returned status {status}")

    def _down(self, error: httpx.TransportError) -> EltError:
        said = self._label.clean(str(error))[:_EXCERPT] or type(error).__name__
        return self._label.error(SourceUnavailableError, f"{self} did not answer: {said}")


class _Transport(httpx.BaseTransport):
    """Sends each request through the proxy of its address, or by itself."""

    def __init__(self, tls: ssl.SSLContext, proxies: Proxies) -> None:
        self._tls, self._proxies = tls, proxies
        self._known: dict[httpx.Proxy | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            proxy = self._proxies.of(request.url)
        except UnusableProxyError as error:
            raise httpx.UnsupportedProtocol(str(error)) from None
        if proxy not in self._known:
            self._known[proxy] = httpx.HTTPTransport(verify=self._tls, proxy=proxy)
        return self._known[proxy].handle_request(request)

    def close(self) -> None:
        for transport in self._known.values():
            transport.close()


class _NoTable(TableLabel):
    """A label for messages that get the name of their table later."""

    def error(self, kind: type[EltError], text: str, hint: str = "") -> EltError:  # type: ignore[override]
        return kind(self.clean(f"{text}; hint: {hint}" if hint else text))


def place_of(url: str, connection: Connection | None) -> tuple[Connection, str]:
    """Return the connection and the folder that a URL and a connection name together.

    Raises:
        BadRequestError: they name two servers.
    """
    parts = httpx.URL(url)
    host = str(parts.copy_with(path="/", query=None, fragment=None)).rstrip("/")
    if connection is None:
        return Connection("", "http", host=host), parts.path
    if connection.host:
        known = base_url(connection, _NoTable("", ""))
        if origin_of(known) != origin_of(parts):
            raise BadRequestError(
                f'the folder is on {parts.host}, but the connection "{connection.conn_id}" is one to {known.host}, '
                "which gets its login alone; hint: use a connection of that server"
            )
    return replace(connection, host=host, schema=None, port=None), parts.path


def _found(name: str, headers: Mapping[str, str]) -> Found:
    length = headers.get("content-length", "")
    # to HEAD some servers say 0 for whatever they make on demand
    known = length.isdecimal() and "content-encoding" not in headers and int(length) > 0
    size = int(length) if known else UNKNOWN_SIZE
    modified, sent = _moment(headers.get("last-modified", "")), _moment(headers.get("date", ""))
    if modified and sent and modified >= sent:
        modified = None  # what is made for each request says nothing of the file
    return Found(name, size, modified, headers.get("etag", ""))


def _contradict(one: Found, other: Found) -> bool:
    """Whether two answers differ in what both of them say: not every server says the same to HEAD and GET."""
    pairs = ((one.tag, other.tag), (one.modified, other.modified))
    return any(here and there and here != there for here, there in pairs) or _differ(one.size, other.size)


def _check_whole(answer: httpx.Response, found: Found) -> None:
    """Compare what came with the size that was found: where the answer says none, its end proves nothing."""
    came = answer.num_bytes_downloaded
    if "content-encoding" not in answer.headers and _differ(came, found.size):
        raise DamagedAnswerError(f"{came:,} of {found.size:,} bytes came")


def _differ(one: int, other: int) -> bool:
    return UNKNOWN_SIZE not in (one, other) and one != other


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
