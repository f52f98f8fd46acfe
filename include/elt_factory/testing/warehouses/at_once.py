"""Concurrent loads of one table that write the very same keys: one of them after the other, whichever was first."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from elt_factory.core.failures import ContractError, TransientError
from elt_factory.testing.warehouses.loader import MERGE, Connect, Loader, OnWarehouse, day
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import TableChangedError, Warehouse

SNAPSHOT = {"write_disposition": "scd2", "primary_key": ["id"]}

SPECS: dict[str, dict[str, Any]] = {
    "append": {},
    "merge": MERGE,
    "replace": {"write_disposition": "replace"},
    "scd2": SNAPSHOT,
}

DAYS = (2, 3, 4)


def load_at_once(loader, connect, days) -> None:
    """Load landed days together, each on a connection of its own, and tried again as a task is."""
    together, failures = threading.Barrier(len(days)), []

    def load(number):
        with connect() as warehouse:
            together.wait()
            for _ in range(20):
                try:
                    return Loader(loader.base, warehouse, spec=loader.spec).warehouse.load(loader.order(day(number)))
                except TransientError:
                    continue
                except Exception as error:  # noqa: BLE001 - a thread's error is the test's
                    return failures.append(error)
            return failures.append(number)

    threads = [threading.Thread(target=load, args=(number,)) for number in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class AtOnceSuite(OnWarehouse):
    """Concurrent loads of one table that write the very same keys: one of them after the other, whichever was first."""

    @pytest.mark.parametrize("disposition", SPECS)
    def test_loads_of_the_same_keys_at_once_are_as_one_after_the_other(
        self, loader: Loader, connect: Connect, disposition: str
    ) -> None:
        loader.spec = SPECS[disposition]
        loader.load([{"id": key, "v": 1} for key in range(20)], day(1))
        for number in DAYS:
            loader.land([{"id": key, "v": number} for key in range(20)], day(number))
        load_at_once(loader, connect, DAYS)
        rows = loader.rows("id", "v")
        assert len(rows) == {"append": 80, "merge": 20, "replace": 20, "scd2": 80}[disposition]
        assert disposition not in ("merge", "replace") or len({value for _, value in rows}) == 1
        assert len(loader.audit("loads", "load_id")) == 1 + len(DAYS)
        if disposition == "scd2":
            moments = [day(number).end for number in (1, *DAYS)]
            ends = {*loader.rows("_valid_from", "_valid_to")}
            assert ends == set(zip(moments, [*moments[1:], None], strict=True)), "no moment has two versions, or none"

    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_a_load_beside_its_own_retry_is_there_once(
        self, loader: Loader, connect: Connect, spec: dict[str, Any]
    ) -> None:
        """A task that was given up for dead still runs next to the one that takes its place."""
        loader.spec = spec
        loader.load([{"id": key, "v": 1} for key in range(20)], day(1))
        loader.land([{"id": key, "v": 2} for key in range(20, 40)] + ["{"], day(2))
        load_at_once(loader, connect, (2, 2))
        assert len(loader.rows("id")) == (20 if loader.table.write_disposition == "replace" else 40)
        assert len(loader.audit("loads", "load_id")) == 2
        assert len(loader.audit("rejects", "reason")) == 1

    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_first_loads_of_a_table_at_once_are_as_one_after_the_other(
        self, loader: Loader, connect: Connect, spec: dict[str, Any]
    ) -> None:
        """No load has made the table, nor the audit tables, nor the table's turn."""
        loader.spec = spec
        for number in DAYS:
            loader.land([{"id": key, "v": number} for key in range(20)], day(number))
        load_at_once(loader, connect, DAYS)
        disposition = loader.table.write_disposition
        assert len(loader.rows("id")) == {"append": 60, "merge": 20, "replace": 20, "scd2": 60}[disposition]
        assert len(loader.audit("loads", "load_id")) == len(DAYS)

    @pytest.mark.parametrize(
        ("first", "second", "found"),
        [
            ({"id": 1, "a": 1}, {"id": 2, "b": 1}, [("1", "1", "None"), ("2", "None", "1")]),
            ({"id": 1, "b": 0, "a": 1}, {"id": 2, "b": 0, "a": "x"}, [("1", "1", "0"), ("2", "x", "0")]),
            ({"id": 1, "b": 0, "a": "x"}, {"id": 2, "b": 0, "a": 1}, [("1", "x", "0"), ("2", "1", "0")]),
        ],
        ids=["another column", "a wider type", "a narrower type"],
    )
    def test_a_first_load_that_finds_the_table_of_another_fits_it_to_its_own_rows(
        self, loader: Loader, warehouse: Warehouse, connect: Connect, first: Any, second: Any, found: Any
    ) -> None:
        loader.spec = MERGE
        loader.land([first], day(1))
        loader.land([second], day(2))
        real, create = warehouse.execute, f"CREATE TABLE IF NOT EXISTS {loader.target.sql(warehouse.dialect)}"
        overtaken: list[str] = []

        def execute(statement: str) -> int:
            if statement.startswith(create) and not overtaken:
                overtaken.append(statement)
                with connect() as other:
                    other.load(loader.order(day(1)))
            return real(statement)

        warehouse.execute = execute  # type: ignore[method-assign]
        assert warehouse.load(loader.order(day(2))).rows_loaded == 1
        assert overtaken
        assert [tuple(map(str, row)) for row in loader.rows("id", "a", "b")] == found

    def test_a_load_whose_table_got_another_type_while_it_waited_changes_no_value(
        self, loader: Loader, warehouse: Warehouse, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full refresh gives a column the narrower type of the YAML: what comes would be rounded to it."""
        loader.spec = MERGE | {"columns": {"v": {"type": "float"}}}
        loader.load([{"id": 1, "v": 1}], day(1))
        loader.land([{"id": 2, "v": 2.5}], day(2))
        real = type(warehouse)._load_once

        def load_once(self: Warehouse, *given: Any) -> Any:
            if self is warehouse:
                with connect() as other:
                    refreshing = Loader(loader.base, other, spec=MERGE | {"columns": {"v": {"type": "integer"}}})
                    refreshing.load([{"id": 1, "v": 1}], day(1), full_refresh=True)
            return real(self, *given)

        monkeypatch.setattr(type(warehouse), "_load_once", load_once)
        with pytest.raises(TableChangedError, match="the table was changed after this load had looked at it"):
            warehouse.load(loader.order(day(2)))
        assert loader.rows("id", "v") == [(1, 1)]

    def test_a_load_whose_turn_another_has_begins_again_when_that_is_committed(
        self, loader: Loader, warehouse: Warehouse, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loader.spec = SNAPSHOT
        loader.load([{"id": 1, "v": "a"}], day(1))
        loader.land([{"id": 1, "v": "b"}], day(2))
        loader.land([{"id": 1, "v": "c"}], day(3))
        other, real, waited = connect(), warehouse._load_once, []

        def between(*arguments):
            """The other load commits while this one waits for the second time."""
            waited.append(True)
            if len(waited) == 3:
                other.execute("COMMIT")
                Loader(loader.base, other, spec=SNAPSHOT).warehouse.load(loader.order(day(3)))
            return real(*arguments)

        monkeypatch.setattr(warehouse, "_load_once", between)
        with other:
            other.execute("BEGIN")
            other.execute(audit.take_turn(other.dialect, "src", "tab", "the other's"))
            warehouse.load(loader.order(day(2)))
        assert len(waited) == 3
        moments = [day(number).end for number in (1, 2, 3)]
        assert loader.rows("v", "_valid_from", "_valid_to") == list(
            zip("abc", moments, [*moments[1:], None], strict=True)
        )

    def test_the_number_of_a_commit_counts_in_the_order_of_commits(self, loader: Loader, connect: Connect) -> None:
        for number in range(1, 7):
            loader.land([{"id": number}], day(number))
        load_at_once(loader, connect, (1, 2, 3, 4, 5, 6, 1, 2))
        turns = loader.audit("load_log", "turn", "load_id", "again")
        assert [turn for turn, _, _ in turns] == [1, 2, 3, 4, 5, 6, 7, 8]
        seen = set()
        for _, load_id, again in turns:
            assert again == (load_id in seen)
            seen.add(load_id)

    @pytest.mark.parametrize("disposition", SPECS)
    def test_a_landing_gives_way_to_one_of_its_window_that_was_begun_later(
        self, loader: Loader, disposition: str
    ) -> None:
        loader.spec = SPECS[disposition]
        loader.land([{"id": 1, "v": "old"}, {"id": 2, "v": "old"}])
        older = loader.order(run_id="older")
        loader.load([{"id": 1, "v": "new"}, "{"], run_id="newer")
        report = loader.warehouse.load(older)
        assert (report.gave_way, report.rows_loaded, report.total_rows) == (True, 0, 1)
        assert loader.rows("id", "v") == [(1, "new")]
        assert loader.audit("loads", "run_id", "rows_loaded", "rows_rejected") == [("newer", 1, 1)]
        again = loader.warehouse.load(loader.order(run_id="again"))
        assert (again.gave_way, again.rows_read) == (False, 2)

    def test_a_landing_begun_before_a_full_refresh_over_its_window_gives_way(self, loader: Loader) -> None:
        loader.land([{"id": 1, "v": "old"}], day(3))
        older = loader.order(day(3))
        loader.load([{"id": 1, "v": "new"}, {"id": 2, "v": "new"}], day(1, days=5), full_refresh=True)
        assert loader.warehouse.load(older).gave_way
        assert loader.rows("id", "v") == [(1, "new"), (2, "new")]
        loader.land([{"id": 3, "v": "later"}], day(6))
        assert not loader.warehouse.load(loader.order(day(6))).gave_way

    def test_a_landing_that_another_overtakes_while_it_is_staged_gives_way(
        self, loader: Loader, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loader.land([{"id": 1, "v": "old"}])
        older = loader.order()
        loader.land([{"id": 1, "v": "new"}])
        newer, real = loader.order(), type(loader.warehouse)._shape_target

        def overtaken(self, order):
            drift = real(self, order)
            if order is older:
                with connect() as other:
                    other.load(newer)
            return drift

        monkeypatch.setattr(type(loader.warehouse), "_shape_target", overtaken)
        assert loader.warehouse.load(older).gave_way
        assert loader.rows("id", "v") == [(1, "new")]

    def test_what_two_windows_read_by_one_cursor_at_the_same_time_is_appended_once(self, loader: Loader) -> None:
        """A backfill next to the daily run: both began at the cursor that was committed when they began."""
        loader.spec = {"write_disposition": "append", "incremental": {"cursor": "id"}}
        loader.load([{"id": 1}, {"id": 2}], day(1))
        for number in (2, 3):
            loader.land([{"id": 3}, {"id": 10}], day(number))
        orders = [replace(loader.order(day(number)), by_cursor=True) for number in (2, 3)]
        loader.warehouse.load(orders[1])
        with pytest.raises(
            ContractError, match=r"rows from id 3 to 10 were read by another run .* clear the extract task"
        ):
            loader.warehouse.load(orders[0])
        assert sorted(loader.rows("id")) == [(1,), (2,), (3,), (10,)]
        # read again it finds what is new
        for number, records in ((2, [{"id": 11}]), (3, [{"id": 3}, {"id": 10}])):
            loader.land(records, day(number))
            assert loader.warehouse.load(replace(loader.order(day(number)), by_cursor=True)).rows_loaded == len(records)
        assert sorted(loader.rows("id")) == [(1,), (2,), (3,), (10,), (11,)]
