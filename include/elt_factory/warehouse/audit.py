"""The audit tables in schema `_elt`: their shape and the rows a load writes there.

Rows are only ever appended, so that loads of different tables neither wait for nor fail each other: an UPDATE or DELETE
of a shared table would lock it until the commit. What is appended goes to a *log*, `load_log` for one, and the view of
the known name shows what holds of it (see `audit_views`):

- `loads` has a row per load id: the newest commit of that window. Where a full refresh took the place of its rows,
  `replaced_by` is the refresh's load id, and the load counts for nothing any more. A load that failed for its rejects
  changed nothing: it is there where no commit of its window was before it, with its good rows as `rows_withheld`.
- `rejects` has the rows that were not loaded, each with its reason and its state (open, healed, dismissed): those of
  the commit that `loads` has, and those of the newest load that failed after it.
- `reject_states` says what closed a reject, which its `turn` and `ordinal` identify in its table: a later load of the
  same key, a replay, or a person. What a later commit of the same window closes follows from the log of loads.
- `unseen_keys` has the keys that a snapshot of an `scd2` table with rejects says nothing of: see `history`.
- `schema_changes`, `quality_results` and `deadline_misses` say what changed, what was checked, what was late.
- `forgotten` has the receipts of `elt forget`: what was erased where, with the hash of a key in its place. A landing
  that was begun before that is loaded without the records (see `landing.forgotten`).
- `removals` has what retention has removed of tables, landings and logs.
- `metrics` has what the checks of a load have measured, which later loads are compared with: of a load that was checked
  again, what was measured last.

Commits of one table come one after the other: each first takes the table's *turn*, a table of one row that nothing else
changes. So `turn`, the number of a commit among those of its table, counts in the order of the commits whatever the
clocks say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import Value
from elt_factory.landing.manifest import Drift, LandedColumn, Manifest
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement

SCHEMA = "_elt"

TABLES: Mapping[str, Mapping[str, str]] = {
    "loads": {
        "load_id": "text",
        "source": "text",
        "table_name": "text",
        "run_id": "text",
        "window_start": "timestamp",
        "window_end": "timestamp",
        "write_disposition": "text",
        "full_refresh": "boolean",
        "rows_read": "integer",
        "rows_loaded": "integer",
        "rows_rejected": "integer",
        "rows_duplicate": "integer",
        "rows_unchanged": "integer",
        "rows_filtered": "integer",
        "rows_withheld": "integer",
        "rows_deleted": "integer",
        "rows_null_cursor": "integer",
        "values_discarded": "integer",
        "files": "integer",
        "bytes": "integer",
        "cursor_column": "text",
        "cursor_type": "text",
        "cursor_after": "text",
        "cursor_min": "text",
        "cursor_value": "text",
        "delta_token": "text",
        "delta_token_after": "text",
        "business_date_min": "text",
        "business_date_max": "text",
        "columns": "text",
        "started_at": "timestamp",
        "loaded_at": "timestamp",
        "replaced_by": "text",
    },
    "files": {
        "source": "text",
        "table_name": "text",
        "name": "text",
        "file_id": "text",
        "bytes": "integer",
        "modified_at": "timestamp",
        "content_hash": "text",
        "rows_loaded": "integer",
        "rows_rejected": "integer",
        "load_id": "text",
        "window_start": "timestamp",
        "window_end": "timestamp",
        "seen_at": "timestamp",
        "loaded_at": "timestamp",
        "commit_number": "integer",
    },
    "rejects": {
        "load_id": "text",
        "source": "text",
        "table_name": "text",
        "reason": "text",
        "record": "text",
        "rejected_at": "timestamp",
        "ordinal": "integer",
        "whole": "boolean",
        "key": "text",
        "cursor": "text",
        "protected": "text",
        "file": "text",
    },
    "reject_states": {
        "source": "text",
        "table_name": "text",
        "load_id": "text",
        "turn": "integer",
        "ordinal": "integer",
        "state": "text",
        "by_load": "text",
        "who": "text",
        "why": "text",
        "changed_at": "timestamp",
    },
    "unseen_keys": {
        "load_id": "text",
        "source": "text",
        "table_name": "text",
        "loaded_at": "timestamp",
        "key": "text",
    },
    "schema_changes": {
        "load_id": "text",
        "source": "text",
        "table_name": "text",
        "column_name": "text",
        "old_type": "text",
        "type": "text",
        "change": "text",
        "changed_at": "timestamp",
    },
    "quality_results": {
        "source": "text",
        "run_id": "text",
        "task_id": "text",
        "kind": "text",
        "table_name": "text",
        "check_name": "text",
        "severity": "text",
        "status": "text",
        "failing_rows": "integer",
        "message": "text",
        "seconds": "float",
        "checked_at": "timestamp",
        "failing_keys": "text",
    },
    "metrics": {
        "source": "text",
        "table_name": "text",
        "load_id": "text",
        "run_id": "text",
        "window_start": "timestamp",
        "column_name": "text",
        "metric": "text",
        "rows_where": "text",
        "value": "float",
        "shares": "text",
        "measured_at": "timestamp",
    },
    "deadline_misses": {
        "source": "text",
        "run_id": "text",
        "deadline": "timestamp",
        "noticed_at": "timestamp",
        "table_name": "text",
    },
    "forgotten": {
        "receipt": "text",
        "source": "text",
        "table_name": "text",
        "key_columns": "text",
        "key_hash": "text",
        "place": "text",
        "rows_erased": "integer",
        "who": "text",
        "forgotten_at": "timestamp",
    },
    "removals": {
        "source": "text",
        "table_name": "text",
        "what": "text",
        "rows_removed": "integer",
        "bytes": "integer",
        "older_than": "timestamp",
        "why": "text",
        "run_id": "text",
        "removed_at": "timestamp",
    },
}

LOGS: Mapping[str, str] = {
    "loads": "load_log",
    "rejects": "reject_log",
    "schema_changes": "schema_change_log",
    "quality_results": "quality_log",
    "metrics": "metric_log",
}
# What only the logs have. `again`: an earlier commit of the same load is in the log. `void`: the load failed for its
# rejects, and an earlier commit of the same load holds on. `kept_at`: one moment for all results of one try.
LOG_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "loads": {"turn": "integer", "again": "boolean", "void": "boolean"},
    "rejects": {"turn": "integer"},
    "quality_results": {"kept_at": "timestamp"},
}
# What a view has in addition to the columns of its table.
VIEW_COLUMNS: Mapping[str, tuple[str, ...]] = {"rejects": ("turn", "state")}
_GOOD = ("loaded", "unchanged", "duplicate")
# what a load that fails for its rejects does not move on
_STILL: dict[str, Any] = dict.fromkeys(
    ("cursor_min", "cursor_max", "business_date_min", "business_date_max", "delta_token")
)
OLD_TABLES = ("turns",)  # of older versions, with nothing that anything still needs


@dataclass(frozen=True)
class Written:
    """The rows of a landing that the load wrote, and those that the table had from another load, word for word.

    `deleted` are rows of the table that the source has deleted.
    """

    loaded: int
    unchanged: int = 0
    deleted: int = 0
    withheld: int = 0  # good rows that a load with too many rejects did not write

    def duplicate(self, manifest: Manifest) -> int:
        """Return the rows that came twice, or that the table has in a newer version."""
        return manifest.rows + manifest.rows_duplicate - self.loaded - self.unchanged - self.withheld


def relation(table: str) -> Relation:
    """Where an audit table is read: a view where its rows are appended to a log."""
    return Relation(SCHEMA, table)


def log(table: str) -> Relation:
    """Where an audit table is written."""
    return Relation(SCHEMA, LOGS.get(table, table))


def view_columns(table: str) -> tuple[str, ...]:
    """Return the names of an audit table's columns, as they are read."""
    return (*TABLES[table], *VIEW_COLUMNS.get(table, ()))


def columns(table: str) -> Mapping[str, ColumnType]:
    """Return an audit table's columns, as they are read."""
    return {name: ColumnType.parse(kind) for name, kind in TABLES[table].items()}


def log_columns(table: str) -> Mapping[str, ColumnType]:
    """Return an audit table's columns, as they are written."""
    more = LOG_COLUMNS.get(table, {})
    return {**columns(table), **{name: ColumnType.parse(kind) for name, kind in more.items()}}


def insert_row(dialect: Dialect, table: str, row: Mapping[str, Value]) -> str:
    """INSERT of one row; see `insert_rows`."""
    return insert_rows(dialect, table, [row])


def insert_rows(dialect: Dialect, table: str, rows: Sequence[Mapping[str, Value]]) -> str:
    """INSERT of rows that all have the same of the table's columns. Not every warehouse has expressions in VALUES."""
    names = tuple(name for name in log_columns(table) if name in rows[0])
    selects = ["SELECT " + ", ".join(dialect.literal(row[name]) for name in names) for row in rows]
    return f"INSERT INTO {log(table).sql(dialect)} ({dialect.names(names)}) {' UNION ALL '.join(selects)}"


def insert_load(dialect: Dialect, row: Mapping[str, Value]) -> Statement:
    """INSERT of a load's row as the next commit of its table, by anyone who has the table's turn."""
    d, names = dialect, tuple(TABLES["loads"])
    mine = f"l.{d.name('load_id')} = {d.literal(row['load_id'])}"
    rejected, *good = (int(str(row[f"rows_{name}"])) for name in ("rejected", *_GOOD))
    earlier = f"count(CASE WHEN {mine} AND {brought_good(d, 'l')} THEN 1 END) > 0"
    values = [
        *(d.literal(row[name]) for name in names),
        f"coalesce(max(l.{d.name('turn')}), 0) + 1",
        f"count(CASE WHEN {mine} THEN 1 END) > 0",
        earlier if rejected and not any(good) else d.literal(False),
    ]
    return Statement(
        f"INSERT INTO {log('loads').sql(d)} ({d.names((*names, *LOG_COLUMNS['loads']))}) SELECT {', '.join(values)} "
        f"FROM {log('loads').sql(d)} AS l WHERE {of_table(d, str(row['source']), str(row['table_name']))}",
        "the record of this load: window, rows, cursor; append-only",
    )


def brought_good(dialect: Dialect, alias: str = "") -> str:
    """Return the condition for loads whose rejects did not make them fail: of others nothing is in the table."""
    of = f"{alias}." if alias else ""
    rejected, *good = (f"coalesce({of}{dialect.name(f'rows_{name}')}, 0)" for name in ("rejected", *_GOOD))
    return f"({rejected} = 0 OR {' + '.join(good)} > 0)"


def holds(dialect: Dialect, alias: str) -> str:
    """Return the condition for commits in the log that changed something: only rejects in the place of rows did not."""
    return f"NOT coalesce({alias}.{dialect.name('void')}, FALSE)"


def newest_turn(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of the number of a table's newest commit."""
    return (
        f"SELECT max({dialect.name('turn')}) FROM {log('loads').sql(dialect)} WHERE {of_table(dialect, source, name)}"
    )


def newest_commit(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of the newest moment of a table's commits: when one was committed, or the reading for it begun."""
    moment = f"greatest(max({dialect.name('started_at')}), max({dialect.name('loaded_at')}))"
    return f"SELECT {moment} AS newest FROM {log('loads').sql(dialect)} WHERE {of_table(dialect, source, name)}"


def newest_drift(dialect: Dialect, load_id: str) -> str:
    """SELECT of the moment at which a load's last change of its table was written down."""
    d = dialect
    mine = f"{d.name('load_id')} = {d.literal(load_id)}"
    return f"SELECT max({d.name('changed_at')}) AS newest FROM {log('schema_changes').sql(d)} WHERE {mine}"


def newest_results(dialect: Dialect, source: str, run_id: str) -> str:
    """SELECT of the moment at which a task of a run last wrote its results down, or committed a load."""
    d = dialect
    mine = f"{d.name('source')} = {d.literal(source)} AND {d.name('run_id')} = {d.literal(run_id)}"
    moments = (
        f"SELECT max({d.name(moment)}) AS moment FROM {log(table).sql(d)} WHERE {mine}"
        for table, moment in (("quality_results", "kept_at"), ("loads", "loaded_at"))
    )
    return f"SELECT max(moment) AS newest FROM ({' UNION ALL '.join(moments)}) AS m"


def newest_figures(dialect: Dialect, load_id: str) -> str:
    """SELECT of the moment at which a load was last measured."""
    d = dialect
    mine = f"{d.name('load_id')} = {d.literal(load_id)}"
    return f"SELECT max({d.name('measured_at')}) AS newest FROM {log('metrics').sql(d)} WHERE {mine}"


def count_load(dialect: Dialect, load_id: str, loaded_at: datetime) -> str:
    """SELECT of 1 when this very commit of a load is there, of 0 when it is not."""
    name, literal = dialect.name, dialect.literal
    return (
        f"SELECT count(*) FROM {log('loads').sql(dialect)} "
        f"WHERE {name('load_id')} = {literal(load_id)} AND {name('loaded_at')} = {literal(loaded_at)}"
    )


def committed(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of when the landing of each load was begun whose rows a table has."""
    d = dialect
    return (
        f"SELECT {d.name('load_id')}, {d.name('started_at')} FROM {relation('loads').sql(d)} "
        f"WHERE {of_table(d, source, name)} AND {brought_good(d)}"
    )


def later_landing(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of how many landings are committed that were begun later and hold all that this one does.

    They are of the same load, or of a full refresh over its window. Next to it, how many keys were forgotten since the
    landing was begun and may be in it still.
    """
    d, mine = dialect, of_table(dialect, manifest.source, manifest.table)
    done = ", ".join(d.literal(one.sha256) for one in manifest.forgotten)
    left = f" AND {d.name('key_hash')} NOT IN ({done})" if done else ""
    begun = d.literal(datetime.fromisoformat(manifest.started_at))
    forgotten = (
        f"(SELECT count(*) FROM {relation('forgotten').sql(d)} WHERE {mine} "
        f"AND {d.name('forgotten_at')} >= {begun}{left})"
    )
    start, end = (d.literal(datetime.fromisoformat(text)) for text in (manifest.window_start, manifest.window_end))
    refreshed = f"{d.name('full_refresh')} AND {d.name('window_start')} <= {start} AND {d.name('window_end')} >= {end}"
    return Statement(
        f"SELECT count(*), {forgotten} FROM {relation('loads').sql(d)} WHERE {mine} "
        f"AND {d.name('started_at')} > {begun} "
        f"AND ({d.name('load_id')} = {d.literal(manifest.load_id)} OR ({refreshed})) AND {brought_good(d)}",
        "give way if a later landing of this window is committed",
    )


def delete_rejects_before(dialect: Dialect, source: str, name: str, before: datetime) -> str:
    """DELETE of a table's rejects that are older than a moment."""
    return f"DELETE FROM {log('rejects').sql(dialect)} WHERE {_rejected_before(dialect, source, name, before)}"


def count_rejects_before(dialect: Dialect, source: str, name: str, before: datetime) -> str:
    """SELECT of the number of a table's rejects that are older than a moment."""
    return f"SELECT count(*) FROM {log('rejects').sql(dialect)} WHERE {_rejected_before(dialect, source, name, before)}"


def _rejected_before(dialect: Dialect, source: str, name: str, before: datetime) -> str:
    return f"{of_table(dialect, source, name)} AND {dialect.name('rejected_at')} < {dialect.literal(before)}"


def of_table(dialect: Dialect, source: str, name: str) -> str:
    """Return the condition for rows about a source's table."""
    d = dialect
    return f"{d.name('source')} = {d.literal(source)} AND {d.name('table_name')} = {d.literal(name)}"


def turn(source: str, name: str) -> Relation:
    """Return the table of one row that a commit of a source's table changes first, and nothing else changes."""
    whose = hashlib.sha256(f"{source}.{name}".encode()).hexdigest()[:12]
    return Relation(SCHEMA, f"turn_{source}_{name}"[:200] + f"_{whose}")


def create_turn(dialect: Dialect, source: str, name: str) -> Statement:
    """CREATE TABLE with its row, in one statement, where it is not there yet."""
    table = turn(source, name).sql(dialect)
    kind, kept = ("TRANSIENT TABLE", " DATA_RETENTION_TIME_IN_DAYS = 0") if dialect.stores_options else ("TABLE", "")
    first = f"CAST({dialect.literal('none')} AS {dialect.type(ColumnType('text'))})"
    return Statement(
        f"CREATE {kind} IF NOT EXISTS {table}{kept} AS SELECT {first} AS {dialect.name('turn')}", "if it does not exist"
    )


def take_turn(dialect: Dialect, source: str, name: str, whose: str) -> Statement:
    """UPDATE that waits until no other load of the table is writing, or fails where another one is."""
    return Statement(
        f"UPDATE {turn(source, name).sql(dialect)} SET {dialect.name('turn')} = {dialect.literal(whose)}",
        "loads of this table run one after the other",
    )


def whose_turn(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of who has taken a table's turn last."""
    return f"SELECT {dialect.name('turn')} FROM {turn(source, name).sql(dialect)}"


def load_row(
    manifest: Manifest,
    *,
    run_id: str,
    write_disposition: str,
    full_refresh: bool,
    written: Written,
    loaded_at: datetime,
) -> dict[str, Value]:
    """Return the row of `_elt.loads` for a landing. One that failed for its rejects, or a replay, moves nothing on."""
    # without rows and without rejects nothing has changed, and a token of an API that says so moves on
    succeeds = manifest.rows > written.withheld or not manifest.rows_rejected
    moves = manifest if succeeds and not manifest.replays else replace(manifest, **_STILL)
    return {
        "load_id": manifest.load_id,
        "source": manifest.source,
        "table_name": manifest.table,
        "run_id": run_id,
        "window_start": datetime.fromisoformat(manifest.window_start),
        "window_end": datetime.fromisoformat(manifest.window_end),
        "write_disposition": write_disposition,
        "full_refresh": full_refresh,
        "rows_read": manifest.rows_read,
        "rows_loaded": written.loaded,
        "rows_rejected": manifest.rows_rejected,
        "rows_duplicate": written.duplicate(manifest),
        "rows_unchanged": written.unchanged,
        "rows_filtered": manifest.rows_filtered,
        "rows_withheld": written.withheld,
        "rows_deleted": written.deleted,
        "rows_null_cursor": manifest.rows_null_cursor,
        "values_discarded": manifest.values_discarded,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "cursor_column": manifest.cursor_column,
        "cursor_type": manifest.cursor_type,
        "cursor_after": manifest.cursor_after,
        "cursor_min": moves.cursor_min,
        "cursor_value": moves.cursor_max,
        "delta_token": moves.delta_token,
        "delta_token_after": manifest.delta_token_after,
        "business_date_min": moves.business_date_min,
        "business_date_max": moves.business_date_max,
        "columns": json.dumps([_said(column) for column in manifest.columns]),
        "started_at": datetime.fromisoformat(manifest.started_at),
        "loaded_at": loaded_at,
        "replaced_by": None,
    }


def _said(column: LandedColumn) -> dict[str, str]:
    return {name: value for name, value in asdict(column).items() if value is not None}


def drift_row(manifest: Manifest, drift: Drift, changed_at: datetime) -> dict[str, Value]:
    """Return the row of `_elt.schema_changes` for one difference."""
    return {
        "load_id": manifest.load_id,
        "source": manifest.source,
        "table_name": manifest.table,
        "column_name": drift.column,
        "old_type": drift.old,
        "type": drift.type,
        "change": drift.action,
        "changed_at": changed_at,
    }
