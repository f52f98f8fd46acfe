"""How many records are behind `staged`, good and rejected, of each file: counted once for all that asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elt_factory.landing.planned import ContractPlan

if TYPE_CHECKING:
    import duckdb

# of each file; `unread` are records that could not be read at all
_COUNTS = (
    "count(*) AS lines, count(CASE WHEN reason IS NULL THEN 1 END) AS good, "
    "count(CASE WHEN reason IS NOT NULL AND bad_values IS NULL THEN 1 END) AS unread, "
    "coalesce(min(CASE WHEN bad_values IS NULL THEN reason END), min(reason)) AS reason, "
    "coalesce(sum(CASE WHEN reason IS NULL THEN bad_values END), 0) AS discarded"
)


@dataclass(frozen=True)
class Tally:
    """Records: all of them, the good ones, and how many values of those were discarded."""

    records: int
    good: int
    discarded: int

    @property
    def rejected(self) -> int:
        """Records that are not good."""
        return self.records - self.good


def tallied(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> Tally:
    """Count what is staged, and CREATE TABLE tally: the counts of each file."""
    file = "file" if plan.by_file else "NULL AS file"
    select = f"SELECT {file}, {_COUNTS} FROM staged GROUP BY ALL"
    connection.execute(f"CREATE OR REPLACE TABLE tally AS {select}")
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in ("lines", "good", "discarded"))
    return Tally(*map(int, connection.execute(f"SELECT {sums} FROM tally").fetchall()[0]))
