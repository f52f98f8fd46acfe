"""What a load does with rows that its source has deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.sources.sql.model import SqlTable
from elt_factory.testing.warehouses.loader import MERGE_BY_CURSOR, Loader, OnWarehouse, crashes, day, everything

A, B, C = ({"id": key, "u": 1} for key in (1, 2, 3))


def following(loader: Loader, deletes: Any, **spec: Any) -> None:
    """Make the table one that follows deletes."""
    loader.spec, loader.table_model = MERGE_BY_CURSOR | {"deletes": deletes} | spec, SqlTable


def keys(*ids: Any) -> Sequence[dict[str, Any]]:
    return [{"id": key} for key in ids]


def standing(loader: Loader) -> list[Any]:
    """The keys of the rows that are not marked as deleted."""
    return [key for key, deleted in loader.rows("id", "_deleted_at") if deleted is None]


class DeleteSuite(OnWarehouse):
    """What a load does with rows that its source has deleted."""

    def test_rows_whose_key_the_source_no_longer_has_are_deleted_and_counted(self, loader: Loader) -> None:
        following(loader, "compare")
        assert loader.load([A, B, C], keys=keys(1, 2, 3)).rows_deleted == 0
        report = loader.load([], day(2), keys=keys(2))
        assert (report.rows_deleted, report.total_rows, loader.rows("id")) == (2, 1, [(2,)])
        assert loader.audit("loads", "rows_read", "rows_deleted") == [(0, 2), (3, 0)]
        assert loader.load([], day(2), keys=keys(2)).rows_deleted == 0
        assert loader.rows("id") == [(2,)]

    def test_softly_deleted_rows_stay_with_the_time_and_come_back_with_their_key(self, loader: Loader) -> None:
        following(loader, {"compare": "soft"})
        loader.load([A, B, C], keys=keys(1, 2, 3))
        assert loader.load([], day(2), keys=keys(2)).rows_deleted == 2
        marked = loader.rows("id", "_deleted_at")
        assert (len(marked), standing(loader)) == (3, [2])
        # the time stays that of the load that found it
        assert loader.load([], day(3), keys=keys(2)).rows_deleted == 0
        assert loader.rows("id", "_deleted_at") == marked
        # with a newer row, and where only the key is there again
        loader.load([{"id": 1, "u": 5}], day(4), keys=keys(1, 2, 3))
        assert standing(loader) == [1, 2, 3]

    def test_a_row_that_was_marked_makes_way_for_what_comes_with_its_key(self, loader: Loader) -> None:
        following(loader, {"compare": "soft"})
        loader.load([A | {"u": 5, "v": "old"}, B | {"u": 5, "v": "old"}, C | {"u": 5, "v": "old"}], keys=keys(1, 2, 3))
        assert loader.load([], day(2), keys=keys(3)).rows_deleted == 2
        a, b, c = A | {"u": 4, "v": "new"}, {"id": 2, "u": None, "v": "new"}, C | {"u": 4, "v": "older"}
        report = loader.load([a, b, c], day(3), keys=keys(1, 2, 3))
        assert (report.rows_loaded, report.rows_duplicate) == (2, 1)
        assert loader.rows("id", "v", "_deleted_at") == [(1, "new", None), (2, "new", None), (3, "old", None)]

    def test_a_row_that_was_marked_while_another_was_read_is_the_newer_one(self, loader: Loader) -> None:
        following(loader, {"compare": "soft"})
        loader.load([A | {"u": 5, "v": "new"}], keys=keys(1))
        early = loader.land([A | {"u": 4, "v": "old"}], day(2), keys=keys(1))
        loader.load([B], day(3), keys=keys(2))
        loader.warehouse.load(replace(loader.order(day(2)), manifest=early))
        assert loader.rows("id", "v") == [(1, "new"), (2, None)]

    @pytest.mark.parametrize(
        ("equals", "gone", "there"), [("it's cancelled", "it's cancelled", "open"), (False, False, True), (0, 0, None)]
    )
    def test_a_row_with_the_value_that_says_so_is_deleted(
        self, loader: Loader, equals: Any, gone: Any, there: Any
    ) -> None:
        following(loader, {"column": "s", "equals": equals})
        loader.load([A | {"s": there}, B | {"s": there if there is not None else 5}, C | {"s": gone}])
        assert loader.rows("id") == [(1,), (2,)]
        report = loader.load([A | {"s": gone, "u": 2}, C | {"s": gone, "u": 2}], day(2))
        assert (report.rows_deleted, loader.rows("id")) == (2, [(2,)])

    def test_a_row_that_no_longer_meets_where_is_deleted_unless_it_is_newer(self, loader: Loader) -> None:
        following(loader, {"filtered": True}, where="s = 'open'")
        loader.load([A | {"s": "open"}, B | {"s": "open"}, C | {"s": "closed"}])
        assert loader.rows("id", "s") == [(1, "open"), (2, "open")]
        report = loader.load([A | {"s": "closed", "u": 2}, B | {"s": "closed", "u": 0}], day(2))
        assert (report.rows_deleted, loader.rows("id", "_deleted_at")) == (1, [(2, None)])
        loader.load([A | {"s": "open", "u": 3}], day(3))
        assert loader.rows("id", "s") == [(1, "open"), (2, "open")]

    def test_rows_that_were_marked_are_deleted_where_the_config_now_says_so(self, loader: Loader) -> None:
        following(loader, {"compare": "soft"})
        loader.load([A, B, C], keys=keys(1, 2, 3))
        loader.load([], day(2), keys=keys(1, 3))
        following(loader, "compare")
        loader.load([], day(3), keys=keys(1))
        assert loader.rows("id") == [(1,)]

    def test_a_row_that_another_load_brought_after_the_keys_were_read_stays(self, loader: Loader) -> None:
        following(loader, "compare")
        loader.load([A], keys=keys(1))
        early = loader.land([], day(2), keys=keys(1))
        loader.load([B], day(3), keys=keys(1, 2))
        order = replace(loader.order(day(2)), manifest=early)
        assert loader.warehouse.load(order).rows_deleted == 0
        assert loader.rows("id") == [(1,), (2,)]

    def test_a_source_without_any_row_never_empties_the_table(self, loader: Loader) -> None:
        following(loader, "compare")
        loader.load([], keys=[])
        loader.load([A, B], day(2), keys=keys(1, 2))
        before = everything(loader.warehouse, loader.target)
        with pytest.raises(BadDataError, match="no row at all, so all 2 rows of the table would be deleted"):
            loader.load([], day(3), keys=[])
        assert everything(loader.warehouse, loader.target) == before
        loader.load([A], day(4), keys=keys(1), full_refresh=True)
        assert loader.rows("id") == [(1,)]

    @pytest.mark.parametrize("compare", ["hard", "soft"])
    def test_keys_of_which_the_table_has_none_never_empty_it(self, loader: Loader, compare: str) -> None:
        following(loader, {"compare": compare}, columns={"id": {"type": "text"}})
        loader.load([A, B, C], keys=keys("1", "2", "3"))
        before = everything(loader.warehouse, loader.target)
        with pytest.raises(BadDataError, match=r"has 3 keys and the table has none of them, so all 3 rows"):
            loader.load([], day(2), keys=keys("1.00", "2.00", "3.00"))
        assert everything(loader.warehouse, loader.target) == before
        # rows that came with keys of their own took the place of all others
        assert loader.load([{"id": "9", "u": 5}], day(3), keys=keys("9", "10")).rows_deleted == 3

    def test_a_key_that_cannot_be_read_may_be_any_so_nothing_is_deleted(self, loader: Loader) -> None:
        following(loader, "compare", columns={"id": {"type": "integer"}})
        loader.load([A, B], keys=keys(1, 2))
        assert loader.load([], day(2), keys=keys(1, "x")).rows_deleted == 0
        assert loader.rows("id") == [(1,), (2,)]

    def test_hashed_keys_of_two_columns_are_compared_as_they_are_loaded(self, loader: Loader) -> None:
        secret = {"columns": {"mail": {"pii": "hash"}}, "primary_key": ["id", "mail"]}
        following(loader, "compare", **secret)
        rows = [{"id": key, "mail": mail, "u": 1} for key, mail in ((1, "a"), (1, "b"), (2, "a"))]
        loader.load(rows, keys=[{"id": row["id"], "mail": row["mail"]} for row in rows])
        assert loader.load([], day(2), keys=[{"id": 1, "mail": "b"}]).rows_deleted == 2
        assert loader.rows("id") == [(1,)]

    def test_a_key_that_is_not_a_number_is_a_key_like_others(self, loader: Loader) -> None:
        following(loader, "compare", columns={"id": {"type": "float"}})
        loader.load([{"id": key, "u": 1} for key in ("NaN", "1.5", "-0.0", "2")], keys=keys("NaN", "1.5", "0", "2"))
        assert loader.load([], day(2), keys=keys("NaN", "1.5", "0")).rows_deleted == 1

    @pytest.mark.parametrize("compare", ["hard", "soft"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_a_load_that_ends_anywhere_can_be_run_again(
        self, loader: Loader, monkeypatch: pytest.MonkeyPatch, compare: str, moment: str
    ) -> None:
        following(loader, {"compare": compare})
        loader.load([A, B, C], keys=keys(1, 2, 3))
        loader.land([{"id": 2, "u": 3}], day(2), keys=keys(2))
        for _ in crashes(loader.warehouse, monkeypatch, loader.order(day(2)), moment):
            found = loader.rows("id", "u")
            assert found in ([(1, 1), (2, 1), (3, 1)], [(2, 3)], [(1, 1), (2, 3), (3, 1)])
        there = standing(loader) if compare == "soft" else [key for (key,) in loader.rows("id")]
        assert there == [2]

    @pytest.mark.parametrize(
        ("live", "gone"),
        [(None, "2013-01-02T00:00:00Z"), (False, True), (0, 1), (None, "2013-01-02")],
    )
    def test_rows_that_say_they_are_deleted_are_deleted(self, loader: Loader, live: Any, gone: Any) -> None:
        following(loader, {"column": "d"})
        loader.load([{**A, "d": live}, {**B, "d": gone}, {**C, "d": live}])
        report = loader.load([{"id": 1, "u": 2, "d": gone}, {"id": 9, "u": 2, "d": gone}], day(2))
        assert (report.rows_loaded, report.rows_deleted, loader.rows("id")) == (2, 2, [(3,)])
        loader.load([{"id": 1, "u": 2, "d": gone}, {"id": 9, "u": 2, "d": gone}], day(2))
        assert loader.rows("id") == [(3,)]

    def test_a_removal_that_a_source_sends_with_every_load_is_counted_once(self, loader: Loader) -> None:
        following(loader, {"column": "d"})
        loader.spec["incremental"] = {"cursor": "u", "outside_window": "drop"}
        live: list[dict[str, Any]] = [{"id": n, "u": "2013-01-01T05:00:00Z", "d": False} for n in range(3)]
        sent: list[dict[str, Any]] = [*live[:1], *({**row, "d": True} for row in live[1:]), {"id": 9, "d": True}]
        loader.load(live)
        counts = []
        for number in (2, 3):
            report = loader.load(sent, day(number))
            counts.append((report.rows_loaded, report.rows_deleted, report.rows_unchanged, report.rows_filtered))
            assert loader.rows("id") == [(0,)]
        assert counts == [(2, 2, 1, 1), (0, 0, 3, 1)]

    def test_a_column_that_does_not_say_whether_a_row_is_deleted_is_an_error(self, loader: Loader) -> None:
        following(loader, {"column": "d"})
        with pytest.raises(ContractError, match="d is text, which does not say whether a row is deleted"):
            loader.load([{**A, "d": "N"}])
        loader.spec["columns"] = {"d": {"type": "text"}}
        loader.spec["deletes"] = {"column": "x"}
        with pytest.raises(ContractError, match=r"deletes.column names x.*does not have"):
            loader.load([{**A, "d": "N"}])
