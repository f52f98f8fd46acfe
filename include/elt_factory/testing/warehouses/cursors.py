"""What a load does with rows that a cursor finds again, and with those that no cursor finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from elt_factory.sources.sql.model import SqlTable
from elt_factory.testing.warehouses.loader import Loader, OnWarehouse, day

KEYED = {"write_disposition": "append", "primary_key": ["id"]}


def of_a_database(loader: Loader, **spec) -> None:
    """The table as one of a database, which is asked for the rows without a cursor value."""
    loader.spec = spec
    loader.table_model = SqlTable


def ids(loader: Loader) -> Sequence[tuple[object, ...]]:
    return loader.rows("id", "u")


class CursorSuite(OnWarehouse):
    """What a load does with rows that a cursor finds again, and with those that no cursor finds."""

    @pytest.mark.parametrize("lag", [{}, {"lag": 10}])
    def test_what_a_lag_reads_again_is_appended_once_and_a_late_row_is(self, loader: Loader, lag: Any) -> None:
        loader.spec = KEYED | {"incremental": {"cursor": "id", "initial": 0, **lag}}
        loader.load([{"id": 1, "v": "a"}, {"id": 3, "v": "c"}], day(1))
        report = loader.load(
            [{"id": 1, "v": "a"}, {"id": 2, "v": "late"}, {"id": 3, "v": "c"}, {"id": 4, "v": "d"}], day(2)
        )
        assert (report.rows_loaded, report.rows_duplicate) == (2, 2)
        expected = [(1, "a"), (2, "late"), (3, "c"), (4, "d")]
        assert loader.rows("id", "v") == expected
        for number in (1, 2, 2):
            rows = {1: expected[:1] + expected[2:3], 2: expected}[number]
            loader.load([{"id": key, "v": value} for key, value in rows], day(number))
            assert loader.rows("id", "v") == expected

    def test_a_row_that_changed_is_appended_beside_its_older_version(self, loader: Loader) -> None:
        loader.spec = KEYED | {"incremental": {"cursor": "u", "lag": 5, "initial": 0}}
        loader.load([{"id": 1, "u": 1}], day(1))
        loader.load([{"id": 1, "u": 1}, {"id": 1, "u": 2}], day(2))
        assert loader.rows("id", "u") == [(1, 1), (1, 2)]

    @pytest.mark.parametrize("disposition", ["append", "merge"])
    def test_rows_without_a_cursor_value_are_in_the_table_once_however_often_they_are_read(
        self, loader: Loader, disposition: str
    ) -> None:
        incremental = {"cursor": "u", "null_cursor": "include"}
        of_a_database(loader, write_disposition=disposition, primary_key=["id"], incremental=incremental)
        loader.load([{"id": 1, "u": 1}, {"id": 8, "u": None}, {"id": 9, "u": None}], day(1))
        loader.load([{"id": 2, "u": 2}, {"id": 8, "u": None}, {"id": 9, "u": None}], day(2))
        loader.load([{"id": 1, "u": 1}, {"id": 8, "u": None}, {"id": 9, "u": None}], day(1))
        assert ids(loader) == [(1, 1), (2, 2), (8, None), (9, None)]
        assert loader.audit("loads", "rows_null_cursor") == [(2,), (2,)]

    def test_a_row_that_has_lost_its_cursor_value_is_newer_than_what_was_loaded_before(self, loader: Loader) -> None:
        of_a_database(loader, write_disposition="merge", primary_key=["id"], incremental={"cursor": "u"})
        loader.load([{"id": 1, "u": 1, "v": "old"}, {"id": 2, "u": 2, "v": "old"}], day(2))
        lost = [{"id": 1, "u": None, "v": "new"}]
        # an older window reads it as it is now, too
        assert loader.load(lost, day(1)).rows_loaded == 1
        assert loader.rows("id", "u", "v") == [(1, None, "new"), (2, 2, "old")]
        early = loader.land([{"id": 2, "u": None, "v": "lost"}], day(3))
        loader.load([*lost, {"id": 2, "u": 3, "v": "new"}], day(4))
        loader.warehouse.load(replace(loader.order(day(3)), manifest=early))
        assert loader.rows("id", "u", "v") == [(1, None, "new"), (2, 3, "new")]

    def test_a_row_of_an_api_without_a_cursor_value_replaces_none_that_has_one(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "merge", "primary_key": ["id"], "incremental": {"cursor": "u"}}
        loader.load([{"id": 1, "u": 2, "v": "new"}], day(2))
        loader.load([{"id": 1, "u": None, "v": "old"}], day(1))
        assert loader.rows("id", "u", "v") == [(1, 2, "new")]

    def test_rows_of_an_api_without_a_cursor_value_are_counted_and_kept(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "append", "incremental": {"cursor": "u"}}
        loader.load([{"id": 1, "u": 1}, {"id": 8, "u": None}], day(1))
        loader.load([{"id": 2, "u": 2}, {"id": 9, "u": None}], day(2))
        assert ids(loader) == [(1, 1), (2, 2), (8, None), (9, None)]
        assert loader.audit("loads", "rows_null_cursor") == [(1,), (1,)]
