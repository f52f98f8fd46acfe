"""How one try of a request ended: what is taken as its answer, what may heal, and what an error means."""

from __future__ import annotations

from collections.abc import Mapping

import httpcore
import httpx

from elt_factory.core.failures import AccessDeniedError, BadDataError, BadRequestError, EltError
from elt_factory.sources.rest_api.exchange import Answer, Call
from elt_factory.sources.rest_api.statuses import may_heal

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NotReady(str):
    """The cause of a try to which the server says that it is not ready."""

    __slots__ = ()


class NotSent(str):
    """The cause of a try that reached no server."""

    __slots__ = ()


def cause_of(error: Exception, seconds: float, said: str) -> str:
    """Return why there is no answer now, of a request that has a number of seconds; `said` is the error's own text."""
    if isinstance(error, httpcore.TimeoutException):
        return f"response exceeded the total timeout of {seconds:g} s"
    text = said or type(error).__name__
    return NotSent(text) if isinstance(error, httpcore.ConnectError) else text


def outcome_may_heal(answer: Answer) -> bool:
    """Whether the same request may have another answer later."""
    if answer.rule:
        return answer.rule.do in ("retry", "wait")
    return may_heal(answer.status, answer.headers)


def is_refusal(outcome: Answer | str) -> bool:
    """Whether a request that is to have an effect certainly had none, and may be sent again."""
    if isinstance(outcome, Answer):
        return outcome.rule is not None or outcome.status < httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(outcome, NotSent)


def leads_on(call: Call, answer: Answer) -> bool:
    """Whether an answer is a redirect to follow."""
    return answer.status in _REDIRECTS and "location" in answer.headers and not gave_cookies(call, answer)


def gave_cookies(call: Call, answer: Answer) -> bool:
    """Whether a login that was asked for cookies has given some: forms lead to a page for people then."""
    return call.for_cookies and answer.status < httpx.codes.BAD_REQUEST and "set-cookie" in answer.headers


def meaning_of(status: int, conn_id: str) -> tuple[type[EltError], str]:
    """Return which error a status is, and what helps."""
    named = f'the connection "{conn_id}"'
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return AccessDeniedError, f"check the login and password of {named}, and auth: in the config"
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return AccessDeniedError, f"check the login in the address of the proxy: in the extra of {named}, or HTTP_PROXY"
    if status == httpx.codes.GONE:
        return BadRequestError, "where a delta_token has expired, run with full refresh; else check path:"
    if status == httpx.codes.NOT_FOUND:
        return BadRequestError, f"check path: in the config and the host of {named}"
    if httpx.codes.is_client_error(status):
        return BadRequestError, "check path: and params: in the config"
    return BadDataError, ""


def records_json(answer: Answer) -> None:
    """Refuse an answer that is not JSON with records."""
    _ = answer.document


def any_json(answer: Answer) -> None:
    """Refuse an answer that is not JSON, whatever its status."""
    _ = answer.parsed


def anything(_: Answer) -> None:
    """Take whatever came."""


def merged(*headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers of which the last one of a name counts, in whatever case it is written."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in (pair for some in headers for pair in some.items()):
        found[name.casefold()] = (name, value)
    return dict(found.values())
