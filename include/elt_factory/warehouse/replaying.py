"""How rejects that are good now become rows, within the one transaction of their replay.

They are rows of the load that had rejected them, and carry its id: whatever takes that load's rows away takes theirs
away too. What the table has of their key since then stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from elt_factory.core.failures import ContractError
from elt_factory.landing.file_names import FILE_ID
from elt_factory.landing.manifest import Replays
from elt_factory.warehouse import history, statements
from elt_factory.warehouse.audit import Written
from elt_factory.warehouse.deletes import follow_deletes, marked_before
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.history import History
from elt_factory.warehouse.writing import columns_of_versions

if TYPE_CHECKING:
    from elt_factory.warehouse.writing import Writing

SNAPSHOT = "a snapshot says what the whole table had at one moment, and is not replayed in part"


@dataclass(frozen=True)
class Without(Relation):
    """The rows `s` of a relation for which a table has no row `t` that meets a condition."""

    rows: Relation
    table: Relation
    where: str

    def sql(self, dialect: Dialect) -> str:
        """Return a query in brackets, for the place of a name."""
        there = f"SELECT 1 FROM {self.table.sql(dialect)} AS t WHERE {self.where}"
        return f"(SELECT s.* FROM {self.rows.sql(dialect)} AS s WHERE NOT EXISTS ({there}))"


def write_replayed(load: Writing, replays: Replays) -> Written:
    """Write what is good now by the table's write disposition; what is there since then counts as a duplicate."""
    if load.staged.rows is None:
        return Written(0)
    order, dialect = load.order, load.warehouse.dialect
    if order.write_disposition == "scd2":
        return Written(_write_versions(load, replays, load.staged.rows))
    stays = _what_stays(load, replays)
    rows = load.staged.rows
    fresh = Without(rows.schema, rows.name, rows, order.target, stays) if stays else rows
    if order.write_disposition == "merge":
        load.warehouse.execute(statements.delete_matching(dialect, order.target, fresh, order.primary_key, None))
    values = statements.staged_values(dialect, order.landed_columns, load.columns)
    if load.staged.ledger and FILE_ID in load.columns:
        values[FILE_ID] = f"s.{dialect.name(FILE_ID)}"
    insert = statements.insert_rows(dialect, order.target, fresh, values, replays.load_id, load.now)
    written = load.warehouse.execute(insert)
    return Written(written, deleted=follow_deletes(load))


def _what_stays(load: Writing, replays: Replays) -> str:
    """Return the condition for a row `t` of the table that a row `s` of the replay does not take the place of."""
    order, d = load.order, load.warehouse.dialect
    if not order.primary_key:
        return ""
    same = _same(d, order.primary_key)
    cursor = order.manifest.cursor_column
    if cursor not in order.landed_columns or cursor not in load.columns:
        cursor = None
    if order.write_disposition == "merge":
        marked = marked_before(load, datetime.fromisoformat(replays.rejected_at))
        live = "".join(f" AND NOT coalesce({condition}, FALSE)" for condition in marked)
        return f"{same} AND {_is_newer(d, cursor, replays)}{live}"
    if order.write_disposition == "replace":
        return same
    if load.staged.ledger and FILE_ID in load.columns:
        return f"{same} AND {_same(d, (FILE_ID,))}"
    if cursor:
        return f"{same} AND t.{d.name(cursor)} IS NOT DISTINCT FROM s.{d.name(cursor)}"
    return f"{same} AND t.{d.name(statements.LOAD_ID)} = {d.literal(replays.load_id)}"


def _same(d: Dialect, names: tuple[str, ...]) -> str:
    return " AND ".join(f"t.{d.name(name)} = s.{d.name(name)}" for name in names)


def _is_newer(d: Dialect, cursor: str | None, replays: Replays) -> str:
    """Return the condition for rows that are newer by the cursor; of one cursor, those loaded since the rejection."""
    since = f"t.{d.name(statements.LOADED_AT)} >= {d.literal(datetime.fromisoformat(replays.rejected_at))}"
    if cursor is None:
        return since
    t, s = f"t.{d.name(cursor)}", f"s.{d.name(cursor)}"
    return f"({t} > {s} OR ({s} IS NULL AND {t} IS NOT NULL) OR ({t} IS NOT DISTINCT FROM {s} AND {since}))"


def _write_versions(load: Writing, replays: Replays, rows: Relation) -> int:
    """Write versions that say themselves since when they hold; return how many."""
    order, dialect, cursor = load.order, load.warehouse.dialect, load.order.manifest.cursor_column
    if cursor is None:
        raise ContractError(f"{order.label}: {SNAPSHOT}")
    keys = (*order.primary_key, cursor)
    fresh = Without(
        rows.schema, rows.name, rows, order.target, f"{_same(dialect, keys)} AND {_is_newer(dialect, None, replays)}"
    )
    kinds = columns_of_versions(load)

    def versions(of: Relation) -> History:
        staged = history.staged_rows(dialect, of, order.landed_columns, kinds)
        return History(dialect, order.target, staged, kinds, order.primary_key, order.clock)

    correct, add, _ = history.cursor_statements(versions(fresh), cursor, replays.load_id, load.now)
    *_, chain = history.cursor_statements(versions(rows), cursor, replays.load_id, load.now)
    load.warehouse.execute(correct)
    written = load.warehouse.execute(add)
    load.warehouse.execute(chain)
    return written
