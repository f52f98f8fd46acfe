"""When a connection ran, as a schedule."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

from elt_factory.importing.airbyte.said import Computed, pick

_EVERY = re.compile(r"(?:every\s+)?(\d+)\s+(minute|hour|day|week|month)s?", re.IGNORECASE)
_FIELDS = (6, 7)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def schedule_of(given: Any) -> tuple[dict[str, Any], str]:
    """Return the keys of a config that say when it runs, and why a schedule is in none; manual runs have no key."""
    kind = str(pick(given, "schedule_type") or "")
    if kind == "manual" or not given:
        return {}, ""
    cron = pick(given, "cron")
    expression = pick(given, "cron_expression") or pick(cron, "cron_expression")
    zone = pick(given, "cron_time_zone") or pick(cron, "cron_time_zone")
    if isinstance(expression, str) and kind in ("cron", ""):
        return _cron(expression, zone)
    basic = pick(given, "basic_schedule") or given
    units, unit, timing = pick(basic, "units"), pick(basic, "time_unit"), pick(given, "basic_timing")
    text = timing if isinstance(timing, str) else f"{units} {unit}" if isinstance(units, int) else ""
    every = _EVERY.fullmatch(text.strip())
    if every and (found := _every(int(every[1]), every[2].casefold())):
        return {"schedule": found}, ""
    computed = next((one.text for one in (expression, kind, timing, given) if isinstance(one, Computed)), "")
    return {}, f"it ran {computed or text or kind or 'at no known time'}: write schedule"


def _every(count: int, unit: str) -> str | None:
    """Return the cron expression of a number of minutes, hours, days; None where there is none that is even."""
    minutes = count * {"minute": 1, "hour": 60, "day": 1440, "week": 10080, "month": 0}[unit]
    if unit == "month":
        return "0 0 1 * *" if count == 1 else None
    if minutes in (1440, 10080):
        return "0 0 * * *" if minutes == 1440 else "0 0 * * 0"  # noqa: PLR2004 - minutes of a day
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"*/{minutes} * * * *" if 60 % minutes == 0 else None
    hours, rest = divmod(minutes, 60)
    return f"0 {'*' if hours == 1 else f'*/{hours}'} * * *" if not rest and 24 % hours == 0 else None


def _cron(expression: str, zone: Any) -> tuple[dict[str, Any], str]:
    """Return a schedule of Quartz's, which has seconds before it, and may have years behind it."""
    parts = expression.split()
    if len(parts) in _FIELDS and parts[0] == "0" and (len(parts) == _FIELDS[0] or parts[6] in ("*", "?")):
        parts = [part.replace("?", "*") for part in parts[1:6]]
        parts[4] = re.sub(r"(?<![#/\d])[1-7](?!\d)", lambda day: _DAYS[int(day[0]) - 1], parts[4])
    if len(parts) != len(_DAYS) - 2 or re.search(r"[LW#]", " ".join(parts[2:3] + parts[4:]).replace("WED", "")):
        return {}, f"{expression} is not a cron expression of five fields: write schedule"
    if isinstance(zone, str) and zone and zone not in available_timezones():
        return {}, f"{expression} in the unknown time zone {zone}: write schedule and timezone"
    named = {"timezone": zone} if isinstance(zone, str) and zone not in ("", "UTC") else {}
    return {"schedule": " ".join(parts), **named}, ""
