"""What a load leaves to do when it is committed: what is older than the config keeps it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from elt_factory.config.models.source import Source
from elt_factory.core.amount import amount
from elt_factory.core.failures import EltError
from elt_factory.core.sql_text import Value
from elt_factory.landing.places import Place
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.old_rows import removal

Removal = dict[str, Value]


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
    try:
        remove_old(warehouse, config, table, landings, log, now or warehouse.now())
    except (EltError, OSError) as error:
        log(f"{config.name}.{table}: expired data was not removed; the next load retries: {error}")


def remove_old(
    warehouse: Warehouse,
    config: Source,
    table: str,
    landings: Landings,
    log: Callable[[str], None],
    now: datetime,
    run_id: str = "",
) -> list[Removal]:
    """Remove a table's landings, rejects and superseded audit rows past their retention; what it was.

    Each is written to `_elt.removals` when it is gone: of one that is killed in between the next look finds the rest.

    Raises:
        EltError: something could not be removed.
        OSError: a file could not be removed.
    """
    found: list[Removal] = []
    for find in (_old_landings(landings), _old_rejects, _old_history):
        for row, said in find(warehouse, config, table, now):
            warehouse.record("removals", [{**row, "run_id": run_id, "removed_at": warehouse.now()}])
            log(f"{config.name}.{table}: removed {said} past their retention")
            found.append(row)
    return found


_Found = Iterator[tuple[Removal, str]]


def _old_landings(landings: Landings) -> Callable[[Warehouse, Source, str, datetime], _Found]:
    def removed(warehouse: Warehouse, config: Source, table: str, now: datetime) -> _Found:
        from elt_factory.landing.expiry import clean_landings, utc

        if config.retention.landing is None:
            return

        def committed() -> dict[str, datetime]:
            found = warehouse.query(audit.committed(warehouse.dialect, config.name, table)).rows
            return {load: utc(begun) for load, begun in found}

        before = now - config.retention.landing
        gone = clean_landings(landings.place, landings.project, committed, before)
        if gone:
            row = removal(config.name, table, "landings", len(gone), size=sum(gone.values()), before=before)
            yield row, f"{len(gone)} landings ({', '.join(gone)})"

    return removed


def _old_rejects(warehouse: Warehouse, config: Source, table: str, now: datetime) -> _Found:
    if config.retention.rejects is None:
        return
    before = now - config.retention.rejects
    dialect = warehouse.dialect
    # to look locks nothing, and a DELETE would keep the rejects of all other tables waiting
    if not warehouse.query(audit.count_rejects_before(dialect, config.name, table, before)).rows[0][0]:
        return
    removed = warehouse.execute(audit.delete_rejects_before(dialect, config.name, table, before))
    if removed:
        yield removal(config.name, table, "rejects", removed, before=before), amount(removed, "reject")


def _old_history(warehouse: Warehouse, config: Source, table: str, now: datetime) -> _Found:
    from elt_factory.warehouse.compaction import compact

    if config.retention.audit is None:
        return
    before = now - config.retention.audit
    removed = compact(warehouse, config.name, table, before)
    if removed:
        yield removal(config.name, table, "audit rows", removed, before=before), f"{removed} superseded audit rows"
