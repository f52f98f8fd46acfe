"""GET over HTTP as sources need it: paced, patient, and never giving the secret to another host."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.extract.subject import Subject
from elt_factory.sources.rest_api.answer import Document
from elt_factory.sources.rest_api.auth import auth_headers, auth_params, base_url
from elt_factory.sources.rest_api.body import Body, read_body
from elt_factory.sources.rest_api.damage import (
    DamagedAnswerError,
    NotReadyAnswerError,
    TooLargeAnswerError,
    UnreadableAnswerError,
)
from elt_factory.sources.rest_api.model import RestApi
from elt_factory.sources.rest_api.pace import Pace
from elt_factory.sources.rest_api.punctual import LOCATION, Deadline, PunctualTransport
from elt_factory.sources.rest_api.settings import HttpSettings, settings_of
from elt_factory.sources.rest_api.statuses import may_heal, seconds_to_wait
from elt_factory.sources.rest_api.whole import parse_answer

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_EXCERPT = 200
_MOST_OF_AN_ERROR = 100_000
# what body.py can unpack, and no more than that is asked for
_OURS = {"Accept-Encoding": "gzip, deflate"}

Check = Callable[["Answer"], None]


@dataclass(frozen=True)
class Patience:
    """How often one request is tried, and how long is waited between tries (seconds)."""

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_retry_after: float = 120.0

    def wait(self, failed_tries: int, retry_after: float | None) -> float:
        """Return the seconds to wait after that many failed tries: as the server asks, else doubling with jitter."""
        if retry_after is not None:
            return min(retry_after, self.longest_retry_after)
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads clients, hides nothing


PATIENCE = Patience()


@dataclass(frozen=True)
class Answer:
    """One whole answer; `headers` finds names in any case. A large body is a file, gone when no one holds it."""

    url: httpx.URL
    status: int
    headers: Mapping[str, str]
    body: Body

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return httpx.codes.is_success(self.status)

    @cached_property
    def document(self) -> Document:
        """The JSON in it.

        Raises:
            UnreadableAnswerError: it holds none.
        """
        return parse_answer(self.status, self.headers, self.body)


class HttpClient:
    """Sends the GET requests of one table. Use it in a `with`.

    Every request is retried on 408, 425, 429, 5xx, a refusal that is a rate limit, broken connections and, where JSON
    is expected, answers that are cut off, empty or a web page. What is left then raises AccessDeniedError (401, 403),
    BadRequestError (other 4xx), SourceUnavailableError (429, 5xx, no connection, time-out, a damaged answer),
    SourceNotReadyError (202) or BadDataError (an answer that leads to another host, or is too large).

    Args:
        api: What the config says of the API.
        connection: Where it is, and its secret.
        subject: Whose messages these are.
        patience: How often one request is tried.
        scratch: A folder for large answers.
    """

    def __init__(
        self,
        api: RestApi,
        connection: Connection,
        subject: Subject,
        patience: Patience | None = None,
        scratch: Path | None = None,
    ) -> None:
        # their lines hold query strings and the answers' headers, and a server may echo a key in those
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._subject, self._connection = subject, connection
        self._scratch = str(scratch) if scratch else None
        self._patience = patience or PATIENCE
        self._most_bytes = api.max_answer_mb * 1_000_000
        self._base = base_url(connection, subject)
        self._secret_params = auth_params(api, connection, subject)
        self._pace = Pace(api.rate_limit, f"{connection.conn_id} {'|'.join(map(str, _origin(self._base)))}")
        self._deadline = Deadline(api.timeout.total_seconds())
        settings = settings_of(connection, self._base.scheme, subject)
        headers = {**_OURS, **settings.headers, **api.headers, **auth_headers(api, connection, subject)}
        self._client = httpx.Client(
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            timeout=self._deadline.seconds,
            transport=self._transport(settings),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str | int | float | bool]) -> Answer:
        """Return the answer of an endpoint below the connection's address, whatever it holds."""
        return self._follow(self._below(path, params), _anything)

    def get_json(self, path: str, params: Mapping[str, str | int | float | bool]) -> Answer:
        """Return the answer of an endpoint, which is JSON: a damaged one is asked for again."""
        return self._follow(self._below(path, params), _json)

    def get_link(self, link: str, found_on: httpx.URL) -> Answer:
        """Return the JSON at an address that an answer gave, absolute or relative to where it was found."""
        return self._follow(self._own(link, found_on), _json)

    def probe(self, path: str) -> Answer | str:
        """Return the answer of an endpoint at the first try, or the cause why there is none now."""
        return self._attempt(self._below(path, {}), _anything)

    def shown_at(self, path: str) -> str:
        """Return the address of an endpoint for people, without its query."""
        return shown(self._below(path, {}))

    def _transport(self, settings: HttpSettings) -> PunctualTransport:
        try:
            return PunctualTransport(
                self._deadline,
                verify=settings.tls(),
                trust_env=settings.trust_env,
                proxy=settings.proxy or (_proxy_of_environment(self._base) if settings.trust_env else None),
            )
        except (OSError, ValueError, httpx.InvalidURL) as error:
            named = f'invalid extra in the connection "{self._connection.conn_id}": {error}'
            raise self._subject.error(BadRequestError, named, "check verify, cert and proxies") from None

    def _below(self, path: str, params: Mapping[str, str | int | float | bool]) -> httpx.URL:
        try:
            return httpx.URL(str(self._base).rstrip("/") + "/" + path.lstrip("/")).copy_merge_params(dict(params))
        except httpx.InvalidURL as error:
            raise self._subject.error(BadRequestError, f'the path "{path}" is not a valid URL path: {error}') from None

    def _follow(self, url: httpx.URL, check: Check) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._patiently(url, check)
            if answer.status not in _REDIRECTS or LOCATION not in answer.headers:
                return self._accept(answer)
            url = self._own(answer.headers[LOCATION], answer.url)
        raise self._subject.error(BadDataError, f"GET {shown(url)}: more than {_MOST_REDIRECTS} redirects")

    def _own(self, link: str, found_on: httpx.URL) -> httpx.URL:
        """Return the link's address.

        Raises:
            BadDataError: it leaves the connection's scheme, host and port.
        """
        try:
            url = found_on.join(link)
            origin = _origin(url)
        # httpx lets some of what urllib and idna find wrong through as it is
        except (httpx.InvalidURL, ValueError) as error:
            text = f'GET {shown(found_on)}: the link "{link.partition("?")[0]}" is not a valid address: {error}'
            raise self._subject.error(BadDataError, text) from None
        if origin != _origin(self._base):
            raise self._subject.error(
                BadDataError,
                f"GET {shown(found_on)}: refusing to follow {shown(url)}: different host than {shown(self._base)}, "
                "credentials are not forwarded",
                f'if that address is correct, set it in the connection "{self._connection.conn_id}"',
            )
        return url

    def _patiently(self, url: httpx.URL, check: Check) -> Answer:
        for failed in range(1, self._patience.tries + 1):
            outcome = self._attempt(url, check)
            if isinstance(outcome, Answer) and not may_heal(outcome.status, outcome.headers):
                return outcome
            if failed < self._patience.tries:
                asked = seconds_to_wait(outcome.headers) if isinstance(outcome, Answer) else None
                time.sleep(self._patience.wait(failed, asked))
        raise self._given_up(url, outcome)

    def _given_up(self, url: httpx.URL, outcome: Answer | str) -> EltError:
        """Return the error of the last try."""
        after = f"after {self._patience.tries} tries"
        if isinstance(outcome, _NotReady):
            return self._subject.error(SourceNotReadyError, f"GET {shown(url)}: {outcome}, {after}")
        cause = self._told(outcome) if isinstance(outcome, Answer) else outcome
        return self._subject.error(SourceUnavailableError, f"GET {shown(url)}: {cause}, {after}")

    def _attempt(self, url: httpx.URL, check: Check) -> Answer | str:
        """Return the answer, or the cause why there is none now."""
        self._pace.wait()
        try:
            return self._once(url, check)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            raise self._subject.error(BadRequestError, f"GET {shown(url)}: {error}") from None
        except NotReadyAnswerError as error:
            return _NotReady(error)
        except DamagedAnswerError as error:
            return str(error)
        except UnreadableAnswerError as error:
            hint = "request smaller pages, or raise max_answer_mb" if isinstance(error, TooLargeAnswerError) else ""
            raise self._subject.error(BadDataError, f"GET {shown(url)}: {error}", hint) from None
        except httpx.TimeoutException:
            return f"response exceeded the total timeout of {self._deadline.seconds:g} s"
        except httpx.RequestError as error:
            return str(error) or type(error).__name__

    def _once(self, url: httpx.URL, check: Check) -> Answer:
        self._deadline.begin()
        sent = url.copy_merge_params(self._secret_params) if self._secret_params else url
        with self._client.stream("GET", sent) as response:
            status = response.status_code
            # what an error says is quoted with a few words: the rest is left where it is
            limit = self._most_bytes if response.is_success else _MOST_OF_AN_ERROR
            body = read_body(
                _within(response, limit), response.headers, limit, str(self._scratch) if self._scratch else None
            )
            answer = Answer(url, status, response.headers, body)
        if response.is_success:
            check(answer)
        return answer

    def _accept(self, answer: Answer) -> Answer:
        if httpx.codes.is_success(answer.status):
            return answer
        kind, hint = self._meaning(answer.status)
        raise self._subject.error(kind, f"GET {shown(answer.url)}: {self._told(answer)}", hint)

    def _meaning(self, status: int) -> tuple[type[EltError], str]:
        named = f'the connection "{self._connection.conn_id}"'
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return AccessDeniedError, f"check the login and password of {named}, and auth: in the config"
        if status == httpx.codes.NOT_FOUND:
            return BadRequestError, f"check path: in the config and the host of {named}"
        if httpx.codes.is_client_error(status):
            return BadRequestError, "check path: and params: in the config"
        return BadDataError, ""

    def _told(self, answer: Answer) -> str:
        """`404 Not Found: {"error": ...}`; cleaned before it is cut, or half a secret could stay."""
        text = self._subject.clean(" ".join(bytes(answer.body).decode(errors="replace").split()))[:_EXCERPT]
        status = f"{answer.status} {httpx.codes.get_reason_phrase(answer.status)}".strip()
        return f"{status}: {text}" if text else status


class _NotReady(str):
    """The cause of a try to which the server says that it is not ready."""

    __slots__ = ()


def _anything(_: Answer) -> None:
    """Any body will do."""


def _json(answer: Answer) -> None:
    """Refuse an answer that is not JSON."""
    _ = answer.document


def _within(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """Yield the raw bytes of an answer; of one that is an error, no more than is quoted."""
    if response.is_success:
        yield from response.iter_raw()
        return
    size = 0
    for chunk in response.iter_raw():
        yield chunk[: limit - size]
        size += len(chunk)
        if size >= limit:
            return


def _proxy_of_environment(url: httpx.URL) -> str | None:
    """Return the proxy that the environment names for an address, as httpx would find it for a transport of its own."""
    from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


def _origin(url: httpx.URL) -> tuple[str, str, int | None, bytes]:
    # a login inside a link would be sent instead of the connection's
    return url.scheme, url.host, url.port, url.userinfo


def shown(url: httpx.URL) -> str:
    """Write the address for people: no query, which may hold what is no one's business, and no login."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))
