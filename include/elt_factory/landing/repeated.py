"""Finding JSON values with a key twice in one object.

Almost no value has one, so the look costs one pattern over the staged column. Where a key does appear twice, as in
every list of objects, the forms of those values decide, and there are few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elt_factory.landing import json_rules
from elt_factory.landing.planned import ContractPlan

if TYPE_CHECKING:
    import duckdb

_BATCH = 1000


def has_repeated_keys(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> bool:
    """Whether a staged value has a key twice; the shapes of such values are then in the table `repeated_keys`."""
    shapes = {
        shape
        for column in plan.columns
        if column.type.name == "json" and column.found and not column.hashed
        for shape in _repeated_shapes(connection, plan.staged(column.name))
    }
    if not shapes:
        return False
    connection.execute("CREATE TABLE repeated_keys (shape VARCHAR)")
    connection.executemany("INSERT INTO repeated_keys VALUES (?)", [[shape] for shape in shapes])
    return True


def _repeated_shapes(connection: duckdb.DuckDBPyConnection, column: str) -> set[str]:
    cursor = connection.cursor()
    cursor.execute(
        f"SELECT DISTINCT {json_rules.shape(column)} FROM staged "
        f"WHERE reason IS NULL AND {json_rules.may_repeat_keys(column)}"
    )
    found: set[str] = set()
    while rows := cursor.fetchmany(_BATCH):
        found.update(shape for (shape,) in rows if json_rules.repeats_a_key(shape))
    return found
