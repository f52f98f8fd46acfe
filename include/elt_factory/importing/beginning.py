"""Where the first run of a table begins that another tool has read up to a value."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.importing.project import DEFAULT_DAY

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMED_UTC = re.compile(r"\s*(?:UTC|GMT)$")
_APART = re.compile(r"\s+(?=[+-]\d{2}:?(?:\d{2})?$)")


def day_of(value: Any) -> str | None:
    """Return the day, in UTC, of a time or date; None of anything else."""
    found = _DAY.match(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(_APART.sub("", _NAMED_UTC.sub("+00:00", value)))
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
    except (ValueError, OverflowError):
        return found[0] if _is_day(found[0]) else None


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def first_value(since: str, *, ties: bool = False) -> str | int:
    """Return `initial`: runs begin with the day of a time, and with the number after one that the old target has.

    Args:
        since: The last value that the old target has.
        ties: Whether rows with that very value are read again.
    """
    if since.isdecimal():
        return int(since) + (not ties)
    return day_of(since) or since


def above(cursor: str, since: str, *, ties: bool = False) -> str:
    """Return the condition that leaves out the rows of the first day that the old target has; empty for a number."""
    if since.isdecimal():
        return ""
    return f"{identifier(cursor)} {'>=' if ties else '>'} {text_literal(since)}"


def after_the_last(since: str) -> str:
    """Return what is said of a table that no key finds rows of again."""
    return f"it keeps each row that is read: rows of exactly {since} that came after that was read are not read"


def begin(config: dict[str, Any]) -> bool:
    """Begin the runs before the first day that tables continue from; return whether one continues from a day.

    Where a table has no beginning, runs begin with the day of every import, or earlier. Numbers need no run of the
    past: the next one reads all that is above them.
    """
    kept = [one["incremental"].get("initial") for one in config["tables"].values() if "incremental" in one]
    days = [day_of(one) for one in kept if not isinstance(one, int)]
    told = [day for day in days if day is not None]
    if not told:
        return False
    first = before_the_run(min(told), str(config["schedule"]), str(config.get("timezone", "UTC")))
    begins = first if len(told) == len(days) else min(first, DEFAULT_DAY)
    # before the tables, as people write it
    tables = config.pop("tables")
    config |= {"start_date": begins, "catchup": True, "tables": tables}
    return True


def before_the_run(day: str, cron: str, zone: str) -> str:
    """Return the day, on the zone's calendar, of the last time of a cron that is not after a day's midnight in UTC.

    Airflow's first interval begins with the first time of the cron after start_date: what is between is never read.
    """
    from croniter import croniter

    clock = ZoneInfo(zone)
    midnight = datetime.combine(datetime.fromisoformat(day), time(), UTC).astimezone(clock).replace(tzinfo=None)
    times = croniter(cron, midnight + timedelta(minutes=1))
    found: datetime = times.get_prev(datetime)
    # a time that the clocks leave out in spring comes later on that day
    while found != found.replace(tzinfo=clock).astimezone(UTC).astimezone(clock).replace(tzinfo=None):
        found = times.get_prev(datetime)
    return found.date().isoformat()
