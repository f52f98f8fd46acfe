"""What each write disposition does, and a load of nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from elt_factory.core.failures import BadDataError
from elt_factory.testing.warehouses.loader import (
    AB,
    MERGE,
    MERGE_BY_CURSOR,
    Loader,
    OnWarehouse,
    day,
)
from elt_factory.warehouse import state
from elt_factory.warehouse.base import LoadReport


def only_rejects(loader, *records, full_refresh=False) -> None:
    with pytest.raises(BadDataError, match=r"rows? read is valid"):
        loader.load(list(records), day(2), full_refresh=full_refresh)


def rejected_lines(loader) -> list[str]:
    return sorted(json.loads(record)["line"] for (record,) in loader.audit("rejects", "record"))


class LoadSuite(OnWarehouse):
    """What each write disposition does, and a load of nothing."""

    @pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
    def test_a_load_twice_is_as_one(self, loader: Loader, disposition: str) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        for _ in range(2):
            report = loader.load([*AB, "{"])
            assert report == LoadReport(rows_read=3, rows_loaded=2, rows_rejected=1, rows_duplicate=0, total_rows=2)
            assert loader.rows("id", "v") == [(1, "a"), (2, "b")]
            assert len(loader.audit("loads", "load_id")) == len(loader.audit("rejects", "load_id")) == 1

    def test_append_adds_the_rows_of_every_window(self, loader: Loader) -> None:
        for number in (1, 2, 3):
            loader.load(AB, day(number))
        assert len(loader.rows()) == 6

    def test_append_of_an_old_window_again_replaces_its_rows_only(self, loader: Loader) -> None:
        for number in (1, 2):
            loader.load([{"id": number}], day(number))
        loader.load([{"id": 9}], day(1))
        assert loader.rows("id") == [(2,), (9,)]

    def test_rows_that_the_condition_leaves_out_are_counted(self, loader: Loader) -> None:
        loader.spec = {**MERGE, "where": "v <> 'b'"}
        report = loader.load([*AB, {"id": 1, "v": "c"}, "{"], day(1))
        assert loader.rows("id", "v") == [(1, "c")]
        assert (report.rows_read, report.rows_filtered, report.rows_duplicate) == (4, 1, 1)
        assert loader.audit("loads", "rows_loaded", "rows_rejected", "rows_filtered") == [(1, 1, 1)]
        # nothing but rows that are left out is not an error: rejects alone are
        assert loader.load([AB[1]], day(2)).rows_filtered == 1
        with pytest.raises(BadDataError, match="none of the 2 rows read is valid"):
            loader.load([AB[1], "{"], day(1))
        assert loader.rows("id", "v") == [(1, "c")]

    def test_merge_replaces_rows_of_the_same_key(self, loader: Loader) -> None:
        loader.spec = MERGE
        loader.load(AB, day(1))
        report = loader.load([{"id": 2, "v": "B"}, {"id": 3, "v": "C"}], day(2))
        assert loader.rows("id", "v") == [(1, "a"), (2, "B"), (3, "C")]
        assert (report.rows_loaded, report.total_rows) == (2, 3)

    def test_merge_by_several_keys_compares_all_of_them(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "merge", "primary_key": ["a", "b"]}
        loader.load([{"a": 1, "b": 1, "v": 1}, {"a": 1, "b": 2, "v": 2}], day(1))
        loader.load([{"a": 1, "b": 2, "v": 3}], day(2))
        assert loader.rows("a", "b", "v") == [(1, 1, 1), (1, 2, 3)]

    def test_merge_of_an_old_window_again_overwrites_nothing_newer(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        old = [{"id": 1, "u": 10, "v": "old"}, {"id": 2, "u": 11, "v": "old"}]
        loader.load(old, day(1))
        loader.load([{"id": 1, "u": 20, "v": "new"}], day(2))
        report = loader.load(old, day(1))
        assert loader.rows("id", "v") == [(1, "new"), (2, "old")]
        assert (report.rows_loaded, report.rows_duplicate) == (1, 1)
        assert loader.audit("loads", "rows_read", "rows_loaded", "rows_duplicate") == [(1, 1, 0), (2, 1, 1)]

    def test_merge_without_a_cursor_keeps_the_rows_of_later_windows_when_an_old_one_is_loaded(
        self, loader: Loader
    ) -> None:
        """A backfill next to the daily run: whichever window is committed last, the latest has the row."""
        loader.spec = MERGE

        def load(number: int, records: list[dict[str, object]], days: int = 1, **of: bool) -> LoadReport:
            window = day(number, days)
            loader.land(records, window)
            order = loader.order(window, full_refresh=of.get("full_refresh", False))
            return loader.warehouse.load(replace(order, by_window=True))

        daily = [{"id": 1, "v": "of day 5"}, {"id": 2, "v": "of day 5"}]
        load(5, daily)
        report = load(2, [{"id": 1, "v": "of day 2"}, {"id": 3, "v": "of day 2"}])
        assert (report.rows_loaded, report.rows_duplicate) == (1, 1)
        assert loader.rows("id", "v") == [(1, "of day 5"), (2, "of day 5"), (3, "of day 2")]
        # a later window, the same one again and one that holds it take what they read
        load(6, [{"id": 2, "v": "of day 6"}])
        load(5, [{"id": 1, "v": "of day 5, corrected"}, {"id": 2, "v": "of day 5, corrected"}])
        assert loader.rows("id", "v") == [(1, "of day 5, corrected"), (2, "of day 6"), (3, "of day 2")]
        load(1, [{"id": 1, "v": "refreshed"}, {"id": 2, "v": "refreshed"}], days=6, full_refresh=True)
        load(2, [{"id": 1, "v": "of day 2, corrected"}])
        assert loader.rows("id", "v") == [(1, "of day 2, corrected"), (2, "refreshed")]

    def test_merge_with_an_equal_cursor_takes_what_comes(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        loader.load([{"id": 1, "u": 10, "v": "a"}], day(1))
        loader.load([{"id": 1, "u": 10, "v": "b"}], day(2))
        assert loader.rows("v") == [("b",)]

    def test_merge_without_a_cursor_value_never_overwrites_one_with(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        loader.load([{"id": 1, "u": 10, "v": "a"}, {"id": 2, "u": None, "v": "a"}], day(1))
        loader.load([{"id": 1, "u": None, "v": "b"}, {"id": 2, "u": None, "v": "b"}, {"id": 3, "v": "b"}], day(2))
        assert loader.rows("id", "v") == [(1, "a"), (2, "b"), (3, "b")]

    def test_merge_where_no_row_ever_had_a_cursor_value(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        for value in ("a", "b"):
            loader.load([{"id": 1, "u": None, "v": value}])
        assert loader.rows("id", "v") == [(1, "b")]

    def test_replace_exchanges_the_whole_table(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "replace"}
        loader.load(AB, day(1))
        loader.load([{"id": 9, "v": "z"}], day(2))
        assert loader.rows("id") == [(9,)]

    def test_replace_by_nothing_is_an_empty_table(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "replace"}
        loader.load(AB, day(1))
        loader.load([], day(2))
        assert loader.rows("id") == []

    def test_a_full_refresh_starts_over(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        loader.load([{"id": 1, "u": 10, "v": "a"}, "{"], day(1))
        loader.load([{"id": 2, "u": 20, "v": "b"}, "["], day(2))
        report = loader.load([{"id": 1, "u": 5, "v": "c"}], day(1, days=2), full_refresh=True)
        assert (loader.rows("id", "v"), report.total_rows) == ([(1, "c")], 1)
        assert loader.audit("rejects", "reason") == []
        refresh = loader.load_id(day(1, days=2))
        assert loader.audit("loads", "cursor_value", "full_refresh", "coalesce(replaced_by, '')") == [
            ("10", False, refresh),
            ("20", False, refresh),
            ("5", True, ""),
        ]

    def test_a_window_loaded_after_a_full_refresh_counts_again(self, loader: Loader) -> None:
        loader.spec = MERGE
        loader.load(AB, day(1))
        loader.load(AB, day(1, days=2), full_refresh=True)
        loader.load([{"id": 9}], day(1))
        assert loader.audit("loads", "rows_loaded", "coalesce(replaced_by, '')") == [(1, ""), (2, "")]

    def test_a_full_refresh_twice_is_as_one(self, loader: Loader) -> None:
        loader.spec = MERGE_BY_CURSOR
        loader.load([{"id": 1, "u": 10}], day(1))
        for _ in range(2):
            loader.load([{"id": 2, "u": 5}, "{"], day(1, days=2), full_refresh=True)
            assert (loader.rows("id"), len(loader.audit("loads", "load_id"))) == ([(2,)], 2)
            assert len(loader.audit("rejects", "reason")) == 1

    @pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
    def test_an_empty_window_is_committed_too(self, loader: Loader, disposition: str) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        assert loader.load([]) == LoadReport(0, 0, 0, 0, 0)
        assert loader.audit("loads", "rows_read", "rows_loaded", "files") == [(0, 0, 0)]

    def test_an_empty_window_leaves_the_rows_of_others(self, loader: Loader) -> None:
        loader.load(AB, day(1))
        loader.load([], day(2))
        assert len(loader.rows()) == 2

    def test_a_window_that_is_empty_the_second_time_takes_its_rows_away(self, loader: Loader) -> None:
        loader.load(AB)
        loader.load([])
        assert loader.rows("id") == []

    @pytest.mark.parametrize("full_refresh", [False, True])
    @pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
    def test_a_load_of_only_rejects_fails_keeps_them_and_gives_up_no_row(
        self, loader: Loader, disposition: str, full_refresh: bool
    ) -> None:
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        loader.load(AB, day(1))
        for _ in range(2):
            with pytest.raises(
                BadDataError, match=r"src\.tab: none of the 2 rows read is valid, for example: .*line 1"
            ):
                loader.load(["{", "5"], day(2), full_refresh=full_refresh)
            assert len(loader.audit("rejects", "reason")) == 2
            assert loader.rows("id", "v") == [(1, "a"), (2, "b")]
            rows = loader.audit("loads", "window_start", "rows_read", "rows_loaded", "rows_rejected", "replaced_by")
            assert [row[1:] for row in rows] == [(2, 2, 0, None), (2, 0, 2, None)]
        loader.load([*AB, "{"], day(2))
        assert len(loader.audit("rejects", "reason")) == 1

    @pytest.mark.parametrize("disposition", ["append", "merge", "replace", "scd2"])
    def test_a_window_that_is_run_again_and_brings_only_rejects_is_as_it_was(
        self, loader: Loader, disposition: str
    ) -> None:
        """The load that fails changes neither rows nor account nor cursor; its rejects are kept with earlier ones."""
        loader.spec = {"write_disposition": disposition, "primary_key": ["id"]}
        columns = ("run_id", "rows_read", "rows_loaded", "rows_rejected", "columns")
        loader.load([*AB, "{"], day(2), run_id="good")
        rows, account = loader.rows(), loader.audit("loads", *columns)
        for record in ("5", "6"):
            only_rejects(loader, record, record)
            assert (loader.rows(), loader.audit("loads", *columns)) == (rows, account)
            assert rejected_lines(loader) == [record, record, "{"]
        [status] = state.status(loader.warehouse)
        assert (status.rows_loaded, status.rejected_rows) == (2, 1)
        loader.load(["7", *AB], day(2))
        assert rejected_lines(loader) == ["7"]

    def test_only_rejects_leave_a_full_refresh_and_its_cursor_as_they_are(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "append", "incremental": {"cursor": "id"}}
        loader.load([{"id": 1}, {"id": 9}], day(2), full_refresh=True)
        only_rejects(loader, "5", full_refresh=True)
        only_rejects(loader, "5")
        assert loader.rows("id") == [(1,), (9,)]
        assert loader.audit("loads", "full_refresh", "cursor_value", "rows_loaded", "replaced_by") == [
            (True, "9", 2, None)
        ]

    def test_a_first_load_of_only_rejects_fails_too(self, loader: Loader) -> None:
        with pytest.raises(BadDataError, match="none of the 1 row read is valid"):
            loader.load(["{"])
        assert len(loader.audit("rejects", "reason")) == 1
