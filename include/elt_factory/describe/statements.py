"""The SQL of a load before there are data: what the YAML says is there, what is found in the data is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from elt_factory.config.models.source import Source
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.window import Window, load_id
from elt_factory.landing.contract import stage_records
from elt_factory.landing.manifest import Manifest
from elt_factory.landing.outline import outline, with_files
from elt_factory.landing.schema import KnownTable, plan_contract
from elt_factory.warehouse import recording
from elt_factory.warehouse.kind import WAREHOUSES
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Step

_TEXT, _INSTANT = ColumnType("text"), ColumnType("timestamp")


def load_statements(
    source: Source, table: str, window: Window, warehouse: str, *, full_refresh: bool = False
) -> Sequence[Step]:
    """Return what a warehouse of a kind is sent for one window, in its order and its dialect."""
    if source.all_tables[table].stored_in:
        return ()
    manifest = _manifest(source, table, window)
    place, run = recording.PLACE, recording.RUN_ID
    # a plan is of a load that is good enough: one with too many rejects writes none of the table's statements
    order = replace(LoadOrder.of(source, table, manifest, place, run, full_refresh=full_refresh), limit=None)
    return WAREHOUSES.get(warehouse).record(order)


def contract_statement(source: Source, table: str) -> str:
    """Return the contract over the raw records, as far as the YAML says it; columns found in the data join it.

    A table that another system loads has none.
    """
    if source.all_tables[table].stored_in:
        return ""
    known = KnownTable.of(source, table, None)
    found = {name: kind or _TEXT for name, kind in _known_columns(known.table).items()}
    plan, _ = plan_contract(known, found)
    return stage_records("records", plan)


def _manifest(source: Source, table: str, window: Window) -> Manifest:
    """Return the manifest of a landing that has the columns of the YAML, and what only a run knows in place of rows."""
    known = KnownTable.of(source, table, None)
    plan, _ = plan_contract(known, _found(known.table))
    plan = with_files(plan, known) if known.table.of_files else plan
    made = outline(known, plan, window, load_id(source.name, table, window), recording.ATTEMPT)
    return recording.filled(made, known.table)


def _found(table: Table) -> Mapping[str, ColumnType]:
    """Return the columns that the YAML names, as if they were found; of some of them only the data have the type."""
    incremental = table.incremental
    is_time = incremental is not None and not table.counts_by_number
    guessed = {incremental.cursor: _INSTANT} if incremental and is_time else {}
    known = {name: kind or guessed.get(name, recording.UNKNOWN) for name, kind in _known_columns(table).items()}
    return known or {"...": recording.UNKNOWN}


def _known_columns(table: Table) -> Mapping[str, ColumnType | None]:
    """Return the columns that the YAML names, with the types that it gives."""
    cursor = [table.incremental.cursor] if table.incremental else []
    dates = [table.business_date] if table.business_date else []
    open_columns = [
        name for name in (*table.primary_key, *cursor, *dates, *table.cluster_by) if name not in table.columns
    ]
    return {name: table.types.get(name) for name in dict.fromkeys((*open_columns, *table.columns))}
