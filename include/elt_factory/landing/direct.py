"""Records that go through the contract straight into the parts of the landing, without being staged first.

That is one pass over them, where nothing is to be decided when all are known: no record is dropped for another one, and
no value or row for a condition. What is rejected is staged as ever, in a second pass that healthy records do not need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.landing import contract, memory, staging
from elt_factory.landing.direct_sql import good_records
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.schema import KnownTable

if TYPE_CHECKING:
    import duckdb

PART_BYTES = 128 * 1024 * 1024  # Snowflake loads files of 100 to 250 MB best
Parts = tuple[tuple[Any, ...], ...]  # of each its path and its rows


def may_be_direct(known: KnownTable, plan: ContractPlan) -> bool:
    """Whether each record can be decided alone, and each presumed column is looked at in every record."""
    decided = all(column.on_bad_value == "reject" or column.hashed or not column.found for column in plan.columns)
    names = {column.name for column in plan.columns if column.found and not column.hashed}
    return (
        bool(plan.columns)
        and decided
        and not plan.where
        and not plan.stays
        and not plan.quarantines
        and not known.table.schema_contract.startswith("discard")
        and names.issuperset(plan.presumed.tests)
    )


def write_parts(connection: duckdb.DuckDBPyConnection, select: str, folder: Path) -> Parts:
    """Write rows to the parts of a landing."""
    copy = contract.copy_statement(select, str(folder), PART_BYTES, memory.row_group_bytes(connection))
    return tuple(tuple(row) for row in connection.execute(copy).fetchall() if row[1])


def stage_directly(
    connection: duckdb.DuckDBPyConnection, staged: Path, plan: ContractPlan, relations: Sequence[str], folder: Path
) -> Parts:
    """Land the good records; they are behind `staged`, too."""
    select = " UNION ALL ".join(good_records(relation, plan) for relation in relations)
    with _as_written(connection, plan):
        parts = write_parts(connection, select, folder)
    if parts:
        staging.stage_landed(connection, staged, plan, [part[0] for part in parts])
    return parts


@contextmanager
def _as_written(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> Iterator[None]:
    """Let each step be done once, in its order.

    A condition that is pushed down to the records would cast values for itself; but a join needs that it is, else each
    record is compared with each file. Joins hold their right side in memory: DuckDB cannot know how many records there
    are.
    """
    pushed = () if plan.joins_files else ("filter_pushdown",)
    ((before,),) = connection.execute("SELECT current_setting('disabled_optimizers')").fetchall()
    off = ",".join(("join_order", "build_side_probe_side", *pushed, *filter(None, (before,))))
    connection.execute(f"SET disabled_optimizers = '{off}'")
    try:
        yield
    finally:
        connection.execute(f"SET disabled_optimizers = '{before}'")
