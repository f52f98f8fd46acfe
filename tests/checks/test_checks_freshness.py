"""How late a table is, and whether a window is ready."""

from datetime import UTC, datetime, timedelta

import pytest
from checks_support import day

from elt_factory.checks.freshness import Limits, business_instant, fresh, window_checked, window_committed
from elt_factory.checks.run import Result, keep
from elt_factory.core.window import Window
from elt_factory.warehouse.past_loads import past_loads, past_runs

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        # a day counts until its end
        ("2013-01-31", "UTC", datetime(2013, 2, 1, tzinfo=UTC)),
        ("2013-01-31", "America/New_York", datetime(2013, 2, 1, 5, tzinfo=UTC)),
        ("2013-07-31", "America/New_York", datetime(2013, 8, 1, 4, tzinfo=UTC)),
        ("2013-01-31T10:00:00.500000", "America/New_York", datetime(2013, 1, 31, 15, 0, 0, 500000, tzinfo=UTC)),
        # an instant knows its own
        ("2013-01-31T10:00:00.000000Z", "America/New_York", datetime(2013, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_business_date_is_read_in_the_zone_of_the_source(text, zone, instant):
    assert business_instant(text, zone) == instant


DATES = {"business_date": "d"}


def verdict(source, *, zone="UTC", window=None, **limits):
    return fresh(source.warehouse, "src", "tab", window or day(1), Limits(**limits), zone)


@pytest.mark.parametrize(
    ("newest", "within", "holds", "behind"),
    [
        ("2013-01-01", 0 * HOUR, True, "0s"),
        ("2012-12-31", 24 * HOUR, True, "1d"),
        ("2012-12-31", 23 * HOUR, False, "1d"),
        ("2013-01-01T22:00:00Z", 2 * HOUR, True, "2h"),
        ("2013-01-01T21:59:59Z", 2 * HOUR, False, "2h1s"),
        ("2013-01-01 22:00:00", 2 * HOUR, True, "2h"),
        # a source that takes whole files takes more than was asked for
        ("2013-06-01", 0 * HOUR, True, "0s"),
    ],
)
def test_the_newest_business_date_is_held_against_the_windows_end(checked, newest, within, holds, behind):
    source = checked(DATES)
    source.load([{"d": newest}, {"d": newest.replace("2013", "2012")}])
    found = verdict(source, business_date_within=within)
    assert found.holds == holds
    assert f"{behind} before the window's end; " in found.message
    assert found.message.startswith("src.tab's newest business date is 201")


def test_days_and_wall_clock_times_are_read_in_the_sources_zone(checked):
    source = checked(DATES)
    source.load([{"d": "2013-01-01"}])
    window = Window(datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 5, tzinfo=UTC))
    assert verdict(source, window=window, zone="America/New_York", business_date_within=0 * HOUR).holds
    assert not verdict(source, window=window, zone="UTC", business_date_within=0 * HOUR).holds


def test_a_load_just_now_of_old_data_is_late_by_business_date_only(checked):
    """Loaded-at is not business date."""
    source = checked(DATES)
    source.load([{"d": "2012-06-01"}])
    assert verdict(source, loaded_within=HOUR).holds
    assert not verdict(source, business_date_within=HOUR).holds
    both = verdict(source, loaded_within=HOUR, business_date_within=HOUR)
    assert not both.holds
    assert "newest business date" in both.message
    assert "last loaded" not in both.message


def test_an_old_load_of_new_data_is_late_by_loaded_at_only(checked):
    source = checked(DATES)
    source.load([{"d": "2013-01-01"}])
    old = "now() - INTERVAL 90 MINUTE"
    source.warehouse.execute(f"UPDATE _elt.load_log SET loaded_at = {old}")
    assert verdict(source, business_date_within=HOUR).holds
    found = verdict(source, loaded_within=HOUR)
    assert not found.holds
    assert found.message.startswith("src.tab was last loaded 1h30m")
    assert found.message.endswith("ago; 1h is allowed")


def test_when_both_hold_both_are_said(checked):
    source = checked(DATES)
    source.load([{"d": "2013-01-01"}])
    found = verdict(source, business_date_within=HOUR, loaded_within=HOUR)
    assert found.holds
    assert "newest business date" in found.message
    assert "last loaded" in found.message


def test_a_table_that_was_never_loaded_is_not_fresh(checked):
    found = verdict(checked(DATES), business_date_within=HOUR, loaded_within=HOUR)
    assert (found.holds, found.message) == (False, "src.tab has no business date yet; src.tab was never loaded")


def test_a_table_without_rows_has_no_business_date(checked):
    source = checked(DATES)
    source.load([])
    assert verdict(source, business_date_within=HOUR).message == "src.tab has no business date yet"


@pytest.mark.parametrize("value", ["soon", 2013, "9999-12-31"])
def test_a_business_date_that_is_no_date_is_said(checked, value):
    source = checked(DATES)
    source.load([{"d": value}])
    found = verdict(source, business_date_within=HOUR)
    assert (found.holds, found.message) == (False, f'src.tab\'s newest business date is "{value}", which is not a date')


def test_a_freshness_check_is_one_of_the_results(checked):
    check = {"freshness": {"business_date_within": "1h"}, "severity": "warn"}
    source = checked(DATES, quality=[check], timezone="America/New_York")
    source.load([{"d": "2012-12-01"}])
    assert source.one("freshness").status == "warned"


# Windows


def test_a_window_is_committed_when_loads_cover_it(checked):
    source = checked()
    for number in (1, 2):
        source.load([{"n": 1}], day(number))
    both = Window(day(1).start, day(2).end)
    found = window_committed(source.warehouse, "src", "tab", both)
    assert (found.holds, found.message) == (True, f"src.tab has loaded {both}")
    found = window_committed(source.warehouse, "src", "tab", day(3))
    assert (found.holds, found.message) == (
        False,
        f"src.tab has not loaded {day(3)}; loaded up to 2013-01-03T00:00:00Z",
    )


def test_a_window_of_a_table_that_was_never_loaded_is_not_committed(checked):
    found = window_committed(checked().warehouse, "src", "tab", day(1))
    assert found.message == f"src.tab has not loaded {day(1)}; never loaded"


def result(status, table="tab", check="c"):
    return Result("check", table, check, "error", status, 0, "m", 0.1)


def test_a_window_is_ready_when_its_runs_have_checked_it(checked):
    source = checked()
    assert not window_checked(source.warehouse, "src", "tab", day(1)).holds
    source.load([{"n": 1}], day(1), run_id="r1")
    found = window_checked(source.warehouse, "src", "tab", day(1))
    assert (found.holds, found.message) == (False, "src.tab is loaded but not checked yet in run r1")
    keep(source.warehouse, "src", "r1", "quality.other", [result("passed", "other")])
    assert not window_checked(source.warehouse, "src", "tab", day(1)).holds
    # before the transform there is nothing for others to read yet
    keep(source.warehouse, "src", "r1", "checks.tab", [result("passed")])
    assert not window_checked(source.warehouse, "src", "tab", day(1)).holds
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed"), result("warned")])
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds


def test_a_window_with_a_failed_check_is_not_ready(checked):
    source = checked()
    source.load([{"n": 1}], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed"), result("failed", check="n unique")])
    found = window_checked(source.warehouse, "src", "tab", day(1))
    assert (found.holds, found.message) == (False, "src: checks failed in run r1: tab: n unique")


def test_a_window_of_several_loads_needs_all_of_their_runs(checked):
    source = checked()
    for number in (1, 2):
        source.load([{"n": 1}], day(number), run_id=f"r{number}")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    both = Window(day(1).start, day(2).end)
    assert window_checked(source.warehouse, "src", "tab", both).message.endswith("not checked yet in run r2")
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds


def test_a_run_that_was_cleared_is_ready_when_its_new_rows_are_checked(checked):
    source = checked()
    source.load([{"n": 1}], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    source.load([{"n": -1}], day(1), run_id="r1")
    found = window_checked(source.warehouse, "src", "tab", day(1))
    assert (found.holds, found.message) == (False, "src.tab is loaded but not checked yet in run r1")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("failed")])
    assert window_checked(source.warehouse, "src", "tab", day(1)).message == "src: checks failed in run r1: tab: c"
    source.load([{"n": 1}], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds


def test_a_load_that_was_cleared_alone_brings_the_rows_that_were_checked(checked):
    source = checked()
    landed = source.load([{"n": 1}], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert not source.warehouse.load(landed).gave_way
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds
    assert past_runs(source.warehouse, "src", past_loads(source.warehouse, "src"))["r1"].passed("tab")


def test_a_model_that_failed_in_the_process_of_all_and_then_was_built_alone_keeps_no_one_waiting(checked):
    source = checked()
    source.load([{"n": 1}], day(1), run_id="r1")

    def built(status: str) -> list[Result]:
        return [Result("dbt_model", "m", "m", "error", status, None, "m", 0.1)]

    keep(source.warehouse, "src", "r1", "transform.build", built("failed"))
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert window_checked(source.warehouse, "src", "tab", day(1)).message == "src: checks failed in run r1: m: m"
    keep(source.warehouse, "src", "r1", "transform.m", built("passed"))
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds
    # a check of a table before the transform is not the one of the same name after it
    keep(source.warehouse, "src", "r1", "checks.tab", [result("failed")])
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert not window_checked(source.warehouse, "src", "tab", day(1)).holds


def test_a_backfill_counts_a_window_whose_rows_are_checked_and_whose_models_are_good_at_last(checked):
    source = checked()

    def passed() -> bool:
        return past_runs(source.warehouse, "src", past_loads(source.warehouse, "src"))["r1"].passed("tab")

    def built(status: str) -> list[Result]:
        return [Result("dbt_model", "m", "m", "error", status, None, "m", 0.1)]

    source.load([{"n": 1}], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "transform.build", built("failed"))
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert not passed()
    keep(source.warehouse, "src", "r1", "transform.m", built("passed"))
    assert passed()
    source.load([{"n": -1}], day(1), run_id="r1")
    assert not passed()
    keep(source.warehouse, "src", "r1", "quality.tab", [result("passed")])
    assert passed()


def test_an_empty_first_window_can_become_ready(checked):
    source = checked()
    source.load([], day(1), run_id="r1")
    keep(source.warehouse, "src", "r1", "quality.tab", source.check())
    assert window_checked(source.warehouse, "src", "tab", day(1)).holds


def test_a_reload_without_rows_leaves_a_merge_table_as_fresh_as_it_was(checked):
    """The rows are still there: what the table holds, and not the newest load, is what is fresh."""
    source = checked({**DATES, "write_disposition": "merge", "primary_key": ["id"]})
    source.load([{"id": 1, "d": "2012-12-31"}])
    source.load([{"id": 2, "d": "2013-01-01"}], day(2))
    source.load([], day(2))
    assert "2013-01-01" in verdict(source, window=day(2), business_date_within=24 * HOUR).message
    assert verdict(source, window=day(2), business_date_within=24 * HOUR).holds
    source.load([{"id": 1, "d": "2012-12-31"}], full_refresh=True)
    assert "2012-12-31" in verdict(source, business_date_within=HOUR).message


def test_a_reload_without_rows_empties_an_append_table_of_its_window(checked):
    source = checked(DATES)
    source.load([{"d": "2012-12-31"}])
    source.load([{"d": "2013-01-01"}], day(2))
    source.load([], day(2))
    assert "2012-12-31" in verdict(source, window=day(2), business_date_within=HOUR).message
