"""A request and its answer, and how often and how long one asks again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import httpx

from elt_factory.sources.rest_api.answer import Document
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.body import Body
from elt_factory.sources.rest_api.sending import GET, Sending
from elt_factory.sources.rest_api.whole import check_status, parse_answer


@dataclass(frozen=True)
class Patience:
    """How often one request is tried, and how long is waited between tries (seconds)."""

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_retry_after: float = 120.0
    waits: int = 20  # as often a rule of `answers` may say that the request waits
    sleep: Callable[[float], object] | None = None  # in place of `time.sleep`

    def pause(self, seconds: float) -> None:
        """Sleep."""
        (self.sleep or time.sleep)(seconds)

    def wait(self, failed_tries: int, retry_after: float | None) -> float:
        """Return the seconds to wait after that many failed tries: as the server asks, else doubling with jitter."""
        if retry_after is not None:
            return min(retry_after, self.longest_retry_after)
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failed_tries - 1))
        return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads clients, hides nothing


@dataclass(frozen=True)
class Answer:
    """One whole answer; `headers` finds names in any case. A large body is a file, gone when no one holds it."""

    url: httpx.URL
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Body = field(repr=False)
    method: str = "GET"
    rule: AnswerRule | None = None  # of `answers`, that it meets

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
        check_status(self.status)
        return self.parsed

    @cached_property
    def parsed(self) -> Document:
        """The JSON in it, also where the status says that it holds no records.

        Raises:
            UnreadableAnswerError: it holds none.
        """
        return parse_answer(self.status, self.headers, self.body)


Check = Callable[[Answer], None]


@dataclass(frozen=True)
class Call:
    """One request.

    Args:
        url: Where.
        sending: What is sent.
        check: What a good answer has to pass.
        rules: The rules of `answers` for it.
        bare: It goes to another host than the connection's, which gets nothing that may be secret.
        is_login: It asks for a token, so it has none.
        once: It starts something, and is not sent again where it may have done so.
        for_cookies: It is a login whose cookies count, and whatever else it answers does not.
    """

    url: httpx.URL
    sending: Sending = GET
    check: Check = field(default=lambda _: None)
    rules: Sequence[AnswerRule] = ()
    bare: bool = False
    is_login: bool = False
    for_cookies: bool = False
    once: bool = False

    def __str__(self) -> str:
        return f"{self.sending.method} {shown(self.url)}"


def origin_of(url: httpx.URL) -> tuple[str, str, int | None, bytes]:
    """Return what tells one server from another, with the login in an address: it would take the connection's place."""
    return url.scheme, url.host, url.port, url.userinfo


def shown(url: httpx.URL) -> str:
    """Write the address for people: no query, which may hold what is no one's business, and no login."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))
