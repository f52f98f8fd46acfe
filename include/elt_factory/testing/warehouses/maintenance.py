"""Rows past their retention are deleted and counted, at the table's turn; removed sources leave no state."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from elt_factory.config.models.source import Source
from elt_factory.testing.warehouses.loader import MERGE, Crash, Loader, OnWarehouse, day
from elt_factory.testing.warehouses.replays import config_of
from elt_factory.warehouse import audit
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.old_rows import AgeError, delete_old_rows, old_rows
from elt_factory.warehouse.removed_sources import remove_state, removed_sources

NOW = datetime(2014, 2, 5, 12, tzinfo=UTC)  # 400 days after 2013-01-01T12:00
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "at": "2013-01-01T11:59:59Z", "day": "2012-12-31"},
    {"id": 2, "at": "2013-01-01T12:00:00Z", "day": "2013-01-01"},
    {"id": 3, "at": None, "day": None},
]
TYPES = {"columns": {"at": {"type": "timestamp"}, "day": {"type": "date"}}}


def of(loader: Loader, by: str, **more: Any) -> Source:
    """Let the loader's table keep its rows for 400 days."""
    loader.spec = {**MERGE, **TYPES, **more}
    spec = loader.spec
    loader.spec = {**spec, "retention": {"rows": "400d", "by": by}}
    config = config_of(loader, loader.base)
    loader.spec = spec
    return config


class MaintenanceSuite(OnWarehouse):
    """Rows past their retention are deleted and counted, at the table's turn; removed sources leave no state."""

    def test_only_rows_that_are_older_go_and_their_number_is_written_down(self, loader: Loader) -> None:
        config = of(loader, by := "at")
        loader.load(RECORDS)
        days = old_rows(loader.warehouse, of(loader, "day"), "tab", NOW)
        looked = old_rows(loader.warehouse, config, "tab", NOW)
        assert days is not None
        assert looked is not None
        assert (days.rows, looked.rows, looked.column) == (1, 1, by)
        done = delete_old_rows(loader.warehouse, config, "tab", NOW, "the run")
        again = delete_old_rows(loader.warehouse, config, "tab", NOW, "the run")
        assert (done, again and again.rows) == (looked, 0)
        assert loader.rows("id") == [(2,), (3,)]
        kept = loader.audit("removals", "what", "rows_removed", "why", "run_id")
        assert [(what, int(rows), *more) for what, rows, *more in kept] == [
            ("rows", 1, f"retention by {by}", "the run")
        ]

    def test_of_a_history_only_versions_that_had_ended_by_then_go(self, loader: Loader) -> None:
        config = of(loader, "at", write_disposition="scd2")
        old = {"id": 1, "at": "2012-01-01T00:00:00Z", "day": None}
        ends_later = {**old, "id": 2}
        loader.load([old, ends_later], day(-5))
        loader.load([{**old, "day": "2012-01-02"}, ends_later], day(-3))
        loader.load([{**old, "day": "2012-01-02"}, {**ends_later, "day": "2012-01-02"}], day(40))
        assert len(loader.rows("id")) == 4
        delete_old_rows(loader.warehouse, config, "tab", NOW, "")
        assert [int(row[0]) for row in loader.rows("id")] == [1, 2, 2]

    def test_one_that_is_killed_has_deleted_and_counted_or_neither_and_no_column_but_a_time_deletes(
        self, loader: Loader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = of(loader, "at")
        loader.load(RECORDS)
        for column, what in (("id", "the table has it as integer"), ("w", "the table has no such column")):
            with pytest.raises(AgeError, match=f'by the age of "{column}": {what}'):
                delete_old_rows(loader.warehouse, of(loader, column), "tab", NOW, "")
        for at in itertools.count(1, 1 if isinstance(loader.warehouse, DuckDBWarehouse) else 3):
            with monkeypatch.context() as patched:
                _crash_after(loader, patched, at)
                try:
                    delete_old_rows(loader.warehouse, config, "tab", NOW, "")
                except Crash:
                    pass
                else:
                    break
            there = len(loader.rows("id")) == len(RECORDS)
            assert there == (loader.audit("removals", "what") == [])
        assert loader.audit("removals", "what") == [("rows",)]

    def test_a_removed_source_leaves_no_state_and_keeps_its_table(self, loader: Loader) -> None:
        loader.spec = {**MERGE, "columns": {"n": {"type": "integer"}}, "rejects": {"max": "90%"}}
        loader.load([{"id": 1, "n": 1}, {"id": 2, "n": "x"}])
        assert removed_sources(loader.warehouse, {"src"}) == []
        (gone,) = removed_sources(loader.warehouse, {"other"})
        assert (gone.name, gone.tables) == ("src", ("tab",))
        counts = remove_state(loader.warehouse, gone, "asked", "")
        assert {table: counts[table] for table in ("loads", "rejects")} == {"loads": 1, "rejects": 1}
        assert removed_sources(loader.warehouse, {"other"}) == []
        assert loader.warehouse.columns(audit.turn("src", "tab")) is None
        assert loader.rows("id") == [(1,)]
        # its name can be used again
        assert loader.load([{"id": 5, "n": 5}], day(2)).total_rows == 2


def _crash_after(loader: Loader, patched: pytest.MonkeyPatch, at: int) -> None:
    real, seen = type(loader.warehouse).execute, list[str]()

    def execute(self: Any, statement: str) -> int:
        changed = real(self, statement)
        seen.append(statement)
        if len(seen) == at:
            raise Crash
        return changed

    patched.setattr(type(loader.warehouse), "execute", execute)
