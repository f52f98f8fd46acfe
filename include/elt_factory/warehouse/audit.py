"""The audit tables in schema `_elt`: their shape and the rows a load writes there.

`loads` has a row per load id: the newest commit of that window. Where a full refresh took the place of its rows,
`replaced_by` is the refresh's load id, and the load counts for nothing any more. `rejects` has the rows that were not
loaded, each with its reason. `schema_changes`, `quality_results` and `deadline_misses` say what changed, what was
checked, what was late. `turns` has a row per table that every load of it changes last: of two loads at once one finds
it changed, and begins again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from elt_factory.config.values import ColumnType
from elt_factory.landing.manifest import Drift, Manifest
from elt_factory.sql_text import Value
from elt_factory.warehouse.dialect import Dialect, Relation

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
        "values_discarded": "integer",
        "files": "integer",
        "bytes": "integer",
        "cursor_column": "text",
        "cursor_type": "text",
        "cursor_min": "text",
        "cursor_value": "text",
        "business_date_min": "text",
        "business_date_max": "text",
        "columns": "text",
        "started_at": "timestamp",
        "loaded_at": "timestamp",
        "replaced_by": "text",
    },
    "turns": {
        "source": "text",
        "table_name": "text",
        "turn": "text",
    },
    "rejects": {
        "load_id": "text",
        "source": "text",
        "table_name": "text",
        "reason": "text",
        "record": "text",
        "rejected_at": "timestamp",
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
    },
    "deadline_misses": {
        "source": "text",
        "run_id": "text",
        "deadline": "timestamp",
        "noticed_at": "timestamp",
    },
}


@dataclass(frozen=True)
class Written:
    """The rows of a landing that the load wrote, and those that the table had from another load, word for word."""

    loaded: int
    unchanged: int = 0

    def superseded(self, manifest: Manifest) -> int:
        """The rows that the table has in a newer version; they count as duplicates."""
        return manifest.rows - self.loaded - self.unchanged


def relation(table: str) -> Relation:
    """An audit table's relation."""
    return Relation(SCHEMA, table)


def columns(table: str) -> Mapping[str, ColumnType]:
    """An audit table's columns."""
    return {name: ColumnType.parse(kind) for name, kind in TABLES[table].items()}


def insert_row(dialect: Dialect, table: str, row: Mapping[str, Value]) -> str:
    """INSERT of one row whose keys are all columns of the table."""
    return insert_rows(dialect, table, [row])


def insert_rows(dialect: Dialect, table: str, rows: Sequence[Mapping[str, Value]]) -> str:
    """INSERT of rows whose keys are all columns of the table. Not every warehouse has expressions in VALUES."""
    names = tuple(TABLES[table])
    selects = ["SELECT " + ", ".join(dialect.literal(row[name]) for name in names) for row in rows]
    return f"INSERT INTO {relation(table).sql(dialect)} ({dialect.names(names)}) {' UNION ALL '.join(selects)}"


def count_load(dialect: Dialect, load_id: str, loaded_at: datetime) -> str:
    """SELECT of 1 when this very commit of a load is there, of 0 when it is not."""
    name, literal = dialect.name, dialect.literal
    return (
        f"SELECT count(*) FROM {relation('loads').sql(dialect)} "
        f"WHERE {name('load_id')} = {literal(load_id)} AND {name('loaded_at')} = {literal(loaded_at)}"
    )


def committed(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of when the landing of each committed load of a table was begun."""
    d = dialect
    return (
        f"SELECT {d.name('load_id')}, {d.name('started_at')} FROM {relation('loads').sql(d)} "
        f"WHERE {of_table(d, source, name)}"
    )


def delete_rejects_before(dialect: Dialect, source: str, name: str, before: datetime) -> str:
    """DELETE of a table's rejects that are older than a moment."""
    d = dialect
    return (
        f"DELETE FROM {relation('rejects').sql(d)} "
        f"WHERE {of_table(d, source, name)} AND {d.name('rejected_at')} < {d.literal(before)}"
    )


def delete_load(dialect: Dialect, table: str, load_id: str) -> str:
    """DELETE of what an earlier commit of the same load wrote."""
    return f"DELETE FROM {relation(table).sql(dialect)} WHERE {dialect.name('load_id')} = {dialect.literal(load_id)}"


def delete_table(dialect: Dialect, table: str, source: str, name: str) -> str:
    """DELETE of what all loads of a source's table wrote."""
    return f"DELETE FROM {relation(table).sql(dialect)} WHERE {of_table(dialect, source, name)}"


def mark_replaced(dialect: Dialect, source: str, name: str, load_id: str) -> str:
    """UPDATE of all loads of a table for a full refresh: their rows are gone."""
    return (
        f"UPDATE {relation('loads').sql(dialect)} SET {dialect.name('replaced_by')} = {dialect.literal(load_id)} "
        f"WHERE {of_table(dialect, source, name)}"
    )


def of_table(dialect: Dialect, source: str, name: str) -> str:
    """The condition for rows about a source's table."""
    d = dialect
    return f"{d.name('source')} = {d.literal(source)} AND {d.name('table_name')} = {d.literal(name)}"


def turn(dialect: Dialect, source: str, name: str) -> str:
    """SELECT of whose turn it was last."""
    return (
        f"SELECT {dialect.name('turn')} FROM {relation('turns').sql(dialect)} WHERE {of_table(dialect, source, name)}"
    )


def take_turn(dialect: Dialect, source: str, name: str, last: str, this: str) -> str:
    """UPDATE that changes nothing where another load has taken its turn since."""
    d = dialect
    return (
        f"UPDATE {relation('turns').sql(d)} SET {d.name('turn')} = {d.literal(this)} "
        f"WHERE {of_table(d, source, name)} AND {d.name('turn')} = {d.literal(last)}"
    )


def load_row(
    manifest: Manifest,
    *,
    run_id: str,
    write_disposition: str,
    full_refresh: bool,
    written: Written,
    loaded_at: datetime,
) -> dict[str, Value]:
    """The row of `_elt.loads` for a landing."""
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
        "rows_duplicate": manifest.rows_duplicate + written.superseded(manifest),
        "rows_unchanged": written.unchanged,
        "values_discarded": manifest.values_discarded,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "cursor_column": manifest.cursor_column,
        "cursor_type": manifest.cursor_type,
        "cursor_min": manifest.cursor_min,
        "cursor_value": manifest.cursor_max,
        "business_date_min": manifest.business_date_min,
        "business_date_max": manifest.business_date_max,
        "columns": json.dumps([asdict(column) for column in manifest.columns]),
        "started_at": datetime.fromisoformat(manifest.started_at),
        "loaded_at": loaded_at,
        "replaced_by": None,
    }


def drift_row(manifest: Manifest, drift: Drift, changed_at: datetime) -> dict[str, Value]:
    """The row of `_elt.schema_changes` for one difference."""
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


def delete_drift(dialect: Dialect, load_id: str, columns: Sequence[str]) -> str:
    """DELETE of what an earlier try of the same load said of columns."""
    name, listed = dialect.name, ", ".join(dialect.literal(column) for column in columns)
    return (
        f"DELETE FROM {relation('schema_changes').sql(dialect)} "
        f"WHERE {name('load_id')} = {dialect.literal(load_id)} AND {name('column_name')} IN ({listed})"
    )
