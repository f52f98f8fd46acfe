"""Windows are compared and moved in UTC, whatever clocks show."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_factory.core.window import Window, moment_in

NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])


def test_the_ends_of_a_window_are_kept_in_utc():
    window = Window(datetime(2013, 3, 10, 1, tzinfo=NEW_YORK), datetime(2013, 3, 10, 3, tzinfo=NEW_YORK))
    assert (window.start, window.start.tzinfo) == (datetime(2013, 3, 10, 6, tzinfo=UTC), UTC)
    assert window.end - window.start == timedelta(hours=1)


def test_a_window_inside_the_hour_that_clocks_skip_is_empty():
    with pytest.raises(ValueError, match="is empty"):
        Window(datetime(2013, 3, 10, 2, 30, tzinfo=NEW_YORK), datetime(2013, 3, 10, 3, 15, tzinfo=NEW_YORK))


def test_a_lag_is_time_that_passes_and_not_what_clocks_show():
    window = Window(datetime(2013, 3, 10, 12, tzinfo=NEW_YORK), datetime(2013, 3, 11, tzinfo=NEW_YORK))
    assert window.reach_back(timedelta(hours=24)).start == datetime(2013, 3, 9, 16, tzinfo=UTC)


@pytest.mark.parametrize("year", [1, 999, 3000, 9999])
def test_a_year_out_of_range_is_a_clear_error_and_no_overflow(year):
    with pytest.raises(ValueError, match=f"the year {year} is out of range"):
        Window(datetime(year, 1, 1, tzinfo=NEW_YORK), datetime(year, 12, 31, tzinfo=NEW_YORK))


@given(st.integers(0, 3 * 365 * 24 * 4), ZONES)
def test_what_clocks_show_is_read_back_or_skipped_by_them(quarters, zone):
    shown = (datetime(2011, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarters)).replace(tzinfo=None)
    # a quarter of an hour is skipped where clocks jump over it: no instant of these days shows it
    hours = [shown.replace(tzinfo=UTC) + timedelta(minutes=15 * step) for step in range(-26 * 4, 26 * 4)]
    exists = any(hour.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown for hour in hours)
    try:
        moment = moment_in(shown.isoformat(), zone)
    except ValueError:
        moment = None
    assert (moment is not None) == exists
    assert moment is None or moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown


def test_a_window_of_airflows_own_moments_can_be_moved():
    from pendulum import datetime as airflows

    window = Window(airflows(2013, 1, 2, tz="America/New_York"), airflows(2013, 1, 3, tz="America/New_York"))
    assert window.reach_back(timedelta(hours=1)) == Window(
        datetime(2013, 1, 2, 4, tzinfo=UTC), datetime(2013, 1, 3, 5, tzinfo=UTC)
    )
    assert type(window.start) is datetime
