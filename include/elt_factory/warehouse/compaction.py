"""What the audit logs hold and no view shows any more: it goes by its age, once there is enough of it.

A DELETE locks a log on Snowflake: loads only append and wait for nothing, but another DELETE waits. So a SELECT looks
first, which locks nothing, and few rows are left alone. What goes is what a later commit has taken the place of. That
commit stays, and so does the newest full refresh of a table, for they say what does not hold any more: whatever loads
commit meanwhile, every view shows the same before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.replay_ids import window_load

ENOUGH = 1000  # rows of one log that are worth a DELETE


def compact(warehouse: Warehouse, source: str, table: str, before: datetime) -> int:
    """Remove a table's rows that no view shows and that are older than a moment; how many.

    Raises:
        WarehouseBusyError: others remove rows at the same time. Nothing is lost or half done.
    """
    removed = 0
    for log, gone in _gone(warehouse.dialect, source, table, before):
        place = f"{audit.log(log).sql(warehouse.dialect)} AS l"
        newest, where = gone
        count = f"SELECT count(*) FROM {place} JOIN ({newest}) AS n ON {where}"
        if warehouse.query(count).rows[0][0] >= ENOUGH:
            removed += warehouse.execute(f"DELETE FROM {place} USING ({newest}) AS n WHERE {where}")
    return removed


def _gone(d: Dialect, source: str, table: str, before: datetime) -> Iterator[tuple[str, tuple[str, str]]]:
    """For each log: what is newest, as a query, and the condition for rows that it has taken the place of."""
    turn, mine, log = d.name("turn"), audit.of_table(d, source, table), audit.log("loads").sql(d)
    commit = (
        f"SELECT {d.name('load_id')}, max({turn}) AS newest FROM {log} AS c WHERE {mine} AND {d.name('again')} "
        f"AND {audit.holds(d, 'c')} GROUP BY {d.name('load_id')}"
    )
    refresh = f"SELECT max({turn}) AS newest FROM {log} WHERE {mine} AND {d.name('full_refresh')}"
    l_turn = f"coalesce(l.{turn}, 0)"
    overtaken = f"n.{d.name('load_id')} = {window_load(d, 'l')} AND n.newest > {l_turn} AND {_mine(d, source, table)}"
    yield (
        "loads",
        (commit, f"{overtaken} AND {l_turn} <> coalesce(({refresh}), -1) AND {_older(d, 'loaded_at', before)}"),
    )
    yield "rejects", (commit, f"{overtaken} AND {_older(d, 'rejected_at', before)}")
    yield (
        "rejects",
        (refresh, f"n.newest > {l_turn} AND {_mine(d, source, table)} AND {_older(d, 'rejected_at', before)}"),
    )
    yield "schema_changes", _batches(d, "schema_changes", ("load_id", "column_name"), "changed_at", mine, before)
    measured = ("table_name", "load_id", "column_name", "metric", "rows_where")
    yield "metrics", _batches(d, "metrics", measured, "measured_at", mine, before)
    whole = f"{d.name('source')} = {d.literal(source)}"
    yield "quality_results", _batches(d, "quality_results", ("run_id", "task_id"), "kept_at", whole, before)


def _batches(
    d: Dialect, table: str, keys: tuple[str, ...], moment: str, mine: str, before: datetime
) -> tuple[str, str]:
    at, whose = d.name(moment), ("source", *keys)
    newest = (
        f"SELECT {d.names(whose)}, max({at}) AS newest FROM {audit.log(table).sql(d)} WHERE {mine} "
        f"GROUP BY {d.names(whose)}"
    )
    same = " AND ".join(f"n.{d.name(key)} = l.{d.name(key)}" for key in whose)
    return newest, f"{same} AND l.{at} < n.newest AND {_older(d, moment, before)}"


def _mine(d: Dialect, source: str, table: str) -> str:
    return f"l.{d.name('source')} = {d.literal(source)} AND l.{d.name('table_name')} = {d.literal(table)}"


def _older(d: Dialect, column: str, before: datetime) -> str:
    return f"l.{d.name(column)} < {d.literal(before)}"
