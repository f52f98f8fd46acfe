"""Which rule of `answers:` an answer meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from msgspec import Raw

from elt_factory.sources.rest_api.answer import Document, UnreadableAnswerError, first_byte
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.body import Body
from elt_factory.sources.rest_api.statuses import retry_after, seconds_to_wait, until_reset


def rule_of(
    rules: Sequence[AnswerRule], status: int, headers: Mapping[str, str], body: Body, parse: Callable[[], Document]
) -> AnswerRule | None:
    """Return the first rule whose conditions all hold; None where there is none."""
    return next((rule for rule in rules if _holds(rule, status, headers, body, parse)), None)


def looks_into(rules: Sequence[AnswerRule], status: int) -> bool:
    """Whether a rule for a status asks what is in the body."""
    return any((rule.path or rule.contains or rule.say) and status in (rule.status or [status]) for rule in rules)


def _holds(
    rule: AnswerRule, status: int, headers: Mapping[str, str], body: Body, parse: Callable[[], Document]
) -> bool:
    if rule.status and status not in rule.status:
        return False
    if rule.header and not _is(headers.get(rule.header.lower()), rule.equals):
        return False
    if rule.path and not _is(text_at(rule.path, parse), rule.equals):
        return False
    return not rule.contains or rule.contains.encode() in bytes(body)


def _is(found: str | None, wanted: object) -> bool:
    if found is None:
        return False
    if wanted is None:
        return True
    text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    return found.strip() == text


def text_at(path: str, parse: Callable[[], Document]) -> str | None:
    """Return the value at a path of a body as text; None where there is none, or the body is not JSON."""
    try:
        raw = parse().find(path)
    except UnreadableAnswerError:
        return None
    return None if raw is None or bytes(raw) == b"null" else _text(raw)


def _text(raw: Raw) -> str:
    with suppress(msgspec.DecodeError):  # half of a surrogate pair is not text
        if first_byte(raw) == b'"':
            return msgspec.json.decode(raw, type=str)
    return bytes(raw).decode(errors="replace")


def seconds_of(rule: AnswerRule, headers: Mapping[str, str]) -> float | None:
    """Return how long a rule wants to wait; None where the answer does not say."""
    if rule.until is None:
        return seconds_to_wait(headers)
    text = headers.get(rule.until.lower(), "").strip()
    found = until_reset(text)
    if found is None:
        found = retry_after(text)
    if found is not None:
        return found
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
