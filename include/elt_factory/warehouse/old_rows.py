"""Rows of a table that are older than its config keeps them: deleted by their age, counted, and written down."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from elt_factory.config.models.source import Source
from elt_factory.config.models.table import TIMES
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import PermanentError
from elt_factory.core.sql_text import Value
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.patience import retrying
from elt_factory.warehouse.statement import Statement
from elt_factory.warehouse.statements import VALID_TO


class AgeError(PermanentError):
    """The column that retention goes by says nothing of a row's age. No row is deleted."""


@dataclass(frozen=True)
class OldRows:
    """The rows of a table that are past their retention: how many, and before which moment."""

    table: str
    column: str
    before: datetime
    rows: int


def old_rows(warehouse: Warehouse, config: Source, table: str, now: datetime) -> OldRows | None:
    """Count the rows of a table that are past their retention; None where it has none, or is not loaded yet.

    Raises:
        AgeError: the column is not there, or is not a date or time.
    """
    found = _condition(warehouse, config, table, now)
    if found is None:
        return None
    column, before, condition = found
    relation = Relation(config.name, table)
    rows = warehouse.query(count_old(warehouse.dialect, relation, condition)).rows[0][0]
    return OldRows(table, column, before, int(rows))


def delete_old_rows(warehouse: Warehouse, config: Source, table: str, now: datetime, run_id: str) -> OldRows | None:
    """Delete the rows of a table that are past their retention, at its turn, with their number in `_elt.removals`.

    A SELECT looks first, which locks nothing. Run again, it finds nothing.

    Raises:
        AgeError: the column is not there, or is not a date or time.
        WarehouseBusyError: loads of the table were always faster.
    """
    warehouse.prepare()
    looked = old_rows(warehouse, config, table, now)
    if looked is None or not looked.rows:
        return looked
    warehouse.execute(audit.create_turn(warehouse.dialect, config.name, table))
    return retrying(partial(_delete, warehouse, config, table, now, run_id))


def _delete(warehouse: Warehouse, config: Source, table: str, now: datetime, run_id: str) -> OldRows | None:
    d, relation = warehouse.dialect, Relation(config.name, table)
    with warehouse.transaction():
        warehouse.execute(audit.take_turn(d, config.name, table, f"retention {uuid.uuid4().hex}"))
        # what a load has changed meanwhile is changed
        found = _condition(warehouse, config, table, now)
        if found is None:
            return None
        column, before, condition = found
        rows = warehouse.execute(delete_old(d, relation, condition))
        row = removal(config.name, table, "rows", rows, before=before, why=f"retention by {column}")
        row |= {"run_id": run_id, "removed_at": warehouse.now()}
        warehouse.execute(audit.insert_rows(d, "removals", [row]))
    return OldRows(table, column, before, rows)


def _condition(warehouse: Warehouse, config: Source, table: str, now: datetime) -> tuple[str, datetime, str] | None:
    spec = config.all_tables[table]
    name = spec.aged_by
    if spec.retention is None or name is None:
        return None
    columns = warehouse.columns(Relation(config.name, table))
    if columns is None:
        return None
    kind = {one.casefold(): kind for one, kind in columns.items()}.get(name.casefold())
    if kind is None or kind.name not in TIMES:
        what = "has no such column" if kind is None else f"has it as {kind}"
        raise AgeError(
            f'{config.name}.{table}: rows cannot be deleted by the age of "{name}": the table {what}; '
            f"name a column of type {', '.join(TIMES[:-1])} or {TIMES[-1]}"
        )
    before = now - spec.retention.rows
    zone = spec.cursor_zone or config.timezone
    scd2 = spec.write_disposition == "scd2"
    return name, before, older(warehouse.dialect, name, kind, before, zone, versions=scd2)


def older(dialect: Dialect, column: str, kind: ColumnType, before: datetime, zone: str, *, versions: bool) -> str:
    """Return the condition for rows older than a moment; of versions only those that had ended by then."""
    local = before.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    value: Value = before.astimezone(UTC)
    if kind.name != "timestamp":
        value = local.date() if kind.name == "date" else local
    condition = f"{dialect.name(column)} < {dialect.literal(value)}"
    return f"{condition} AND {dialect.name(VALID_TO)} < {dialect.literal(before)}" if versions else condition


def count_old(dialect: Dialect, table: Relation, condition: str) -> Statement:
    """SELECT of how many rows are old."""
    return Statement(f"SELECT count(*) FROM {table.sql(dialect)} WHERE {condition}", "count the rows past retention")


def delete_old(dialect: Dialect, table: Relation, condition: str) -> Statement:
    """DELETE of the rows that are old."""
    return Statement(f"DELETE FROM {table.sql(dialect)} WHERE {condition}", "delete the rows past retention")


def removal(
    source: str,
    table: str,
    what: str,
    rows: int | None,
    *,
    size: int | None = None,
    before: datetime | None = None,
    why: str = "retention",
) -> dict[str, Value]:
    """Return a row of `_elt.removals`, without the run and its moment."""
    return {
        "source": source,
        "table_name": table,
        "what": what,
        "rows_removed": rows,
        "bytes": size,
        "older_than": before,
        "why": why,
    }
