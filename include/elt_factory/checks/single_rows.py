"""The rows of a load before they are loaded, as DuckDB reads them: for checks that set failing ones aside."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from elt_factory.checks.counting import LoadedRows
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DIALECT


class _Every(Collection[str]):
    """Every name: which columns the records have is known when they are read, and the contract has NULL for others."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


ROWS = LoadedRows(DIALECT, Relation("", "records"), _Every(), "")
