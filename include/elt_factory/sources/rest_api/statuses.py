"""What the status and the headers of an answer mean: whether asking again may heal it, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# a moment in seconds since 1970, rather than a number of seconds
_A_MOMENT = 1_000_000_000
_MILLI = 1000
_REMAINING = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_RESET = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset", "x-ratelimit-reset-after")
_BUSY = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY})


def may_heal(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the same request may be answered later."""
    if status in _BUSY or httpx.codes.is_server_error(status):
        return True
    return status == httpx.codes.FORBIDDEN and is_rate_limit(headers)


def is_rate_limit(headers: Mapping[str, str]) -> bool:
    """Whether a refusal is one of a rate limit, and not of the credentials."""
    return "retry-after" in headers or any(headers.get(name, "").strip() == "0" for name in _REMAINING)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, by Retry-After or its rate limit's end.

    None where it says nothing.
    """
    asked = retry_after(headers.get("retry-after", "").strip())
    if asked is not None:
        return asked
    if not any(headers.get(name, "").strip() == "0" for name in _REMAINING):
        return None
    return next((wait for name in _RESET if (wait := until_reset(headers.get(name, ""))) is not None), None)


def retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def until_reset(text: str) -> float | None:
    """Return the seconds until a rate limit ends.

    GitHub says when that is, others in milliseconds, others how long it takes.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    if not 0 <= number < 100 * _A_MOMENT * _MILLI:
        return None
    number = number / _MILLI if number >= _A_MOMENT * _MILLI else number
    return max(0.0, number - datetime.now(UTC).timestamp()) if number >= _A_MOMENT else number
