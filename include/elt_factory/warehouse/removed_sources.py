"""Sources that have no config any more: what the warehouse still keeps of them, and its removal.

The tables themselves stay: they are the data, and not ELT Factory's to delete.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from elt_factory.core.sql_text import Value
from elt_factory.warehouse import audit, statements
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.old_rows import removal

# the account of what was removed is kept
_KEPT = ("forgotten", "removals")


@dataclass(frozen=True)
class RemovedSource:
    """A source that was loaded and has no config: its tables, and when it was loaded last."""

    name: str
    tables: tuple[str, ...]
    loaded_at: datetime


def removed_sources(warehouse: Warehouse, known: Collection[str]) -> list[RemovedSource]:
    """Return the sources in the log of loads that are not known, by name."""
    if warehouse.columns(audit.log("loads")) is None:
        return []
    d, name = warehouse.dialect, warehouse.dialect.name
    rows = warehouse.query(
        f"SELECT {d.names(('source', 'table_name'))}, max({name('loaded_at')}) FROM {audit.log('loads').sql(d)} "
        f"GROUP BY {d.names(('source', 'table_name'))}"
    ).rows
    found: dict[str, RemovedSource] = {}
    for source, table, moment in sorted(rows):
        if source not in known:
            loaded = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            before = found.get(source, RemovedSource(source, (), loaded))
            found[source] = RemovedSource(source, (*before.tables, table), max(before.loaded_at, loaded))
    return list(found.values())


def remove_state(warehouse: Warehouse, source: RemovedSource, why: str, run_id: str) -> dict[str, int]:
    """Delete the rows of a source in all audit tables, in one transaction with their account; how many by table."""
    warehouse.prepare()
    d = warehouse.dialect
    now = warehouse.now()
    counts: dict[str, int] = {}
    with warehouse.transaction():
        for table in audit.TABLES:
            if table not in _KEPT:
                counts[table] = warehouse.execute(delete_of_source(warehouse, table, source.name))
        rows: list[dict[str, Value]] = [
            {**removal(source.name, "", table, count, why=why), "run_id": run_id, "removed_at": now}
            for table, count in counts.items()
            if count
        ]
        if rows:
            warehouse.execute(audit.insert_rows(d, "removals", rows))
    for table in source.tables:
        warehouse.execute(statements.drop_table(d, audit.turn(source.name, table)))
    return {table: count for table, count in counts.items() if count}


def delete_of_source(warehouse: Warehouse, table: str, source: str) -> str:
    """DELETE of all rows of a source in an audit table."""
    d = warehouse.dialect
    return f"DELETE FROM {audit.log(table).sql(d)} WHERE {d.name('source')} = {d.literal(source)}"
