"""Durations as YAML writes them: 30s, 15m, 1h30m, 2d."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from elt_factory.config.errors import MistakeError, invalid, shown

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]+[smhdw])+")
_LONGEST = timedelta(days=36500)


def parse_duration(value: object) -> timedelta:
    """Read "90s", "1h", "1h30m", "2d", "1w".

    Raises:
        ValueError: anything else, and for more than a hundred years.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise MistakeError(invalid("duration", value), "write it like 30s, 15m, 1h30m, 2d")
    return _duration_of(value)


@lru_cache(maxsize=1024)
def _duration_of(value: str) -> timedelta:
    seconds = sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", value))
    if seconds > _LONGEST.total_seconds():
        raise MistakeError(f"{shown(value)} is too long", "write at most 36500d")
    return timedelta(seconds=seconds)


def parse_lag(value: object) -> timedelta | int:
    """Read a duration, or a whole number that is not below 0.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise MistakeError(f"invalid lag {value}: it is negative", "write a positive number, like 1000")
        return value
    if isinstance(value, (str, timedelta)):
        return parse_duration(value)
    raise MistakeError(invalid("lag", value), "write a duration like 1h, or a number like 1000")


def _format_lag(value: timedelta | int) -> str | int:
    return value if isinstance(value, int) else format_duration(value)


def format_duration(value: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back to the same value."""
    seconds, text = int(value.total_seconds()), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise MistakeError("duration must be greater than zero", "write at least 1s")
    return value


_WRITTEN = {"type": "string", "pattern": r"^([0-9]+[smhdw])+$"}
Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration), WithJsonSchema(_WRITTEN)
]
Lag = Annotated[
    timedelta | int,
    BeforeValidator(parse_lag),
    PlainSerializer(_format_lag),
    WithJsonSchema({"anyOf": [_WRITTEN, {"type": "integer", "minimum": 0}]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
