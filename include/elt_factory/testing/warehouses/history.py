"""What every warehouse must do with scd2; tests/warehouse/test_history.py looks for windows that break it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.testing.warehouses.loader import (
    AB,
    FIRST_DAY,
    Loader,
    OnWarehouse,
    counted,
    crashes,
    day,
    everything,
)
from elt_factory.warehouse.base import LoadReport, Warehouse

SNAPSHOT = {"write_disposition": "scd2", "primary_key": ["id"]}

BY_CURSOR = SNAPSHOT | {"incremental": {"cursor": "u"}, "columns": {"u": {"type": "timestamp"}}}


def end(number):
    """The end of a day's window: the moment of its snapshot."""
    return FIRST_DAY + timedelta(days=number)


def hour(number):
    return FIRST_DAY + timedelta(hours=number)


def at(number, key, value):
    """A record that changed in an hour."""
    return {"id": key, "v": value, "u": hour(number).isoformat()}


def versions(loader, *columns):
    return loader.rows(*(columns or ("id", "v")), "_valid_from", "_valid_to")


class HistorySuite(OnWarehouse):
    """What every warehouse must do with scd2; tests/warehouse/test_history.py looks for windows that break it."""

    def test_a_snapshot_twice_is_as_one(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        for _ in range(2):
            assert loader.load(AB) == LoadReport(2, 2, 0, 0, 2)
            assert versions(loader) == [(1, "a", end(1), None), (2, "b", end(1), None)]
        assert loader.audit("loads", "rows_read", "rows_loaded", "rows_unchanged") == [(2, 2, 0)]

    def test_a_changed_row_ends_a_version_and_begins_another_and_the_others_are_left_alone(
        self, loader: Loader
    ) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        before = loader.rows("id", "_load_id", "_loaded_at")
        assert loader.load([AB[0], {"id": 2, "v": "B"}], day(2)) == LoadReport(2, 1, 0, 0, 3, rows_unchanged=1)
        assert versions(loader) == [(1, "a", end(1), None), (2, "B", end(2), None), (2, "b", end(1), end(2))]
        assert set(before) < set(loader.rows("id", "_load_id", "_loaded_at"))
        assert loader.load([AB[0], {"id": 2, "v": "B"}], day(3)).rows_unchanged == 2
        assert len(versions(loader)) == 3

    def test_nothing_is_the_same_as_nothing_and_another_than_something(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT | {"columns": {"v": {"type": "text"}}}
        loader.load([{"id": 1, "v": None}, {"id": 2, "v": None}, {"id": 3, "v": "c"}], day(1))
        report = loader.load([{"id": 1, "v": None}, {"id": 2, "v": "b"}, {"id": 3, "v": None}], day(2))
        assert (report.rows_unchanged, report.rows_loaded) == (1, 2)

    def test_json_is_compared_by_its_text(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT | {"columns": {"j": {"type": "json"}}}
        loader.load([{"id": 1, "j": {"a": [1, 2]}}, {"id": 2, "j": {"a": 1}}], day(1))
        report = loader.load([{"id": 1, "j": {"a": [1, 2]}}, {"id": 2, "j": {"a": 2}}], day(2))
        assert (report.rows_unchanged, report.rows_loaded, len(loader.rows("id"))) == (1, 1, 3)

    def test_what_is_missing_in_a_snapshot_ends_and_what_comes_again_begins_anew(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        for number, records in enumerate((AB, AB[:1], AB), start=1):
            loader.load(records, day(number))
        assert versions(loader) == [(1, "a", end(1), None), (2, "b", end(1), end(2)), (2, "b", end(3), None)]

    def test_an_empty_snapshot_ends_everything(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        assert loader.load([], day(2)) == LoadReport(0, 0, 0, 0, 2)
        assert versions(loader) == [(1, "a", end(1), end(2)), (2, "b", end(1), end(2))]

    def test_a_snapshot_with_rejected_rows_ends_nothing_that_is_missing(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        report = loader.load([{"id": 1, "v": "A"}, "{"], day(2))
        assert (report.rows_loaded, report.rows_rejected) == (1, 1)
        assert versions(loader) == [(1, "A", end(2), None), (1, "a", end(1), end(2)), (2, "b", end(1), None)]
        with pytest.raises(BadDataError):
            loader.load(["{", "["], day(3))
        assert len(versions(loader)) == 3
        # day 3 said nothing of what is gone, so what day 2 now says of it continues: as if it had come in order
        loader.load([{"id": 1, "v": "A"}], day(2))
        assert versions(loader)[2:] == [(2, "b", end(1), end(2))]
        loader.load([{"id": 1, "v": "A"}], day(3))
        assert versions(loader)[2:] == [(2, "b", end(1), end(2))]

    def test_a_snapshot_that_comes_late_finds_its_place(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        loader.load(AB, day(3))
        assert loader.load([{"id": 1, "v": "A"}, AB[1]], day(2)).rows_unchanged == 1
        assert versions(loader) == [
            (1, "A", end(2), end(3)),
            (1, "a", end(1), end(2)),
            (1, "a", end(3), None),
            (2, "b", end(1), None),
        ]
        loads = dict(loader.rows("_valid_from", "_load_id"))
        assert loads == {end(number): loader.load_id(day(number)) for number in (1, 2, 3)}

    def test_a_first_snapshot_that_comes_late_holds_until_the_next(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB[:1], day(2))
        loader.load(AB, day(1))
        assert versions(loader) == [(1, "a", end(1), None), (2, "b", end(1), end(2))]

    def test_an_old_snapshot_again_with_other_rows_changes_its_own_time_only(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        for number in (1, 2, 3):
            loader.load(AB, day(number))
        loader.load([{"id": 1, "v": "A"}], day(2))
        assert versions(loader) == [
            (1, "A", end(2), end(3)),
            (1, "a", end(1), end(2)),
            (1, "a", end(3), None),
            (2, "b", end(1), end(2)),
            (2, "b", end(3), None),
        ]
        loader.load(AB, day(2))
        assert versions(loader) == [(1, "a", end(1), None), (2, "b", end(1), None)]

    def test_a_full_refresh_begins_the_history_anew(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        loader.load([{"id": 1, "v": "A"}], day(3))
        for _ in range(2):
            loader.load(AB, day(1, days=2), full_refresh=True)
            assert versions(loader) == [(1, "a", end(2), None), (2, "b", end(2), None)]
        loader.load(AB[1:], day(4))
        assert versions(loader) == [(1, "a", end(2), end(4)), (2, "b", end(2), None)]

    def test_by_cursor_a_version_holds_from_its_moment_to_that_of_the_next(self, loader: Loader) -> None:
        loader.spec = BY_CURSOR
        loader.load([at(1, 1, "a"), at(5, 1, "b"), at(3, 2, "x")], day(1))
        report = loader.load([at(5, 1, "b"), at(30, 1, "c")], day(2))
        assert (report.rows_loaded, report.rows_unchanged) == (1, 1)
        assert versions(loader) == [
            (1, "a", hour(1), hour(5)),
            (1, "b", hour(5), hour(30)),
            (1, "c", hour(30), None),
            (2, "x", hour(3), None),
        ]

    def test_by_cursor_late_and_duplicate_rows_and_old_windows_again_give_the_same_history(
        self, loader: Loader
    ) -> None:
        loader.spec = BY_CURSOR
        loader.load([at(30, 1, "c")], day(2))
        old = [at(1, 1, "a"), at(5, 1, "b"), at(5, 1, "b")]
        for _ in range(2):
            report = loader.load(old, day(1))
            assert (report.rows_loaded, report.rows_duplicate) == (2, 1)
            assert versions(loader) == [
                (1, "a", hour(1), hour(5)),
                (1, "b", hour(5), hour(30)),
                (1, "c", hour(30), None),
            ]

    def test_by_cursor_the_row_of_one_moment_that_comes_last_counts(self, loader: Loader) -> None:
        loader.spec = BY_CURSOR
        loader.load([at(1, 1, "a")], day(1))
        report = loader.load([at(1, 1, "b")], day(2))
        assert (report.rows_loaded, versions(loader)) == (1, [(1, "b", hour(1), None)])

    def test_by_cursor_nothing_ends_because_it_is_missing_and_rows_without_a_moment_are_rejected(
        self, loader: Loader
    ) -> None:
        loader.spec = BY_CURSOR
        loader.load([at(1, 1, "a")], day(1))
        loader.load([], day(2))
        report = loader.load([{"id": 1, "v": "z", "u": None}, at(50, 2, "b")], day(3))
        assert (report.rows_loaded, report.rows_rejected) == (1, 1)
        assert loader.audit("rejects", "reason") == [("u has no value",)]
        assert versions(loader) == [(1, "a", hour(1), None), (2, "b", hour(50), None)]

    @pytest.mark.parametrize(
        ("kind", "moment"),
        [("date", datetime(2013, 1, 5, tzinfo=UTC)), ("datetime", datetime(2013, 1, 5, 10, 30, 0, 123456, tzinfo=UTC))],
    )
    def test_by_cursor_days_and_wall_clock_times_are_read_as_utc(
        self, loader: Loader, kind: str, moment: datetime
    ) -> None:
        loader.spec = SNAPSHOT | {"incremental": {"cursor": "u"}, "columns": {"u": {"type": kind}}}
        text = moment.strftime("%Y-%m-%d" if kind == "date" else "%Y-%m-%d %H:%M:%S.%f")
        for _ in range(2):
            loader.load([{"id": 1, "u": text}])
            assert versions(loader, "id") == [(1, moment, None)]

    def test_a_cursor_that_turns_out_to_be_no_time_is_an_error_with_its_hint(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT | {"incremental": {"cursor": "u"}}
        with pytest.raises(ContractError, match="scd2 needs a time as its cursor, but u is integer; choose a column"):
            loader.load([{"id": 1, "u": 5}])

    def test_a_table_that_was_no_history_becomes_one_by_a_full_refresh(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "merge", "primary_key": ["id"]}
        loader.load(AB, day(1))
        loader.spec = SNAPSHOT
        before = everything(loader.warehouse, loader.target)
        with pytest.raises(ContractError, match=r"not written with scd2.* run with full refresh"):
            loader.load(AB, day(2))
        assert everything(loader.warehouse, loader.target) == before
        loader.load(AB, day(2), full_refresh=True)
        assert versions(loader) == [(1, "a", end(2), None), (2, "b", end(2), None)]

    def test_a_new_column_and_a_column_that_is_gone_begin_versions_where_they_have_values(self, loader: Loader) -> None:
        loader.spec = SNAPSHOT
        loader.load(AB, day(1))
        report = loader.load([AB[0], {**AB[1], "new": 1}], day(2))
        assert (report.rows_loaded, report.rows_unchanged) == (1, 1)
        report = loader.load(AB, day(3))
        assert (report.rows_loaded, report.rows_unchanged) == (1, 1)
        assert versions(loader, "id", "new") == [
            (1, None, end(1), None),
            (2, 1, end(2), end(3)),
            (2, None, end(1), end(2)),
            (2, None, end(3), None),
        ]

    @pytest.mark.parametrize("name", ["select", "Mixed_Case", 'quo"te', "two words", "ünïcode", "a.b"])
    @pytest.mark.parametrize("by_cursor", [False, True])
    def test_any_name_can_have_a_history(
        self, tmp_path: Path, warehouse: Warehouse, name: str, by_cursor: bool
    ) -> None:
        spec: dict[str, Any] = {"write_disposition": "scd2", "primary_key": [name]}
        spec |= {"incremental": {"cursor": f"{name}'s u"}} if by_cursor else {}
        loader = Loader(tmp_path / "landing", warehouse, "src", name, spec)
        moments = {"a": hour(1), "b": hour(5)} if by_cursor else {"a": end(1), "b": end(2)}
        for number, value in enumerate("ab", start=1):
            record = {name: 1, f"{name} v": value}
            record |= {f"{name}'s u": moments[value].isoformat()} if by_cursor else {}
            for _ in range(2):
                loader.load([record], day(number))
        assert versions(loader, f"{name} v") == [("a", moments["a"], moments["b"]), ("b", moments["b"], None)]

    @pytest.mark.parametrize("spec", [SNAPSHOT, BY_CURSOR], ids=["snapshot", "by cursor"])
    def test_a_history_takes_as_many_statements_for_one_row_as_for_many(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]
    ) -> None:
        loader.spec, counts = spec, []
        loader.load([at(1, 0, "a")], day(1))
        for number, rows in ((2, 1), (3, 500)):
            loader.land([at(24 * number, key, "a") for key in range(rows)], day(number))
            with monkeypatch.context() as patched:
                seen = counted(warehouse, patched, 0, "never")
                warehouse.load(loader.order(day(number)))
            counts.append(len(seen))
        assert counts[0] == counts[1]

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("spec", [SNAPSHOT, BY_CURSOR], ids=["snapshot", "by cursor"])
    def test_a_crash_at_any_statement_leaves_the_old_history_or_the_new(
        self, loader: Loader, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], moment: str
    ) -> None:
        loader.spec = spec
        for number in (1, 2, 3):
            loader.load([at(number, 1, "a"), at(number, 2, "b")], day(number))
        loader.land([at(2, 1, "A") | {"new": 1}, at(2, 3, "c")], day(2))
        order = loader.order(day(2))

        def visible():
            found = everything(warehouse, loader.target)
            found["tab"] = versions(loader, "id", "v", "u", "_load_id")
            found.pop("schema_changes")
            return found

        before, tries = visible(), []
        for number in crashes(warehouse, monkeypatch, order, moment):
            tries.append(number)
            assert visible() == before
        after = visible()
        assert (tries[-1] >= 5, after != before) == (True, True)
        warehouse.load(order)
        assert visible() == after
