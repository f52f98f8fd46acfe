"""A load with more rejects than its table allows fails, and changes nothing but the account of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from elt_factory.config.models.reject_limit import RejectLimit
from elt_factory.core.failures import BadDataError
from elt_factory.core.window import Window
from elt_factory.testing.warehouses.loader import AB, MERGE_BY_CURSOR, Loader, OnWarehouse, day
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.rejects import reasons, rejected_loads

NONE = {"max": "0%", "or": 0}


def refused(loader: Loader, records: list[Any], number: int = 2, *, full_refresh: bool = False) -> str:
    """Load what has too many rejects, and return the message."""
    with pytest.raises(BadDataError) as raised:
        loader.load(records, day(number), full_refresh=full_refresh)
    return str(raised.value)


class RejectLimitSuite(OnWarehouse):
    """A load with more rejects than its table allows fails, and changes nothing but the account of it."""

    @pytest.mark.parametrize("full_refresh", [False, True])
    @pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
    def test_too_many_rejects_leave_the_table_as_it_was(
        self, loader: Loader, disposition: str, full_refresh: bool
    ) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"], "rejects": NONE}
        loader.load(AB, day(1))
        rows, columns = loader.rows(), loader.columns
        for _ in range(2):
            said = refused(loader, [{"id": 1, "v": "z", "new": 5}, "{"], full_refresh=full_refresh)
            assert "src.tab: 1 of 2 rows read were rejected; rejects: allows 0 % or 0, for example: " in said
            assert (loader.rows(), loader.columns) == (rows, columns)
            assert loader.audit("loads", "rows_read", "rows_loaded", "rows_rejected", "rows_withheld") == [
                (2, 0, 1, 1),
                (2, 2, 0, 0),
            ]
            assert len(loader.audit("rejects", "reason")) == 1
        assert [entry.failed for entry in state.status(loader.warehouse)] == [True]
        loader.load([{"id": 3, "v": "c"}], day(2))
        assert [entry.failed for entry in state.status(loader.warehouse)] == [False]
        assert loader.audit("rejects", "reason") == []
        assert (3, "c") in loader.rows("id", "v")

    def test_a_window_that_is_run_again_with_too_many_rejects_keeps_rows_account_and_cursor(
        self, loader: Loader
    ) -> None:
        loader.spec = MERGE_BY_CURSOR | {"rejects": NONE}
        loader.load([{"id": 1, "u": "2013-01-02T00:00:00Z"}], day(2))
        columns = ("rows_loaded", "rows_withheld", "cursor_value", "business_date_max")
        rows, account = loader.rows(), loader.audit("loads", *columns)
        refused(loader, [{"id": 1, "u": "2013-01-02T09:00:00Z"}, "{"])
        assert (loader.rows(), loader.audit("loads", *columns)) == (rows, account)

    @pytest.mark.parametrize("records", [["{"], [*AB, "{"]])
    def test_a_load_that_fails_for_its_rejects_is_not_taken_for_a_load(
        self, loader: Loader, records: list[Any]
    ) -> None:
        loader.spec = {"rejects": NONE}
        refused(loader, records)
        window = Window(day(1).start, day(2).end + timedelta(days=1))
        assert state.committed_loads(loader.warehouse, loader.source, loader.name, window) == []
        assert state.newest(loader.warehouse, loader.source, loader.name) == (None, None)
        assert state.loaded_up_to(loader.warehouse, loader.source, loader.name) is None
        loader.load(AB, day(1))
        [load] = state.committed_loads(loader.warehouse, loader.source, loader.name, window)
        assert load.start == day(1).start

    def test_an_earlier_landing_does_not_give_way_to_one_that_fails(self, loader: Loader) -> None:
        loader.spec = {"rejects": NONE}
        loader.land(AB, day(2))
        good = loader.order(day(2))
        refused(loader, [{"id": 9}, "{"])
        assert loader.warehouse.load(good).rows_loaded == 2
        assert loader.rows("id") == [(1,), (2,)]

    def test_the_landing_of_a_failed_load_counts_as_not_loaded(self, loader: Loader) -> None:
        loader.spec = {"rejects": NONE}
        refused(loader, [*AB, "{"])
        query = audit.committed(loader.warehouse.dialect, loader.source, loader.name)
        assert not loader.warehouse.query(query).rows

    def test_a_failed_load_moves_no_cursor(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "append", "incremental": {"cursor": "id"}, "rejects": NONE}
        loader.load([{"id": 1}], day(1))
        refused(loader, [{"id": 7}, "{"])
        found = state.cursor_range(loader.warehouse, loader.source, loader.name, loader.load_id(day(3)), day(3))
        assert (found.after, found.upto) == ("1", None)

    def test_few_rejects_are_loaded_without_by_their_share_or_their_number(self, loader: Loader) -> None:
        good = [{"id": number} for number in range(97)]
        loader.spec = {"rejects": {"max": "3%", "or": 0}}
        assert loader.load([*good, "{", "{", "{"], day(1)).rows_rejected == 3
        refused(loader, [*good, "{", "{", "{", "{"])
        assert all(RejectLimit.model_validate({"max": f"{n}%", "or": 0}).allows(n, 100) for n in range(101))
        loader.spec = {"rejects": {"max": "0%", "or": 2}}
        assert loader.load([*AB, "{", "{"], day(2)).rows_loaded == 2

    def test_rejects_are_open_until_a_load_of_their_window_has_none(self, loader: Loader) -> None:
        assert rejected_loads(loader.warehouse) == []
        loader.spec = {"primary_key": ["id"], "write_disposition": "merge"}
        for _ in range(2):
            loader.load([*AB, "{", "5"], day(1))
        loader.load([*AB, "{"], day(2))
        opened = rejected_loads(loader.warehouse, loader.source)
        assert [(load.window_start, load.rows, load.state) for load in opened] == [
            (day(2).start, 1, "open"),
            (day(1).start, 2, "open"),
        ]
        found = reasons(loader.warehouse, loader.source, loader.name, 10)
        assert sum(reason.rows for reason in found) == 3
        assert {json.loads(reason.record)["line"] for reason in found} == {"{", "5"}
        loader.load(AB, day(1))
        assert [load.window_start for load in rejected_loads(loader.warehouse)] == [day(2).start]
        every = rejected_loads(loader.warehouse, healed=True)
        assert [(load.window_start, load.rows, load.state) for load in every] == [
            (day(2).start, 1, "open"),
            (day(1).start, 2, "healed"),
        ]
        loader.load(AB, day(3), full_refresh=True)
        assert rejected_loads(loader.warehouse) == []
        assert rejected_loads(loader.warehouse, "another", healed=True) == []

    def test_a_table_that_is_replaced_has_the_rejects_of_its_newest_load(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "replace"}
        loader.load([*AB, "{"], day(1))
        refused(loader, ["{"])
        assert len(rejected_loads(loader.warehouse)) == 2
        loader.load([*AB, "5"], day(3))
        assert [load.window_start for load in rejected_loads(loader.warehouse)] == [day(3).start]
        assert [load.state for load in rejected_loads(loader.warehouse, healed=True)] == ["open", "healed", "healed"]
        [reason] = reasons(loader.warehouse, loader.source, None, 10)
        assert json.loads(reason.record)["line"] == "5"
