"""A full refresh and the windows that it has loaded: run again, neither doubles nor loses a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.core.window import Window
from elt_factory.sources.sql.model import SqlTable
from elt_factory.testing.warehouses.loader import FIRST_DAY, Loader, OnWarehouse, day

NEW_YORK = "America/New_York"

HOURS = range(0, 72, 12)  # of the first three days


def rows(hours, form: str = "%Y-%m-%dT%H:%M:%SZ", version: str = "a") -> list[dict[str, Any]]:
    return [{"id": hour, "u": (FIRST_DAY + timedelta(hours=hour)).strftime(form), "v": version} for hour in hours]


def load(loader: Loader, records, window, *, full_refresh: bool = False, **order):
    loader.land(records, window)
    return loader.warehouse.load(replace(loader.order(window, full_refresh=full_refresh), **order))


def of_a_database(loader: Loader, **spec) -> dict[str, Any]:
    """Makes the table one that is appended by a time; what a load's order says of it."""
    loader.table_model = SqlTable
    loader.spec = {"write_disposition": "append", "incremental": {"cursor": "u", **spec}}
    return {"by_cursor": True, "by_window": True}


class RefreshSuite(OnWarehouse):
    """A full refresh and the windows that it has loaded: run again, neither doubles nor loses a row."""

    def test_a_window_of_a_database_takes_the_place_of_what_a_full_refresh_has_of_it(self, loader: Loader) -> None:
        asked = of_a_database(loader)
        for number in (1, 2, 3):
            load(loader, rows(HOURS[2 * number - 2 : 2 * number]), day(number), **asked)
        load(loader, rows(HOURS), day(1, days=3), full_refresh=True, **asked)
        # one row of the day was deleted in the source, the other has another value
        for _ in range(2):
            report = load(loader, rows([24], version="b"), day(2), **asked)
            assert report.rows_loaded == 1
            assert loader.rows("id", "v") == [(0, "a"), (12, "a"), (24, "b"), (48, "a"), (60, "a")]
        load(loader, [], day(3), **asked)
        assert loader.rows("id") == [(0,), (12,), (24,)]

    def test_the_window_is_that_of_the_cursors_own_clock(self, loader: Loader) -> None:
        asked = of_a_database(loader) | {"clock": NEW_YORK}
        wall = "%Y-%m-%d %H:%M:%S"
        load(loader, rows([12, 18, 19, 42, 43], wall), day(1, days=3), full_refresh=True, **asked)
        # midnight in UTC is 19:00 of the day before there
        load(loader, rows([19, 42], wall, "b"), day(2), **asked)
        assert loader.rows("id", "v") == [(12, "a"), (18, "a"), (19, "b"), (42, "b"), (43, "a")]

    def test_by_its_key_and_cursor_a_row_takes_the_place_of_the_full_refreshs(self, loader: Loader) -> None:
        """As of an API, of which no one knows how it takes the ends of a window."""
        loader.spec = {"write_disposition": "append", "primary_key": ["id"], "incremental": {"cursor": "u"}}
        day_2 = [*rows([24, 36]), *(row | {"u": None} for row in rows([40]))]
        load(loader, [*rows([0, 12]), *day_2, *rows([48])], day(1, days=3), full_refresh=True, by_window=True)
        for version in "bc":
            changed = [row | {"v": version} for row in day_2]
            assert load(loader, changed, day(2), by_window=True).rows_loaded == 3
            expected = [(0, "a"), (12, "a"), *((key, version) for key in (24, 36, 40)), (48, "a")]
            assert loader.rows("id", "v") == expected

    def test_a_window_whose_rows_nothing_tells_from_the_full_refreshs_is_refused(self, loader: Loader) -> None:
        for spec in ({}, {"primary_key": ["id"]}, {"incremental": {"cursor": "u"}}):
            loader.name, loader.spec = f"tab{len(str(spec))}", {"write_disposition": "append", **spec}
            load(loader, rows(HOURS), day(1, days=3), full_refresh=True, by_window=True)
            for hours in ([24, 36], []):
                with pytest.raises(ContractError, match="has already loaded this window, and its rows cannot be"):
                    load(loader, rows(hours), day(2), by_window=True)
            assert [key for (key,) in loader.rows("id")] == [*HOURS]
            assert len(loader.audit("loads", "load_id")) == 1
        # the next window, and the refresh itself, continue
        load(loader, rows([72]), day(4), by_window=True)
        load(loader, rows([*HOURS, 72]), day(1, days=4), full_refresh=True, by_window=True)
        assert [key for (key,) in loader.rows("id")] == [*HOURS, 72]

    def test_a_number_is_read_from_where_the_full_refresh_has_ended(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "append", "incremental": {"cursor": "id", "initial": 0}}
        load(loader, rows(HOURS), day(1, days=3), full_refresh=True, by_cursor=True, by_window=True)
        load(loader, rows([72]), day(2), by_cursor=True, by_window=True)
        assert [key for (key,) in loader.rows("id")] == [*HOURS, 72]

    def test_a_window_of_other_bounds_takes_the_place_of_what_others_have_of_it(self, loader: Loader) -> None:
        """As a person chooses it in the form, or as it is after the schedule was changed."""
        asked = of_a_database(loader)
        for number in (1, 2, 3):
            load(loader, rows(HOURS[2 * number - 2 : 2 * number]), day(number), **asked)
        noon = Window(day(1).start + timedelta(hours=12), day(3).start + timedelta(hours=12))
        for _ in range(2):
            report = load(loader, rows([12, 24, 36, 48], version="b"), noon, **asked)
            assert report.rows_loaded == 4
            assert loader.rows("id", "v") == [(0, "a"), *((hour, "b") for hour in (12, 24, 36, 48)), (60, "a")]
        load(loader, rows([24, 36], version="c"), day(2), **asked)
        assert loader.rows("id", "v") == [(0, "a"), (12, "b"), (24, "c"), (36, "c"), (48, "b"), (60, "a")]

    def test_a_window_of_other_bounds_leaves_what_was_committed_since_it_was_begun(self, loader: Loader) -> None:
        """As one whose load failed and was cleared later, or that another run has read at the same time."""
        asked = of_a_database(loader)
        late = [day(1, days=3), day(3, days=2)]
        for window in late:
            loader.land(rows([0, 12]), window)
        for number in (1, 2, 3):
            load(loader, rows(HOURS[2 * number - 2 : 2 * number]), day(number), **asked)
        for window in late:
            with pytest.raises(ContractError, match=r"since this load began to read.*clear the extract task"):
                loader.warehouse.load(replace(loader.order(window), **asked))
            assert [key for (key,) in loader.rows("id")] == [*HOURS]
        load(loader, rows(HOURS, version="b"), late[0], **asked)
        assert loader.rows("id", "v") == [(hour, "b") for hour in HOURS]

    def test_a_window_of_other_bounds_is_refused_where_nothing_tells_its_rows_apart(self, loader: Loader) -> None:
        for spec in ({}, {"primary_key": ["id"]}, {"incremental": {"cursor": "u"}}):
            loader.name, loader.spec = f"tab{len(str(spec))}", {"write_disposition": "append", **spec}
            for _ in range(2):
                load(loader, rows([0, 12]), day(1), by_window=True)
            with pytest.raises(ContractError, match=r"has rows of 2013-01-01.* already, and nothing tells them from"):
                load(loader, rows(HOURS), day(1, days=3), by_window=True)
            load(loader, rows([24, 36]), day(2), by_window=True)
            assert [key for (key,) in loader.rows("id")] == [0, 12, 24, 36]
        # what is not asked for by the window is added by each load, and by its key and cursor a row is known
        loader.name, loader.spec = "whole", {"write_disposition": "append"}
        for window in (day(1), day(1, days=3)):
            load(loader, rows([0]), window)
        assert len(loader.rows("id")) == 2
        loader.spec = {"write_disposition": "append", "primary_key": ["id"], "incremental": {"cursor": "u"}}
        loader.name = "known"
        for window in (day(1), day(1, days=3)):
            load(loader, rows([0]), window, by_window=True)
        assert len(loader.rows("id")) == 1

    def test_numbers_and_texts_are_read_from_where_the_last_load_ended_in_any_window(self, loader: Loader) -> None:
        for number, cursor in enumerate(("id", "v")):
            loader.name = f"tab{number}"
            asked = of_a_database(loader, cursor=cursor)
            load(loader, rows([0, 12], version="a"), day(1), **asked)
            load(loader, rows([24, 36], version="b"), day(1, days=3), **asked)
            assert [key for (key,) in loader.rows("id")] == [0, 12, 24, 36]

    def test_only_rejects_leave_the_rows_of_the_full_refresh(self, loader: Loader) -> None:
        asked = of_a_database(loader)
        load(loader, rows(HOURS), day(1, days=3), full_refresh=True, **asked)
        with pytest.raises(BadDataError, match="none of the 1 row"):
            load(loader, ["{"], day(2), **asked)
        assert [key for (key,) in loader.rows("id")] == [*HOURS]

    def test_a_full_refresh_up_to_an_earlier_time_does_not_take_later_windows_away(self, loader: Loader) -> None:
        asked = of_a_database(loader)
        loader.spec |= {"primary_key": ["id"]}
        for number in (1, 2, 3):
            load(loader, rows(HOURS[2 * number - 2 : 2 * number]), day(number), **asked)
        with pytest.raises(ContractError, match=rf"up to {day(3).end:%Y-%m-%d}T.*that window_end or later"):
            load(loader, rows(HOURS[:4]), day(1, days=2), full_refresh=True, **asked)
        assert [key for (key,) in loader.rows("id")] == [*HOURS]
        load(loader, rows(HOURS), day(1, days=3), full_refresh=True, **asked)
        assert [key for (key,) in loader.rows("id")] == [*HOURS]
        # what is read whole, or from a number on, is read to its end whatever the window is
        loader.spec = {"write_disposition": "merge", "primary_key": ["id"]}
        load(loader, rows(HOURS), day(1, days=2), full_refresh=True)

    def test_a_full_refresh_does_not_take_what_another_load_has_read_after_it_began(self, loader: Loader) -> None:
        asked = of_a_database(loader)
        loader.spec |= {"write_disposition": "merge", "primary_key": ["id"]}
        load(loader, rows([0, 12]), day(1), **asked)
        loader.land(rows([0, 12, 24]), day(1, days=2))
        refresh = replace(loader.order(day(1, days=2), full_refresh=True), **asked)
        load(loader, rows([24, 36]), day(2), **asked)
        with pytest.raises(
            ContractError, match=r"has read the source after this full refresh started.*clear the extract"
        ):
            loader.warehouse.load(refresh)
        assert loader.rows("id") == [(0,), (12,), (24,), (36,)]

    @pytest.mark.parametrize("kind", ["datetime", "date"])
    def test_a_version_begins_when_the_cursors_own_clock_shows_its_time(self, loader: Loader, kind: Any) -> None:
        """In November an hour is shown twice: it is the second one, as for windows."""
        loader.spec = {
            "write_disposition": "scd2",
            "primary_key": ["id"],
            "incremental": {"cursor": "u", "timezone": NEW_YORK},
            "columns": {"u": {"type": kind}},
        }
        times = {
            "datetime": {
                "2013-01-01 12:00:00": "2013-01-01T17:00:00+00:00",
                "2013-07-01 12:00:00": "2013-07-01T16:00:00+00:00",
                "2013-11-03 00:59:59": "2013-11-03T04:59:59+00:00",
                "2013-11-03 01:30:00": "2013-11-03T06:30:00+00:00",
            },
            "date": {"2013-01-01": "2013-01-01T05:00:00+00:00", "2013-07-01": "2013-07-01T04:00:00+00:00"},
        }[kind]
        for _ in range(2):
            load(loader, [{"id": 1, "u": text} for text in times], day(1, days=365), by_cursor=True, clock=NEW_YORK)
            moments = [*map(datetime.fromisoformat, times.values())]
            found = sorted(loader.rows("_valid_from", "_valid_to"), key=lambda ends: ends[0])
            assert found == list(zip(moments, [*moments[1:], None], strict=True))
