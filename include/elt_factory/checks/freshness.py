"""How late a table is: by when it happened (the business date) and by when we took it (loaded at)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from elt_factory.checks.kind import Checking, Outcome, TableCheckKind
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.limits import Freshness, limit_words, no_business_date
from elt_factory.config.models.table import Table
from elt_factory.core.verdict import Verdict, all_of
from elt_factory.core.window import Window, iso_utc
from elt_factory.warehouse import state
from elt_factory.warehouse.base import Warehouse


@dataclass(frozen=True)
class Limits:
    """How late a table may be. `business_date_within` counts back from the window's end, `loaded_within` from now."""

    business_date_within: timedelta | None = None
    loaded_within: timedelta | None = None


def window_committed(warehouse: Warehouse, source: str, table: str, window: Window) -> Verdict:
    """Whether committed loads of a table cover the window without a gap."""
    if state.covering(state.committed_loads(warehouse, source, table, window), window):
        return Verdict(True, f"{source}.{table} has loaded {window}")
    reached = state.loaded_up_to(warehouse, source, table)
    last = f"; loaded up to {iso_utc(reached)}" if reached else "; never loaded"
    return Verdict(False, f"{source}.{table} has not loaded {window}{last}", needs_load=True)


def window_checked(warehouse: Warehouse, source: str, table: str, window: Window) -> Verdict:
    """Whether the runs that loaded the window have transformed and checked it too, and no check failed."""
    loads = state.covering(state.committed_loads(warehouse, source, table, window), window)
    if not loads:
        return window_committed(warehouse, source, table, window)
    for load in loads:
        checked, failed = state.run_verdict(warehouse, source, table, load)
        if failed:
            return Verdict(False, f"{source}: checks failed in run {load.run_id}: {', '.join(failed)}")
        if not checked:
            return Verdict(False, f"{source}.{table} is loaded but not checked yet in run {load.run_id}")
    return Verdict(True, f"{source}.{table} has loaded and checked {window}")


def fresh(warehouse: Warehouse, source: str, table: str, window: Window, limits: Limits, zone: str) -> Verdict:
    """Whether a table is as fresh as the limits want; dates and times without a zone are read in `zone`."""
    loaded_at, business = state.newest(warehouse, source, table)
    verdicts = [
        _business_verdict(f"{source}.{table}", business, window, limits.business_date_within, zone),
        _loaded_verdict(warehouse, f"{source}.{table}", loaded_at, limits.loaded_within),
    ]
    return all_of(verdicts)


def business_instant(text: str, zone: str) -> datetime:
    """Return a business date's text as an instant: a day counts until its end.

    Raises:
        ValueError: text that is not a date.
    """
    moment = datetime.fromisoformat(text)
    if len(text) == len("2013-01-01"):
        moment += timedelta(days=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def _business_verdict(label: str, business: str | None, window: Window, within: timedelta | None, zone: str) -> Verdict:
    if within is None:
        return Verdict(True, "")
    if business is None:
        return Verdict(False, f"{label} has no business date yet", needs_load=True)
    try:
        instant = business_instant(business, zone)
    except (ValueError, OverflowError):
        return Verdict(False, f'{label}\'s newest business date is "{business}", which is not a date', needs_load=True)
    # the instant may lie after the window: a source that takes whole files takes more than was asked for
    behind = max(window.end - instant, timedelta())
    what = f"{label}'s newest business date is {business}, {format_duration(behind)} before the window's end"
    return Verdict(behind <= within, f"{what}; {format_duration(within)} is allowed", needs_load=behind > within)


def _loaded_verdict(warehouse: Warehouse, label: str, loaded_at: datetime | None, within: timedelta | None) -> Verdict:
    if within is None:
        return Verdict(True, "")
    if loaded_at is None:
        return Verdict(False, f"{label} was never loaded", needs_load=True)
    # by the clock that wrote it; where a warehouse has none of its own, those of two machines may differ
    ago = max(warehouse.now() - loaded_at, timedelta())
    what = f"{label} was last loaded {format_duration(ago)} ago"
    return Verdict(ago <= within, f"{what}; {format_duration(within)} is allowed", needs_load=ago > within)


def _look(limits: Freshness, checking: Checking) -> Outcome:
    request = checking.request
    asked = Limits(limits.business_date_within, limits.loaded_within)
    name, zone = request.config.name, request.config.timezone
    return Outcome(fresh(checking.warehouse, name, request.table, request.window, asked, zone))


def _words(limits: Freshness) -> str:
    return ", ".join(limit_words(limits))


def _label(_: Freshness) -> str:
    return "freshness"


def _mistakes(limits: Freshness, name: str, tables: Mapping[str, Table]) -> Iterator[MistakeError]:
    yield from no_business_date(tables, name, limits, ())


def _watches_business_date(limits: Freshness) -> bool:
    return limits.business_date_within is not None


KIND = TableCheckKind(
    name="freshness",
    model=Freshness,
    description="Limits on the age of the table.",
    examples=({"business_date_within": "26h"},),
    words=_words,
    label=_label,
    look=_look,
    mistakes=_mistakes,
    watches_business_date=_watches_business_date,
)
