"""What a backfill loads: its windows on the clock of the config, and which of them are loaded already."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_factory.config.loading import load_text
from elt_factory.core.window import Window
from elt_factory.describe.backfills import (
    AppendedWindows,
    History,
    LoadedWindows,
    Step,
    preview_of,
    steps_of,
    tables_of,
)
from elt_factory.warehouse.past_loads import PastLoad, PastRun

NOW, START = datetime(2026, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)
API = """
extract: {type: rest_api, connection: api}
tables:
  days: {path: /d, params: {day: "{{ window.start }}"}, primary_key: [id], write_disposition: merge}
"""
NEW_YORK = "timezone: America/New_York\n"


def config_of(tmp_path, text, head="schedule: '0 3 * * *'\n"):
    text = f"name: shop\nstart_date: 2013-01-01\n{head}{text}"
    return load_text(tmp_path / "shop.yaml", text, tmp_path).config


APPENDED = config_of(Path("shop"), API.replace("merge", "append"))


def within(start, end):
    return Window(*(datetime.fromisoformat(f"{text}:00Z") for text in (start, end)))


def texts(config, window, chunk=None, now=NOW):
    tables = tables_of(config)
    return [str(step.window) for step in steps_of(config, tables, window, chunk, now)]


def test_the_windows_are_those_of_the_schedule_that_begin_in_the_range_also_when_the_clocks_change(tmp_path):
    config = config_of(tmp_path, API, f"schedule: '0 3 * * *'\n{NEW_YORK}")
    assert texts(config, within("2013-03-09T05:00", "2013-03-11T04:00")) == [
        "[2013-03-09T08:00:00Z, 2013-03-10T07:00:00Z)",
        "[2013-03-10T07:00:00Z, 2013-03-11T07:00:00Z)",
    ]


def test_a_chunk_joins_windows_and_leaves_their_bounds_on_the_schedule(tmp_path):
    config = config_of(tmp_path, API, f"schedule: '@daily'\n{NEW_YORK}")
    # seven days of people, although one of them has 23 hours
    assert texts(config, within("2013-03-04T05:00", "2013-03-20T04:00"), timedelta(days=7)) == [
        "[2013-03-04T05:00:00Z, 2013-03-11T04:00:00Z)",
        "[2013-03-11T04:00:00Z, 2013-03-18T04:00:00Z)",
        "[2013-03-18T04:00:00Z, 2013-03-20T04:00:00Z)",
    ]
    with pytest.raises(ValueError, match="--chunk is shorter than the window"):
        texts(config, within("2013-03-04T05:00", "2013-03-20T04:00"), timedelta(hours=1))


def test_without_a_schedule_the_range_is_cut_by_the_chunk_or_is_one_window(tmp_path):
    config = config_of(tmp_path, API, NEW_YORK)
    march = within("2013-03-09T05:00", "2013-03-11T04:00")
    assert texts(config, march) == [str(march)]
    assert texts(config, march, timedelta(days=1)) == [
        "[2013-03-09T05:00:00Z, 2013-03-10T05:00:00Z)",
        "[2013-03-10T05:00:00Z, 2013-03-11T04:00:00Z)",
    ]


def test_a_window_that_has_not_ended_is_not_loaded(tmp_path, monkeypatch):
    config, now = config_of(tmp_path, API), datetime(2013, 1, 3, tzinfo=UTC)
    assert texts(config, within("2013-01-01T00:00", "2013-01-09T00:00"), now=now) == [
        "[2013-01-01T03:00:00Z, 2013-01-02T03:00:00Z)"
    ]
    with pytest.raises(ValueError, match="no window of shop that has ended begins in"):
        texts(config, within("2013-01-02T00:00", "2013-01-03T04:00"), now=now)
    monkeypatch.setattr("elt_factory.describe.backfills.MOST_WINDOWS", 3)
    with pytest.raises(ValueError, match="more than 3 windows"):
        texts(config_of(tmp_path, API, "schedule: '* * * * *'\n"), within("2013-01-01T00:00", "2013-02-01T00:00"))


def test_tables_without_windows_are_loaded_once_for_all_of_them_and_those_that_would_lie_not_at_all(tmp_path):
    more = """\
  now: {path: /n, primary_key: [id], write_disposition: replace}
  past: {path: /p, primary_key: [id], write_disposition: scd2}
  newest: {path: /w, params: {day: "{{ window.start }}"}, write_disposition: replace}
"""
    config = config_of(tmp_path, API + more)
    found = tables_of(config)
    assert (found.windows, found.once, list(found.never)) == (("days",), ("now",), ["past", "newest"])
    steps = steps_of(config, found, within("2013-01-01T00:00", "2013-01-02T00:00"), None, NOW)
    # whoever waits for a window of this source finds the table loaded
    assert [(str(step.window), step.tables) for step in steps] == [
        ("[2013-01-01T00:00:00Z, 2013-01-02T03:00:00Z)", ("now",)),
        ("[2013-01-01T03:00:00Z, 2013-01-02T03:00:00Z)", ("days",)),
    ]
    assert tables_of(config, ["now"]).windows == ()


def test_a_table_of_a_parent_is_loaded_with_it_and_as_it(tmp_path):
    child = "  lines: {for_each: days, path: '/d/{{ days.id }}', primary_key: [id], write_disposition: merge}\n"
    found = tables_of(config_of(tmp_path, API + child), ["lines"])
    assert (found.windows, found.once) == (("days", "lines"), ())


def load(number, run="r", *, days=1, rows=10, at=0, table="days", refresh=False):
    start = datetime(2013, 1, number, tzinfo=UTC)
    committed = datetime(2013, 2, 1, tzinfo=UTC) + timedelta(hours=at)
    window = Window(start, start + timedelta(days=days))
    return PastLoad(table, window, run, refresh, rows, rows, committed - timedelta(minutes=1), committed)


def test_a_window_is_loaded_when_no_part_is_missing_and_the_checks_after_it_passed():
    step = Step(load(1, days=2).window, ("days",))
    passed = PastRun(10, 60.0, frozenset({"days"}))
    loads = [load(1, "first"), load(2, "second", at=2)]
    runs = {"first": passed, "second": passed}
    assert LoadedWindows(loads, runs).cover(step)
    assert not LoadedWindows(loads[:1], runs).cover(step)
    assert not LoadedWindows(loads, runs | {"second": PastRun(10, 60.0, frozenset({"days"}), failed=True)}).cover(step)
    # killed after its load was committed: what is made of it is not there yet
    assert not LoadedWindows(loads, runs | {"second": PastRun(10, 60.0)}).cover(step)
    assert not LoadedWindows(loads, runs, loads[1].loaded_at).cover(step)
    assert not LoadedWindows(loads, runs).cover(Step(step.window, ()))


def test_rows_that_a_load_of_another_window_has_are_not_appended_again(tmp_path):
    text = API.replace("merge", "append")
    step = Step(load(1, days=7).window, ("days",))
    (told,) = AppendedWindows(config_of(tmp_path, text), [load(1, days=7), load(9), load(3)]).doubled(step)
    assert told.startswith("days has rows of [2013-01-03T00:00:00Z, 2013-01-04T00:00:00Z) already")
    assert not list(AppendedWindows(config_of(tmp_path, API), [load(3)]).doubled(step))
    assert not list(
        AppendedWindows(config_of(tmp_path, text), [load(3, rows=0), load(1, days=9, refresh=True)]).doubled(step)
    )


def test_ten_times_the_steps_and_loads_are_previewed_in_about_ten_times_the_time(tmp_path):
    """Where each step looked at each load it would be a hundred times."""

    def seconds(number):
        windows = [Window(START + timedelta(hours=at), START + timedelta(hours=at + 1)) for at in range(number)]
        loads = [PastLoad("days", one, "r", False, 1, 1, one.end, one.end) for one in windows]
        config = config_of(tmp_path, API.replace("merge", "append"))
        steps, runs = [Step(one, ("days",)) for one in windows], {"r": PastRun(1, 1.0, frozenset({"days"}))}
        began = time.process_time()
        assert all(one.loaded for one in preview_of(config, steps, loads, runs).steps)
        return time.process_time() - began

    assert min(seconds(2000) for _ in range(3)) < 40 * min(seconds(200) for _ in range(3))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=8), st.integers(0, 12), st.integers(1, 6))
def test_what_is_covered_and_what_overlaps_is_that_of_every_hour(found, begin, length):
    def window(start, hours):
        return Window(START + timedelta(hours=start), START + timedelta(hours=start + hours))

    step, windows = Step(window(begin, length), ("days",)), [window(*one) for one in found]
    loads = [PastLoad("days", one, "r", False, 1, 1, one.end, one.end) for one in windows]
    hours = {hour for start, count in found for hour in range(start, start + count)}
    wanted = set(range(begin, begin + length))
    assert LoadedWindows(loads, {"r": PastRun(1, 1.0, frozenset({"days"}))}).cover(step) == (wanted <= hours)
    overlaps = any(wanted & set(range(at, at + count)) and (at, count) != (begin, length) for at, count in found)
    assert bool(list(AppendedWindows(APPENDED, loads).doubled(step))) == overlaps


def test_rows_and_time_follow_from_the_runs_before(tmp_path):
    config = config_of(tmp_path, API)
    loads = [load(1, "a", rows=100), load(2, "b", rows=300), load(3, "c", rows=200), load(1, "d", days=9, refresh=True)]
    runs = {name: PastRun(rows, 10 + rows / 100) for name, rows in (("a", 100), ("b", 300), ("c", 200))}
    estimate = History(loads, runs).of(Step(load(4, days=7).window, ("days",)), config)
    assert (estimate.rows, round(estimate.seconds, 3)) == (1400, 24.0)
    nothing = History([], {}).of(Step(load(4).window, ("days",)), config)
    assert (nothing.rows, nothing.seconds) == (None, None)
