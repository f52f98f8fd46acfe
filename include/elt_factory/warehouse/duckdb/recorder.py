"""DuckDB for a plan: see `recording`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from elt_factory.warehouse.duckdb.warehouse import DIALECT, DuckDBWarehouse
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import Recorder, Script, is_lookup


class DuckDBRecorder(Recorder, DuckDBWarehouse):
    """A DuckDB file that is not there."""

    def __init__(self, order: LoadOrder) -> None:
        self.script = Script(DIALECT, order)
        super().__init__(Path("warehouse.duckdb"))

    def _connect(self) -> None:
        self._connection: Any = _Connection(self.script)


class _Connection:
    """What the warehouse uses of a connection of DuckDB."""

    description = ()

    def __init__(self, script: Script) -> None:
        self._script = script
        self._rows: Sequence[tuple[Any, ...]] = ()

    def execute(self, statement: str) -> Self:
        self._rows = self._looked_up(statement) if is_lookup(statement) else self._script.answer(statement)
        return self

    def _looked_up(self, statement: str) -> Sequence[tuple[Any, ...]]:
        # the other look-up is for comments, of which there are none yet
        asks_for_types = statement.startswith("SELECT column_name, data_type ")
        return [(name, DIALECT.type(kind)) for name, kind in self._script.columns.items()] if asks_for_types else []

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        return self._rows
