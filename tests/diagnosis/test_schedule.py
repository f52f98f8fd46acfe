"""Which window a table should have by now: for the two hours after a tick in which its window is not due yet, too."""

from datetime import datetime, timedelta

import pytest
from facts_support import CONFIG, DAY, a_load

from elt_factory.diagnosis.schedule import expected_of, expected_window

TICK = expected_window(CONFIG, datetime.fromisoformat("2026-03-04T12:00Z")).end


@pytest.mark.parametrize("minutes", [1, 119, 121, 1_430])
@pytest.mark.parametrize("behind", [0, 1, 2, 5])
def test_a_table_is_late_at_any_time_of_the_day_by_what_is_due_and_not_loaded(minutes, behind):
    now = TICK + timedelta(minutes=minutes)
    window, due = expected_of(CONFIG, [a_load(TICK - behind * DAY)], now)
    late = due < now and window.end > TICK - behind * DAY
    # a day is due two hours after its end
    assert late == (behind > 1 or (behind == 1 and minutes > 120))


def test_nothing_is_expected_of_a_table_before_its_first_day():
    assert expected_of(CONFIG, [], datetime.fromisoformat("2025-01-01T02:00Z")) == (None, None)


def test_a_table_without_loads_is_late_by_the_newest_window_that_is_due():
    window, due = expected_of(CONFIG, [], TICK + timedelta(minutes=5))
    assert (window.end, due) == (TICK - DAY, TICK - DAY + timedelta(hours=2))
