"""Schedules as cron expressions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from elt_factory.config.errors import MistakeError, near_name, shown

_ALIASES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
# Airflow's words for a DAG that has no schedule, or none of time
_NEVER = ("none", "never", "manual", "once", "continuous")
_FIELDS = 5
_HINT = 'write five fields like "0 3 * * *", or @hourly, @daily, @weekly, @monthly'
# croniter's own signs for a time at random: every process would choose another
_RANDOM = re.compile(r"(?:^|[\s,])[rR](?:$|[\s,(/])")
# most schedules: times of day, on every day or on days of the week or month that every month has
_MINUTES = r"(?:\*(?:/(?:[1-9]|[1-5]\d))?|[0-5]?\d(?:,[0-5]?\d)*)"
_HOURS = r"(?:\*(?:/(?:[1-9]|1\d|2[0-3]))?|(?:1?\d|2[0-3])(?:,(?:1?\d|2[0-3]))*)"
_PLAIN = re.compile(
    rf"{_MINUTES} {_HOURS} (?:\*|1?[1-9]|2[0-8]|10|20) \* (?:\*|[0-6](?:,[0-6])*|1-5|mon-fri)", re.ASCII
)


def check_cron(value: str) -> str:
    """Return the text itself.

    Raises:
        MistakeError: it is not a cron expression, it has seconds or chance in it, or it never comes.
    """
    return value if _PLAIN.fullmatch(value) else _check_closely(value)


@lru_cache(maxsize=1024)
def _check_closely(value: str) -> str:
    """Ask croniter, which is light as Airflow goes, and still takes longer than all the rest of a config.

    Raises:
        MistakeError: it is not a cron expression, it has seconds or chance in it, or it never comes.
    """
    # Airflow's own check comes too late to name the line
    from croniter import CroniterError, croniter

    if value.casefold().lstrip("@") in _NEVER:
        raise MistakeError(
            f"unknown schedule {shown(value)}", "remove schedule: the DAG then runs only when triggered manually"
        )
    if value.startswith("@"):
        if value not in _ALIASES:
            raise MistakeError(f"unknown schedule {shown(value)}", near_name(value.casefold(), _ALIASES))
        return value
    if len(value.split()) != _FIELDS or _RANDOM.search(value) or not croniter.is_valid(value):
        raise MistakeError(f"invalid cron expression {shown(value)}", _HINT)
    try:
        croniter(value).get_next()
    except CroniterError:
        raise MistakeError(f"cron expression {shown(value)} never fires", _HINT) from None
    return value


def _with_sign(value: object) -> object:
    """`daily` means `@daily`."""
    return f"@{value}" if isinstance(value, str) and f"@{value}" in _ALIASES else value


def plain_cron(value: str) -> str:
    """Return a cron expression where a mapping could be.

    Raises:
        MistakeError: it is not one, or it never comes.
    """
    return check_cron(str(_with_sign(value)))


CRON_SCHEMA = rf"^(@?({'|'.join(alias[1:] for alias in _ALIASES)})|\s*\S+(\s+\S+){{{_FIELDS - 1}}}\s*)$"
Cron = Annotated[
    str,
    BeforeValidator(_with_sign),
    AfterValidator(check_cron),
    WithJsonSchema({"type": "string", "pattern": CRON_SCHEMA}),
]
