"""What sources cost: what a warehouse bills, by the tags of its statements, and the seconds in the audit tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from elt_factory.config.models.budget import Budget
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect


@dataclass(frozen=True)
class Spent:
    """What a step of a source cost on a day: queries, their seconds, and the credits that are theirs."""

    source: str
    step: str
    day: date
    queries: int
    seconds: float
    credits: float


@dataclass(frozen=True)
class Metered:
    """What a virtual warehouse was billed for.

    Args:
        warehouse: Its name.
        compute: Credits for the time that it was up.
        cloud_services: Credits for what needs no virtual warehouse.
        working: The part of `compute` in which it worked, as it was metered.
        attributed: Credits that were attributed to queries, one by one.
    """

    warehouse: str
    compute: float
    cloud_services: float
    working: float
    attributed: float


@dataclass(frozen=True)
class Bill:
    """What the virtual warehouses that sources used were billed for, part by part; the parts add up to the whole.

    Idle time is what was metered of it, and queries are what was attributed to them: the two come from different
    books, and what lies between them is `not_attributed`.
    """

    spent: Sequence[Spent]
    warehouses: Sequence[Metered]

    @property
    def credits(self) -> float:
        """All that was metered."""
        return sum(one.compute + one.cloud_services for one in self.warehouses)

    @property
    def other_queries(self) -> float:
        """Queries that others have sent to the same virtual warehouses."""
        return sum(one.attributed for one in self.warehouses) - sum(one.credits for one in self.spent)

    @property
    def idle(self) -> float:
        """Time in which a virtual warehouse was up and did nothing."""
        return sum(one.compute - one.working for one in self.warehouses)

    @property
    def cloud_services(self) -> float:
        """What needs no virtual warehouse: compiling, metadata, listing of stages."""
        return sum(one.cloud_services for one in self.warehouses)

    @property
    def not_attributed(self) -> float:
        """Work that no query was billed for: each too short, or not in Snowflake's books yet."""
        return sum(one.working - one.attributed for one in self.warehouses)


@dataclass(frozen=True)
class Meter:
    """How a kind of warehouse that bills is asked what it bills.

    Args:
        bill: The bill of a time, `[start, end)`.
        credits_of: The credits of a source since a moment.
    """

    bill: Callable[[Warehouse, datetime, datetime], Bill]
    credits_of: Callable[[Warehouse, str, datetime], float]


def seconds_of(warehouse: Warehouse, source: str, since: datetime) -> float:
    """Return the seconds of a source's loads, checks and models since a moment, also of those that failed.

    A load counts from the moment before its source was read to its commit, with what it waited in between.
    """
    d, found = warehouse.dialect, 0.0
    if warehouse.columns(audit.log("loads")) is not None:
        loads = warehouse.query(load_moments(d, source, since)).rows
        found += sum((loaded - started).total_seconds() for started, loaded in loads if started and loaded)
    if warehouse.columns(audit.log("quality_results")) is not None:
        found += float(warehouse.query(result_seconds(d, source, since)).rows[0][0] or 0)
    return found


def load_moments(d: Dialect, source: str, since: datetime) -> str:
    """SELECT of when the loads of a source began and were committed."""
    return (
        f"SELECT {d.name('started_at')}, {d.name('loaded_at')} FROM {audit.log('loads').sql(d)} "
        f"WHERE {_of_source(d, source, 'loaded_at', since)}"
    )


def result_seconds(d: Dialect, source: str, since: datetime) -> str:
    """SELECT of the seconds of all checks, models and tests of a source."""
    return (
        f"SELECT sum({d.name('seconds')}) FROM {audit.log('quality_results').sql(d)} "
        f"WHERE {_of_source(d, source, 'checked_at', since)}"
    )


def _of_source(d: Dialect, source: str, moment: str, since: datetime) -> str:
    return f"{d.name('source')} = {d.literal(source)} AND {d.name(moment)} >= {d.literal(since)}"


def used(warehouse: Warehouse, meter: Meter | None, source: str, budget: Budget, since: datetime) -> float | None:
    """Return how much of its budget a source has used; None where it is in credits, and the warehouse has none."""
    if budget.unit == "seconds":
        return seconds_of(warehouse, source, since)
    return meter.credits_of(warehouse, source, since) if meter else None
