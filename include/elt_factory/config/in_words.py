"""Parts of a config as people say them: durations, deadlines, sensors, checks, roles of columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elt_factory.config.checks import Check, RowCount
from elt_factory.config.limits import Freshness, duration_words, limit_words
from elt_factory.config.source import Config
from elt_factory.config.table import Table

PII = {"hash": "personal data: stored as a SHA-256 hash", "drop": "personal data: dropped"}


def deadline_words(config: Config) -> str:
    """When a run must be done."""
    deadline = config.deadline
    if deadline is None:
        return "none"
    if deadline.within:
        return f"{duration_words(deadline.within)} after a run is queued"
    return f"{deadline.by:%H:%M} {deadline.timezone or config.timezone}"


def covers_words(config: Config) -> str:
    """Since when there are data, and whether what was missed is run."""
    return f"from {config.start_date}" + (", with catchup" if config.catchup else "")


def retries_words(config: Config) -> str:
    """How often and how fast a task is tried again."""
    retries = config.retries
    return f"{retries.count}, after {duration_words(retries.delay)} to {duration_words(retries.max_delay)}"


def alerts_words(config: Config) -> str:
    """Who hears of what."""
    if not config.alerts.to:
        return "Airflow's UI only"
    return f"{', '.join(event.replace('_', ' ') for event in config.alerts.on)}: to {', '.join(config.alerts.to)}"


def check_words(check: Check) -> str:
    """A check in words, as in `between [0, 6000] (warn)`."""
    rule = check.rule
    words = " ".join([rule.replace("_", " "), *_value_words(getattr(check, rule))])
    return f"{words} (warn)" if check.severity == "warn" else words


def role_words(spec: Table) -> dict[str, tuple[str, ...]]:
    """What columns are to their table, by name: its key, its cursor, its business date."""
    roles: dict[str, tuple[str, ...]] = dict.fromkeys(spec.primary_key, ("key",))
    cursor = spec.incremental.cursor if spec.incremental else None
    for name, role in ((cursor, "cursor"), (spec.business_date, "business date")):
        if name:
            roles[name] = (*roles.get(name, ()), role)
    return roles


def _value_words(value: Any) -> Iterator[str]:
    match value:
        case True:
            return
        case RowCount():
            named = (("min", value.min), ("max", value.max))
            bounds = [f"{name} {limit:,}" for name, limit in named if limit is not None]
            share = (
                [f"within {value.within:.0%} of {value.compared_with.replace('_', ' ')}"]
                if value.within is not None
                else []
            )
            yield ", ".join([*bounds, *share])
        case Freshness():
            yield ", ".join(limit_words(value))
        case tuple():
            yield f"[{', '.join(map(str, value))}]"
        case _:
            yield str(value)
