"""What a manifest says before any record is counted: it follows from the YAML, the window and the contract alone."""

from __future__ import annotations

from dataclasses import replace

from elt_factory.config.models.table import TIMES
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import ContractError
from elt_factory.core.window import Window, iso_utc
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.manifest import LandedColumn, Manifest
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.schema import KnownTable


def with_files(plan: ContractPlan, known: KnownTable) -> ContractPlan:
    """Return the plan for records that come from a source's files: each row says from which.

    Raises:
        ContractError: the files have a column of the name that the YAML gives for that.
    """
    wanted = known.table.column_of_file
    if wanted and any(name.casefold() == wanted.casefold() for name in plan.raw_columns):
        raise ContractError(
            f"{known.label}: the files already have the column {wanted}; choose another name for file_column"
        )
    # appended rows belong to their file: what another one has of their key does not depend on which load brings both
    alone = known.table.write_disposition == "append" and not known.table.incremental
    return replace(plan, by_file=True, file_column=wanted, key_of_file=alone)


def outline(known: KnownTable, plan: ContractPlan, window: Window, load_id: str, attempt: Attempt) -> Manifest:
    """Return the manifest of a landing without files and without rows."""
    table = known.table
    types = {column.name: column.landed_type for column in plan.columns}
    cursor = table.incremental.cursor if table.incremental else None
    return Manifest(
        source=known.source,
        table=known.table_name,
        load_id=load_id,
        window_start=iso_utc(window.start),
        window_end=iso_utc(window.end),
        columns=tuple(LandedColumn(name, str(kind)) for name, kind in {**types, **_file_column(plan)}.items()),
        files=(),
        rejects=None,
        rows_read=0,
        rows=0,
        rows_rejected=0,
        rows_duplicate=0,
        values_discarded=0,
        drift=(),
        cursor_column=cursor,
        cursor_type=str(types[cursor]) if cursor in types else None,
        cursor_min=None,
        cursor_max=None,
        business_date_min=None,
        business_date_max=None,
        started_at=iso_utc(attempt.started),
        attempt=attempt.name,
        null_cursor=table.null_cursor if cursor and table.asks_by_cursor else None,
    )


def reads_after(manifest: Manifest, after: str | None) -> Manifest:
    """Return the manifest with where the source was read from, by a cursor that is not a time."""
    kind = next((column.column_type.name for column in manifest.columns if column.name == manifest.cursor_column), None)
    return replace(manifest, cursor_after=None if kind in TIMES else after)


def _file_column(plan: ContractPlan) -> dict[str, ColumnType]:
    return {plan.file_column: ColumnType("text")} if plan.file_column and plan.columns else {}
