"""Human-readable parts of a config: durations, deadlines, sensors, checks, roles of columns."""

from __future__ import annotations

from elt_factory.config.models.deadlines import Deadline
from elt_factory.config.models.limits import duration_words
from elt_factory.config.models.source import Config
from elt_factory.config.models.table import Table

PII = {"hash": "personal data: stored as a SHA-256 hash", "drop": "personal data: dropped"}


def deadline_words(config: Config) -> str:
    """When a run must be done, and its tables be loaded."""
    tables = {name: table.deadline for name, table in config.all_tables.items() if table.deadline}
    parts = [deadline_text(config.deadline, config.timezone)] if config.deadline else []
    parts += [f"{name}: {deadline_text(deadline, config.timezone)}" for name, deadline in tables.items()]
    return "; ".join(parts) or "none"


def deadline_text(deadline: Deadline, zone: str) -> str:
    """When it must be done."""
    if deadline.by is not None:
        return f"{deadline.by:%H:%M} {deadline.timezone or zone}"
    if deadline.within is not None:
        return f"{duration_words(deadline.within)} after a run is queued"
    return f"{deadline.within_usual or 0:.0%} of the usual time after a run is queued"


def covers_words(config: Config) -> str:
    """Since when there are data, until when, and whether what was missed is run."""
    until = f" to {config.end_date}" if config.end_date else ""
    return f"from {config.start_date}{until}" + (", with catchup" if config.catchup else "")


def retries_words(config: Config) -> str:
    """How often and how fast a task is tried again."""
    retries = config.retries
    return f"{retries.count}, after {duration_words(retries.delay)} to {duration_words(retries.max_delay)}"


def alerts_words(config: Config) -> str:
    """Who hears of what."""
    alerts = config.alerts
    if not (alerts.to or alerts.routes):
        return "Airflow's UI only"
    to = (*alerts.to, *(route.label for route in alerts.routes))
    return f"{', '.join(event.replace('_', ' ') for event in alerts.on)}: to {', '.join(dict.fromkeys(to))}"


def role_words(spec: Table) -> dict[str, tuple[str, ...]]:
    """Return what columns are to their table, by name: its key, its cursor, its business date."""
    roles: dict[str, tuple[str, ...]] = dict.fromkeys(spec.primary_key, ("key",))
    cursor = spec.incremental.cursor if spec.incremental else None
    for name, role in ((cursor, "cursor"), (spec.business_date, "business date")):
        if name:
            roles[name] = (*roles.get(name, ()), role)
    return roles
