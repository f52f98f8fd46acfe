"""`windows-in-utc`: what the form asks for is compared in UTC, also in the hours that clocks skip or repeat."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from proof_kinds import KINDS

from elt_factory.core import window
from elt_factory.core.failures import PermanentError

ZONE = "America/New_York"
SPRING, AUTUMN = datetime.fromisoformat("2013-03-10"), datetime.fromisoformat("2013-11-03")
minutes = st.integers(0, 5 * 60)


def asked(start: datetime, end: datetime):
    """The window of a run whose form says this; None where it is refused."""
    from elt_factory.dag.runtime import run_of

    config = KINDS["merge by time"].config().model_copy(update={"timezone": ZONE})
    params = {"window_start": start.isoformat(), "window_end": end.isoformat()}
    try:
        return run_of({"params": params, "run_id": "run", "dag_run": SimpleNamespace()}, config).window
    except PermanentError:
        return None


def meant(start: datetime, end: datetime):
    """What the clocks in the zone mean, in UTC; None where they never show one of them, or time does not pass."""
    moments = [clock.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC) for clock in (start, end)]
    shown = [moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None) for moment in moments]
    return tuple(moments) if shown == [start, end] and moments[0] < moments[1] else None


def hold(day: datetime, first: int, second: int) -> None:
    start, end = day + timedelta(minutes=first), day + timedelta(minutes=second)
    found = asked(start, end)
    assert (found and (found.start, found.end)) == meant(start, end)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(day=st.sampled_from([SPRING, AUTUMN]), first=minutes, second=minutes)
@example(day=SPRING, first=150, second=195)
@example(day=SPRING, first=90, second=150)
def test_a_window_is_what_the_clocks_mean_in_utc(day, first, second):
    hold(day, first, second)


def test_a_comparison_of_what_clocks_show_is_found(monkeypatch):
    monkeypatch.setattr(window, "_in_utc", lambda moment: moment)

    with pytest.raises(AssertionError):
        test_a_window_is_what_the_clocks_mean_in_utc()
