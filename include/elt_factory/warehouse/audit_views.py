"""The views over the audit logs, and how the tables of an older version are taken over by them.

Each view has the columns of the table that an older version had under its name, and as many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from elt_factory.core.failures import EltError
from elt_factory.warehouse import audit, statements
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.replay_ids import is_replay, window_load

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse

_TABLE, _LOAD = ("source", "table_name"), ("source", "table_name", "load_id")


def prepare(warehouse: Warehouse) -> None:
    """Create the audit tables and views where they are not there yet, and what an older version did not have.

    Each step leaves what the next try continues from. A table of an older version becomes the log, with all its rows.
    """
    found = _found(warehouse)
    if not found:
        warehouse.create_schema(audit.SCHEMA)
    for table in audit.TABLES:
        if _is_old(table, found):
            _take_over(warehouse, table)
            found = _found(warehouse)
    for statement in (*_missing_logs(warehouse.dialect, found), *_missing_views(warehouse.dialect, found)):
        warehouse.execute(statement)
    for table in (name for name in audit.OLD_TABLES if name in found):
        warehouse.execute(statements.drop_table(warehouse.dialect, audit.relation(table)))


def half_taken_over(warehouse: Warehouse) -> bool:
    """Whether a table of an older version is a log already, and nothing has its name."""
    return warehouse.columns(audit.log("loads")) is not None


def _found(warehouse: Warehouse) -> dict[str, tuple[str, ...]]:
    """Return the tables and views that are there, with their columns."""
    names = {*audit.TABLES, *audit.LOGS.values(), *audit.OLD_TABLES}
    found: dict[str, list[str]] = {}
    for table, column in warehouse.query(columns_of(warehouse.dialect, audit.SCHEMA, names)).rows:
        found.setdefault(str(table).lower(), []).append(str(column).lower())
    return {table: tuple(columns) for table, columns in found.items()}


def columns_of(dialect: Dialect, schema: str, tables: set[str]) -> str:
    """SELECT of the names of tables' columns, all tables in one statement."""

    def stored(name: str) -> str:
        return dialect.literal(dialect.name(name).strip('"'))

    listed = ", ".join(map(stored, sorted(tables)))
    return (
        "SELECT table_name, column_name FROM information_schema.columns "
        f"WHERE table_catalog = current_database() AND table_schema = {stored(schema)} AND table_name IN ({listed}) "
        "ORDER BY table_name, ordinal_position"
    )


def _is_old(table: str, found: Mapping[str, tuple[str, ...]]) -> bool:
    return table in audit.LOGS and table in found and audit.LOGS[table] not in found


def _take_over(warehouse: Warehouse, table: str) -> None:
    """Rename a table to its log; another connection that does so at the same time may be first."""
    try:
        warehouse.execute(statements.rename_table(warehouse.dialect, audit.relation(table), audit.log(table)))
    except EltError:
        if warehouse.columns(audit.log(table)) is None:
            raise


def _missing_logs(dialect: Dialect, found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for table in audit.TABLES:
        log, wanted = audit.log(table), audit.log_columns(table)
        if log.name not in found:
            yield statements.create_table(dialect, log, wanted)
        elif new := {name: kind for name, kind in wanted.items() if name not in found[log.name]}:
            yield statements.add_columns(dialect, log, new)


def _missing_views(dialect: Dialect, found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the views that are not there, or all of them where `loads` is an older version's: that one comes last."""
    older = found.get("loads") not in (None, tuple(audit.TABLES["loads"]))
    for table in reversed(tuple(audit.LOGS)):
        if older or found.get(table) != audit.view_columns(table):
            yield create_view(dialect, table)


def create_view(dialect: Dialect, table: str) -> str:
    """CREATE VIEW of what holds of a log; those who may read the one of an older version may read it still."""
    grants = " COPY GRANTS" if dialect.stores_options else ""
    return f"CREATE OR REPLACE VIEW {audit.relation(table).sql(dialect)}{grants} AS {_VIEWS[table](dialect)}"


def _loads(d: Dialect) -> str:
    own = [f"l.{d.name(name)}" for name in audit.TABLES["loads"] if name != "replaced_by"]
    # what an older version has marked stays marked
    replaced = f"coalesce(r.{d.name('load_id')}, l.{d.name('replaced_by')}) AS {d.name('replaced_by')}"
    return (
        f"SELECT {', '.join([*own, replaced])} FROM {audit.log('loads').sql(d)} AS l "
        f"{_overtaken(d, 'l')} {_replaced(d, 'l')} WHERE n.{d.name('load_id')} IS NULL AND {audit.holds(d, 'l')}"
    )


def _rejects(d: Dialect) -> str:
    own = ", ".join(d.name(name) for name in audit.view_columns("rejects"))
    return f"SELECT {own} FROM ({every_reject(d)}) AS e WHERE {d.name('current')}"


def every_reject(d: Dialect) -> str:
    """SELECT of all rejects that were ever logged with their states; `current` are those of the view `rejects`.

    The others are of commits of which a later one has taken the place.
    """
    own = ", ".join(f"l.{d.name(name)}" for name in audit.log_columns("rejects"))
    current = f"n.{d.name('load_id')} IS NULL AND r.{d.name('load_id')} IS NULL AND v.{d.name('load_id')} IS NULL"
    exchanged = f"NOT ({current}) OR p.{d.name('turn')} IS NOT NULL"
    state = f"CASE WHEN {exchanged} THEN 'healed' ELSE 'open' END"
    said = ", ".join(f"s.{d.name(name)}" for name in ("by_load", "who"))
    by = f"coalesce({said}) AS {d.name('closed_by')}, s.{d.name('why')} AS {d.name('closed_why')}"
    return (
        f"SELECT {own}, {by}, coalesce(s.{d.name('state')}, {state}) AS {d.name('state')}, "
        f"({current}) AS {d.name('current')} "
        f"FROM {audit.log('rejects').sql(d)} AS l {_overtaken(d, 'l')} {_replaced(d, 'l')} "
        f"{_void_and_overtaken(d, 'l')} {_exchanged(d, 'l')} LEFT JOIN {audit.relation('reject_states').sql(d)} AS s "
        f"ON {_same_reject(d, 's', 'l')}"
    )


def _same_reject(d: Dialect, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{d.name(key)} = {other}.{d.name(key)}" for key in (*_TABLE, "turn", "ordinal"))


def _exchanged(d: Dialect, alias: str) -> str:
    """JOIN with the newest load that exchanged all rows of the same table where it is a later one."""
    keys, turn = d.names(_TABLE), d.name("turn")
    newest = (
        f"SELECT {keys}, max({turn}) AS {turn} FROM {audit.log('loads').sql(d)} AS c WHERE {audit.holds(d, 'c')} "
        f"AND {audit.brought_good(d)} AND {d.name('write_disposition')} = 'replace' AND NOT {is_replay(d)} "
        f"GROUP BY {keys}"
    )
    return f"LEFT JOIN ({newest}) AS p ON {_later(d, 'p', alias, _TABLE)}"


def _overtaken(d: Dialect, alias: str) -> str:
    """JOIN with the newest commit of the same window where it is a later one; few windows are committed twice."""
    keys = d.names(_LOAD)
    newest = (
        f"SELECT {keys}, max({d.name('turn')}) AS {d.name('turn')} FROM {audit.log('loads').sql(d)} AS c "
        f"WHERE {d.name('again')} AND {audit.holds(d, 'c')} GROUP BY {keys}"
    )
    # what a replay brought goes with the rows of the load whose rejects it brought
    same = f"n.{d.name('load_id')} = {window_load(d, alias)}"
    return f"LEFT JOIN ({newest}) AS n ON {_later(d, 'n', alias, _TABLE)} AND {same}"


def _void_and_overtaken(d: Dialect, alias: str) -> str:
    """JOIN with the load itself where it brought only rejects, and a later one of the same window did so too."""
    keys, turn = d.names(_LOAD), d.name("turn")
    newest = f"max({turn}) OVER (PARTITION BY {keys})"
    voids = f"SELECT {keys}, {turn}, {newest} AS newest FROM {audit.log('loads').sql(d)} WHERE {d.name('void')}"
    same = " AND ".join(f"v.{d.name(key)} = {alias}.{d.name(key)}" for key in (*_LOAD, "turn"))
    return f"LEFT JOIN ({voids}) AS v ON {same} AND v.newest > {alias}.{turn}"


def _replaced(d: Dialect, alias: str) -> str:
    """JOIN with the newest full refresh of the same table where it is a later one."""
    keys, turn = d.names(_TABLE), d.name("turn")
    newest = (
        f"SELECT {keys}, max({turn}) AS {turn}, max_by({d.name('load_id')}, {turn}) AS {d.name('load_id')} "
        f"FROM {audit.log('loads').sql(d)} WHERE {d.name('full_refresh')} GROUP BY {keys}"
    )
    return f"LEFT JOIN ({newest}) AS r ON {_later(d, 'r', alias, _TABLE)}"


def _later(d: Dialect, one: str, than: str, keys: tuple[str, ...]) -> str:
    same = " AND ".join(f"{one}.{d.name(key)} = {than}.{d.name(key)}" for key in keys)
    # rows of an older version have no turn
    return f"{same} AND {one}.{d.name('turn')} > coalesce({than}.{d.name('turn')}, 0)"


def _newest_batch(table: str, keys: tuple[str, ...], moment: str) -> Callable[[Dialect], str]:
    """Return a view of the rows that were written last about the same."""

    def view(d: Dialect) -> str:
        names = d.names(tuple(audit.TABLES[table]))
        rank = f"rank() OVER (PARTITION BY {d.names(keys)} ORDER BY {d.name(moment)} DESC NULLS LAST)"
        ranked = f"SELECT {names}, {rank} AS newest FROM {audit.log(table).sql(d)}"
        return f"SELECT {names} FROM ({ranked}) AS l WHERE newest = 1"

    return view


def _quality_results(d: Dialect) -> str:
    newest = _newest_batch("quality_results", ("source", "run_id", "task_id"), "kept_at")(d)
    # a try that found nothing says so by a row without a kind
    return f"{newest} AND {d.name('kind')} IS NOT NULL"


_VIEWS: Mapping[str, Callable[[Dialect], str]] = {
    "loads": _loads,
    "rejects": _rejects,
    "schema_changes": _newest_batch("schema_changes", (*_LOAD, "column_name"), "changed_at"),
    "quality_results": _quality_results,
    "metrics": _newest_batch("metrics", (*_LOAD, "column_name", "metric", "rows_where"), "measured_at"),
}
