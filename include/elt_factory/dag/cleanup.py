"""What a load leaves to do when it is committed: what is older than the config keeps it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from elt_factory.config.models.source import Source
from elt_factory.core.failures import EltError
from elt_factory.landing.places import Place
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse


@dataclass(frozen=True)
class Landings:
    """Where the landings of a table are, and the project whose landings may be removed there."""

    place: Place
    project: str


def forget_old(
    warehouse: Warehouse,
    config: Source,
    table: str,
    landings: Landings,
    log: Callable[[str], None],
    now: datetime | None = None,
) -> None:
    """Remove a table's old landings and rejects. If that fails the load stays committed, and the next one retries."""
    moment = now or datetime.now(UTC)
    try:
        _forget_landings(warehouse, config, table, landings, moment, log)
        _forget_rejects(warehouse, config, table, moment, log)
        _forget_history(warehouse, config, table, moment, log)
    except (EltError, OSError) as error:
        log(f"{config.name}.{table}: expired data was not removed; the next load retries: {error}")


def _forget_landings(
    warehouse: Warehouse, config: Source, table: str, landings: Landings, now: datetime, log: Callable[[str], None]
) -> None:
    from elt_factory.landing.expiry import clean_landings, utc

    if config.retention.landing is None:
        return

    def committed() -> dict[str, datetime]:
        found = warehouse.query(audit.committed(warehouse.dialect, config.name, table)).rows
        return {load: utc(begun) for load, begun in found}

    removed = clean_landings(landings.place, landings.project, committed, now - config.retention.landing)
    if removed:
        log(f"{config.name}.{table}: removed {len(removed)} landings past their retention: {', '.join(removed)}")


def _forget_rejects(
    warehouse: Warehouse, config: Source, table: str, now: datetime, log: Callable[[str], None]
) -> None:
    if config.retention.rejects is None:
        return
    before = now - config.retention.rejects
    dialect = warehouse.dialect
    # to look locks nothing, and a DELETE would keep the rejects of all other tables waiting
    if not warehouse.query(audit.count_rejects_before(dialect, config.name, table, before)).rows[0][0]:
        return
    removed = warehouse.execute(audit.delete_rejects_before(dialect, config.name, table, before))
    if removed:
        log(f"{config.name}.{table}: removed {removed} rejects past their retention")


def _forget_history(
    warehouse: Warehouse, config: Source, table: str, now: datetime, log: Callable[[str], None]
) -> None:
    from elt_factory.warehouse.compaction import compact

    if config.retention.audit is None:
        return
    removed = compact(warehouse, config.name, table, now - config.retention.audit)
    if removed:
        log(f"{config.name}.{table}: removed {removed} superseded audit rows past their retention")
