"""The newest results of checks: of each table its own, of a config without tables those of dbt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from elt_factory.ui.listing import Key, of_sources
from elt_factory.ui.models import Checks
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect

_COLUMNS = ("source", "table_name", "kind", "check_name", "status", "message", "run_id", "checked_at")
_WORST = {"failed": 0, "warned": 1, "passed": 2}


@dataclass(frozen=True)
class _Group:
    """The results of one run about one table."""

    run_id: str
    checked_at: Any
    rows: list[Mapping[str, Any]]


def newest_checks(warehouse: Warehouse, sources: Collection[str] | None = None) -> Mapping[Key, Checks]:
    """Return how many checks of each table passed, warned and failed in the newest run that checked it."""
    if warehouse.columns(audit.relation("quality_results")) is None:
        return {}
    newest: dict[Key, _Group] = {}
    for row in warehouse.query(newest_checks_sql(warehouse.dialect, sources)).dicts():
        key = (row["source"], row["table_name"] if row["kind"] == "check" else "")
        group = newest.get(key)
        if group is None or (row["run_id"] != group.run_id and row["checked_at"] > group.checked_at):
            newest[key] = group = _Group(row["run_id"], row["checked_at"], [])
        if row["run_id"] == group.run_id:
            group.rows.append(row)
    return {key: _checks(group.rows) for key, group in newest.items()}


def newest_checks_sql(d: Dialect, sources: Collection[str] | None = None) -> str:
    """SELECT of the newest result of every check, in the order of time."""
    keys = d.names(("source", "kind", "table_name", "check_name"))
    place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {d.name('checked_at')} DESC)"
    inner = (
        f"SELECT {d.names(_COLUMNS)}, {place} AS place FROM {audit.relation('quality_results').sql(d)} "
        f"WHERE {d.name('kind')} IS NOT NULL{of_sources(d, sources)}"
    )
    return f"SELECT {d.names(_COLUMNS)} FROM ({inner}) AS q WHERE place = 1 ORDER BY {d.name('checked_at')}"


def _checks(rows: list[Mapping[str, Any]]) -> Checks:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["status"]] += 1
    worst = min(rows, key=lambda row: _WORST.get(row["status"], 3))
    words = "" if worst["status"] == "passed" else f"{worst['check_name']}: {worst['message']}"
    return Checks(passed=counts["passed"], warned=counts["warned"], failed=counts["failed"], worst=words)
