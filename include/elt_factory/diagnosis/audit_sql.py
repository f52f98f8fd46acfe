"""The statements that read the audit tables for many tables together: pure functions, values to SQL text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from elt_factory.core.sql_text import Value
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation

LOAD_COLUMNS = (
    "source",
    "table_name",
    "load_id",
    "run_id",
    "window_start",
    "window_end",
    "started_at",
    "loaded_at",
    "rows_read",
    "rows_loaded",
    "rows_unchanged",
    "rows_rejected",
    "rows_duplicate",
    "bytes",
    "business_date_max",
    "full_refresh",
)
RESULT_COLUMNS = (
    "source",
    "table_name",
    "kind",
    "check_name",
    "status",
    "message",
    "run_id",
    "checked_at",
    "seconds",
)
DRIFT_COLUMNS = ("source", "table_name", "column_name", "change", "old_type", "type", "changed_at")
_TABLE = ("source", "table_name")


def newest_loads(d: Dialect, sources: Collection[str], known: Collection[str], most: int) -> str:
    """SELECT of the loads of the newest windows of every table, those that failed among them, `most` of each."""
    place = (
        f"row_number() OVER (PARTITION BY {d.names(_TABLE)} "
        f"ORDER BY {d.name('window_end')} DESC, {d.name('loaded_at')} DESC)"
    )
    inner = (
        f"SELECT {_columns(d, LOAD_COLUMNS, known)}, {place} AS place FROM {audit.relation('loads').sql(d)} "
        f"WHERE {d.name('replaced_by')} IS NULL AND {_of_sources(d, sources)}"
    )
    return f"SELECT {d.names(LOAD_COLUMNS)} FROM ({inner}) AS l WHERE place <= {most}"


def last_commits(d: Dialect, sources: Collection[str], known: Collection[str]) -> str:
    """SELECT of the newest commit of every table, also of one that failed and changed nothing."""
    place = (
        f"row_number() OVER (PARTITION BY {d.names(_TABLE)} "
        f"ORDER BY coalesce({d.name('turn')}, 0) DESC, {d.name('loaded_at')} DESC)"
    )
    inner = (
        f"SELECT {_columns(d, LOAD_COLUMNS, known)}, {place} AS place FROM {audit.log('loads').sql(d)} "
        f"WHERE {_of_sources(d, sources)}"
    )
    return f"SELECT {d.names(LOAD_COLUMNS)} FROM ({inner}) AS l WHERE place = 1"


def newest_results(d: Dialect, sources: Collection[str], since: datetime) -> str:
    """SELECT of the newest result of every check, dbt test and dbt model."""
    keys = ("source", "kind", "table_name", "check_name")
    place = f"row_number() OVER (PARTITION BY {d.names(keys)} ORDER BY {d.name('checked_at')} DESC)"
    inner = (
        f"SELECT {d.names(RESULT_COLUMNS)}, {place} AS place FROM {audit.log('quality_results').sql(d)} "
        f"WHERE {d.name('kind')} IS NOT NULL AND {d.name('checked_at')} >= {d.literal(since)} "
        f"AND {_of_sources(d, sources)}"
    )
    return f"SELECT {d.names(RESULT_COLUMNS)} FROM ({inner}) AS q WHERE place = 1"


def drift_since(d: Dialect, sources: Collection[str], since: datetime) -> str:
    """SELECT of the columns that changed since a moment, the newest change first."""
    return (
        f"SELECT {d.names(DRIFT_COLUMNS)} FROM {audit.relation('schema_changes').sql(d)} "
        f"WHERE {d.name('changed_at')} >= {d.literal(since)} AND {_of_sources(d, sources)} "
        f"ORDER BY {d.name('changed_at')} DESC"
    )


def misses_since(d: Dialect, sources: Collection[str], since: datetime) -> str:
    """SELECT of the deadlines that were missed since a moment, the newest first; each once."""
    return (
        f"SELECT DISTINCT {d.names(('source', 'run_id', 'deadline'))} FROM {audit.relation('deadline_misses').sql(d)} "
        f"WHERE {d.name('deadline')} >= {d.literal(since)} AND {_of_sources(d, sources)} "
        f"ORDER BY {d.name('deadline')} DESC"
    )


def columns_there(d: Dialect, schemas: Collection[str]) -> str:
    """SELECT of the columns of all tables in some schemas."""
    named = ", ".join(d.literal(d.name(schema).strip('"')) for schema in sorted(schemas))
    return (
        "SELECT lower(table_schema), lower(table_name), lower(column_name) FROM information_schema.columns "
        f"WHERE table_catalog = current_database() AND table_schema IN ({named})"
    )


def tables_now(d: Dialect, dates: Mapping[tuple[str, str], tuple[Relation, str | None]]) -> str:
    """SELECT of the number of rows and the newest business date of tables, each as it is; the column where it has one.

    Args:
        d: The warehouse's dialect.
        dates: Where each table is, and the column of its business date, by source and table.
    """
    text = d.types["text"]
    selects = []
    for (source, table), (place, column) in sorted(dates.items(), key=lambda one: one[0]):
        newest = f"CAST(max({d.name(column)}) AS {text})" if column else f"CAST(NULL AS {text})"
        names = ", ".join(f"CAST({d.literal(name)} AS {text})" for name in (source, table))
        selects.append(f"SELECT {names}, count(*), {newest} FROM {place.sql(d)}")
    return " UNION ALL ".join(selects)


def _columns(d: Dialect, wanted: Sequence[str], known: Collection[str]) -> str:
    """Return columns, NULL for those that the tables of an older version do not have."""
    return ", ".join(d.name(name) if name in known else f"NULL AS {d.name(name)}" for name in wanted)


def _of_sources(d: Dialect, sources: Collection[str]) -> str:
    values: Sequence[Value] = sorted(sources)
    return f"{d.name('source')} IN ({', '.join(map(d.literal, values))})"
