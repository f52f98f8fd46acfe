"""Numbers that a table's column cannot hold yet: the wider type that holds them too, where no one has said a type.

Only numbers grow unasked, only under `evolve`, and only as far as they stay exact. Text in a column of numbers is a bad
value, and stays one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import number_for
from elt_factory.core.sql_text import text_literal
from elt_factory.landing.casting import cast_text, digits_of, is_plain_number
from elt_factory.landing.json_rules import pointer_to
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.schema import KnownTable

if TYPE_CHECKING:
    import duckdb


def grown_numbers(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, plan: ContractPlan
) -> dict[str, ColumnType]:
    """Return the columns that would take rejected rows in with a wider type, and these types.

    The rows are staged already.
    """
    if known.table.schema_contract != "evolve":
        return {}
    open_columns = dict(_open_columns(known, plan))
    if not open_columns:
        return {}
    answer = connection.execute(digits(open_columns)).fetchall()[0]
    found = {}
    for index, (name, kind) in enumerate(open_columns.items()):
        whole, scale = answer[2 * index : 2 * index + 2]
        wider = number_for(kind, whole, scale) if whole is not None else None
        if wider:
            found[name] = wider
    return found


def digits(columns: Mapping[str, ColumnType]) -> str:
    """SELECT over the rejected rows: per column the most digits before and after the point that do not fit its type."""
    parts = []
    for name, kind in columns.items():
        raw = f"json_extract_string(record, {text_literal(pointer_to(name))})"
        bad = f"{is_plain_number(raw)} AND {cast_text(raw, kind)} IS NULL"
        # not with FILTER: see `inference.infer_text_type`
        parts += [f"max(CASE WHEN {bad} THEN {part} END)" for part in digits_of(raw)]
    return f"SELECT {', '.join(parts)} FROM staged WHERE reason IS NOT NULL AND record IS NOT NULL"


def _open_columns(known: KnownTable, plan: ContractPlan) -> Iterator[tuple[str, ColumnType]]:
    """Yield the numbers of the table that the YAML gives no type."""
    for column in plan.columns:
        declared = known.declared(column.name)
        in_table = column.name in (known.existing or {})
        if in_table and declared.type is None and not declared.pii and column.type.name in ("integer", "decimal"):
            yield column.name, column.type
