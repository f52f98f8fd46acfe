"""The SQL of a load before there are data: what the YAML says appears there, what is found in the data does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from elt_factory.config.source import Source
from elt_factory.config.table import Table
from elt_factory.config.values import ColumnType
from elt_factory.describe.staging import KINDS, Staging, spoken
from elt_factory.landing.contract import stage_records
from elt_factory.landing.schema import Known, plan_contract
from elt_factory.sql_text import Value
from elt_factory.warehouse import audit, history, ledger, statements
from elt_factory.warehouse.base import own_columns
from elt_factory.warehouse.dialect import Relation, TableOptions
from elt_factory.warehouse.history import History, Step
from elt_factory.warehouse.snapshots import Snapshot, snapshot_statements

_NOW = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOW_END = datetime(1970, 1, 2, tzinfo=UTC)
_WORDS: Mapping[Value, str] = {_NOW: ":now", _WINDOW_END: ":window_end"}


def load_statements(source: Source, table: str, load_id: str, warehouse: str) -> list[Step]:
    """Return what a warehouse of a kind is sent for one window, in its order and its dialect."""
    spec, target = source.all_tables[table], Relation(source.name, table)
    columns = known_columns(spec)
    typed = {name: kind for name, kind in columns.items() if kind is not None}
    staging = KINDS[warehouse](f"{source.name}/{table}/{load_id}", typed)
    # with words for the moment of the load and the end of its window
    dialect = replace(staging.dialect, literal=spoken(staging.dialect, _WORDS))
    staging = replace(staging, dialect=dialect)
    found = "add the columns found in the data"
    clock = spec.cursor_zone or source.timezone
    versions = _versions(staging, target, spec, load_id, clock) if spec.write_disposition == "scd2" else None
    insert = [Step(f"the new rows; {found}", _insert(staging, target, spec, columns, load_id))]
    return [
        *staging.before,
        Step("if it does not exist", statements.create_schema(dialect, target.schema)),
        Step(
            f"if it does not exist; {found}",
            statements.create_table(
                dialect,
                target,
                {**typed, **own_columns(spec.write_disposition), **_of_files(spec)},
                TableOptions.of(spec),
            ),
        ),
        Step("if it does not exist", audit.create_turn(dialect, source.name, table)),
        Step("start one transaction", "BEGIN"),
        Step(
            "loads of this table run one after the other",
            audit.take_turn(dialect, source.name, table, f"{load_id} ..."),
        ),
        *(versions or [*_removal(staging, target, spec, load_id), *insert]),
        *_account(staging, source, table, load_id),
        Step("commit the rows and their record together, or nothing", "COMMIT"),
        *staging.after,
    ]


def contract_statement(source: Source, table: str) -> str:
    """Return the contract over the raw records, as far as the YAML says it; columns found in the data join it."""
    known = Known(source.name, table, source.all_tables[table], None)
    found = {name: kind or ColumnType("text") for name, kind in known_columns(known.table).items()}
    plan, _ = plan_contract(known, found)
    return stage_records("records", plan)


def known_columns(spec: Table) -> Mapping[str, ColumnType | None]:
    """Return the columns that the YAML names and that are kept.

    Each has its type in the warehouse if the YAML declares one.
    """
    incremental = [spec.incremental.cursor] if spec.incremental else []
    dates = [spec.business_date] if spec.business_date else []
    named = dict.fromkeys((*spec.primary_key, *incremental, *dates, *spec.cluster_by, *spec.columns))
    declared = {name: spec.columns.get(name) for name in named}
    kept = {name: column for name, column in declared.items() if column is None or column.pii != "drop"}
    return {
        name: ColumnType("text") if column and column.pii == "hash" else column.type if column else None
        for name, column in kept.items()
    }


def _removal(staging: Staging, target: Relation, spec: Table, load_id: str) -> Iterator[Step]:
    dialect = staging.dialect
    match spec.write_disposition:
        case "replace":
            yield Step("delete all rows", statements.delete_all(dialect, target))
        case "append":
            of_files = _of_files(spec)
            if of_files:
                sql = ledger.delete_delivered(dialect, target, staging.delivered)
                yield Step("delete what the files delivered before, whichever load wrote it", sql)
            own = statements.delete_own(dialect, target, load_id, *of_files)
            yield Step("delete what an earlier attempt of this window wrote", own)
            if spec.incremental and spec.asks_by_cursor and spec.null_cursor == "include":
                sql = statements.delete_without_cursor(dialect, target, spec.incremental.cursor)
                yield Step("delete the rows without a cursor value: all of them are read again", sql)
        case "merge":
            cursor = spec.incremental.cursor if spec.incremental else None
            sql = statements.delete_matching(dialect, target, staging.rows, spec.primary_key, cursor)
            yield Step("delete the rows that are read again" + (", unless they are newer" if cursor else ""), sql)


def _versions(staging: Staging, target: Relation, spec: Table, load_id: str, clock: str) -> list[Step]:
    kinds = {name: kind or ColumnType("text") for name, kind in known_columns(spec).items()}
    picture = history.picture(staging.dialect, staging.rows, kinds, kinds)
    versions = History(staging.dialect, target, picture, kinds, spec.primary_key, clock)
    if spec.incremental:
        return history.cursor_statements(versions, spec.incremental.cursor, load_id, _NOW)
    snapshot = Snapshot(target.schema, target.name, load_id, _WINDOW_END, _NOW)
    return snapshot_statements(versions, snapshot)


def _insert(
    staging: Staging, target: Relation, spec: Table, columns: Mapping[str, ColumnType | None], load_id: str
) -> str:
    kinds = {name: kind or ColumnType("text") for name, kind in columns.items()}
    keys: tuple[str, ...] = ()
    if spec.incremental and spec.write_disposition == "merge":
        keys = spec.primary_key
    elif spec.incremental and spec.primary_key and spec.write_disposition == "append":
        keys = (*spec.primary_key, spec.incremental.cursor)
    values = statements.staged_values(staging.dialect, kinds, kinds)
    values |= {name: f"s.{staging.dialect.name(name)}" for name in _of_files(spec)}
    return statements.insert_rows(staging.dialect, target, staging.rows, values, load_id, _NOW, keys)


def _account(staging: Staging, source: Source, table: str, load_id: str) -> Iterator[Step]:
    dialect = staging.dialect
    names = ", ".join(audit.log_columns("loads"))
    place = audit.log("loads").sql(dialect)
    yield Step(
        "the record of this load: window, rows, cursor; append-only", f"INSERT INTO {place} ({names}) VALUES (...)"
    )
    rejects = statements.insert_rejects(dialect, staging.rejects, source.name, table, load_id, _NOW)
    yield Step("the rejected rows, each with its reason", rejects)
    if source.all_tables[table].of_files:
        place = ledger.FILES.sql(dialect)
        yield Step("the ledger: what each file delivered; append-only", f"INSERT INTO {place} ... (...)")


def _of_files(spec: Table) -> Mapping[str, ColumnType]:
    """Return the column that says from which file an appended row came."""
    return ledger.OWN_COLUMN if spec.of_files and spec.write_disposition == "append" else {}
