"""GET over HTTP as sources need it: paced, patient, and never giving the secret to another host."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx

from elt_factory.config.extract import RestApi
from elt_factory.config.values import Rate
from elt_factory.extract.auth import auth_headers, base_url
from elt_factory.extract.request import Connection
from elt_factory.extract.subject import Subject
from elt_factory.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    SourceUnavailableError,
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_EXCERPT = 200


@dataclass(frozen=True)
class Patience:
    """How often one request is tried, and how long is waited between tries (seconds)."""

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_retry_after: float = 120.0

    def wait(self, failed_tries: int, retry_after: float | None) -> float:
        """Return the seconds to wait after so many failed tries: as the server asks, else doubling with jitter."""
        if retry_after is not None:
            return min(retry_after, self.longest_retry_after)
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads clients, hides nothing


PATIENCE = Patience()


class Pace:
    """Spaces requests evenly: a burst would only bring 429 from servers that count by the second."""

    def __init__(self, rate: Rate | None) -> None:
        self._interval = rate.seconds / rate.count if rate else 0.0
        self._next = time.monotonic()

    def wait(self) -> None:
        """Sleep until the next request may go."""
        now = time.monotonic()
        time.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + self._interval


@dataclass(frozen=True)
class Answer:
    """One whole answer; `headers` finds names in any case."""

    url: httpx.URL
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends the GET requests of one table. Use it in a `with`.

    Every request is retried on 429, 5xx and broken connections. What is left then raises AccessDeniedError (401, 403),
    BadRequestError (other 4xx), SourceUnavailableError (429, 5xx, no connection, time-out) or BadDataError (an answer
    that leads to another host).
    """

    def __init__(
        self, api: RestApi, connection: Connection, subject: Subject, patience: Patience | None = None
    ) -> None:
        # their lines hold query strings and the answers' headers, and a server may echo a key in those
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._subject = subject
        self._connection = connection
        self._patience = patience or PATIENCE
        self._pace = Pace(api.rate_limit)
        self._seconds = api.timeout.total_seconds()
        self._base = base_url(connection, subject)
        headers = {**api.headers, **auth_headers(api, connection, subject)}
        self._client = httpx.Client(
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            timeout=self._seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str | int | float | bool]) -> Answer:
        """Return the answer of an endpoint below the connection's address."""
        try:
            url = httpx.URL(str(self._base).rstrip("/") + "/" + path.lstrip("/")).copy_merge_params(dict(params))
        except httpx.InvalidURL as error:
            raise self._subject.error(BadRequestError, f'the path "{path}" makes no address: {error}') from None
        return self._follow(url)

    def get_link(self, link: str, found_on: httpx.URL) -> Answer:
        """Return the answer of an address that an answer gave, absolute or relative to where it was found."""
        return self._follow(self._own(link, found_on))

    def _follow(self, url: httpx.URL) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._patiently(url)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return self._accept(answer)
            url = self._own(answer.headers["location"], answer.url)
        raise self._subject.error(BadDataError, f"GET {shown(url)}: more than {_MOST_REDIRECTS} redirects")

    def _own(self, link: str, found_on: httpx.URL) -> httpx.URL:
        """The link's address; BadDataError when it leaves the connection's scheme, host and port."""
        try:
            url = found_on.join(link)
        except httpx.InvalidURL as error:
            raise self._subject.error(BadDataError, f'the link "{link}" is no address: {error}') from None
        if _origin(url) != _origin(self._base):
            raise self._subject.error(
                BadDataError,
                f"GET {shown(found_on)}: the answer leads to {shown(url)}, away from {shown(self._base)}; "
                "the secret is not sent there",
                f'when that address is right, write it in the connection "{self._connection.conn_id}"',
            )
        return url

    def _patiently(self, url: httpx.URL) -> Answer:
        for failed in range(1, self._patience.tries + 1):
            outcome = self._attempt(url)
            if isinstance(outcome, Answer) and not _may_heal(outcome.status):
                return outcome
            if failed < self._patience.tries:
                time.sleep(self._patience.wait(failed, _retry_after(outcome)))
        tries = f"{self._patience.tries} tries"
        cause = self._told(outcome) if isinstance(outcome, Answer) else outcome
        raise self._subject.error(SourceUnavailableError, f"GET {shown(url)}: {cause}, after {tries}")

    def _attempt(self, url: httpx.URL) -> Answer | str:
        """The answer, or the cause why there is none now."""
        self._pace.wait()
        try:
            return self._once(url)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise self._subject.error(BadRequestError, f"GET {shown(url)}: {error}") from None
        except httpx.TimeoutException:
            return f"no whole answer within {self._seconds:g} s"
        except httpx.RequestError as error:
            return str(error) or type(error).__name__

    def _once(self, url: httpx.URL) -> Answer:
        give_up = time.monotonic() + self._seconds
        chunks = []
        with self._client.stream("GET", url) as response:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                if time.monotonic() > give_up:
                    raise httpx.ReadTimeout("the answer trickles")
            return Answer(response.url, response.status_code, response.headers, b"".join(chunks))

    def _accept(self, answer: Answer) -> Answer:
        if httpx.codes.is_success(answer.status):
            return answer
        kind, mend = self._meaning(answer.status)
        raise self._subject.error(kind, f"GET {shown(answer.url)}: {self._told(answer)}", mend)

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
        text = self._subject.clean(" ".join(answer.body.decode(errors="replace").split()))[:_EXCERPT]
        status = f"{answer.status} {httpx.codes.get_reason_phrase(answer.status)}".strip()
        return f"{status}: {text}" if text else status


def _may_heal(status: int) -> bool:
    return status == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(status)


def _retry_after(outcome: Answer | str) -> float | None:
    """Seconds that the server asks to wait; None when it does not say."""
    text = outcome.headers.get("retry-after", "").strip() if isinstance(outcome, Answer) else ""
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _origin(url: httpx.URL) -> tuple[str, str, int | None, bytes]:
    # a login inside a link would be sent in place of ours
    return url.scheme, url.host, url.port, url.userinfo


def shown(url: httpx.URL) -> str:
    """Write the address for people: no query, which may hold what is nobody's business, and no login."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))
