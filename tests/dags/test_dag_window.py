"""Which window, tables and loads a run covers."""

from datetime import UTC, datetime, timedelta

import pytest
from dag_support import TINY, config_of, context_of, moment

from elt_factory.core.failures import EmptyWindowError, PermanentError
from elt_factory.core.window import Window
from elt_factory.dag.factory import build_dag
from elt_factory.dag.runtime import run_of

NEW_YORK = "America/New_York"


def window(start: str, end: str) -> Window:
    return Window(moment(start), moment(end))


def test_the_window_is_the_runs_data_interval(tmp_path):
    config = config_of(tmp_path, schedule="0 3 * * *")
    run = run_of(context_of(("2013-01-07T03:00:00Z", "2013-01-08T03:00:00Z")), config)
    assert run.window == window("2013-01-07T03:00:00Z", "2013-01-08T03:00:00Z")


def test_a_full_refresh_begins_on_the_cursors_own_clock(tmp_path):
    table = {"incremental": {"cursor": "at", "initial": "2012-01-01", "timezone": "UTC"}}
    for incremental, begins in (
        (table, "2012-01-01T00:00:00Z"),
        ({"incremental": {"cursor": "at", "initial": "2012-01-01"}}, "2012-01-01T05:00:00Z"),
    ):
        config = config_of(tmp_path, timezone=NEW_YORK, tables={"input": {"path": "input.csv", **incremental}})
        run = run_of(context_of(full_refresh=True, window_start="2013-01-01", window_end="2013-01-02"), config)
        assert run.table_window("input").start == moment(begins)


def test_the_form_goes_before_the_data_interval(tmp_path):
    config = config_of(tmp_path, schedule="0 3 * * *")
    form = {"window_start": "2013-01-01T00:00:00Z", "window_end": "2013-01-08T00:00:00Z"}
    run = run_of(context_of(("2013-06-07T03:00:00Z", "2013-06-08T03:00:00Z"), **form), config)
    assert run.window == window("2013-01-01T00:00:00Z", "2013-01-08T00:00:00Z")


def test_dates_in_the_form_are_of_the_configs_time_zone(tmp_path):
    config = config_of(tmp_path, timezone=NEW_YORK)
    run = run_of(context_of(window_start="2013-01-01", window_end="2013-07-01"), config)
    assert run.window == window("2013-01-01T05:00:00Z", "2013-07-01T04:00:00Z")


@pytest.mark.parametrize("form", [{"window_start": "2013-01-01"}, {"window_end": "2013-01-01"}])
def test_one_end_of_the_window_alone_is_refused(tmp_path, form):
    with pytest.raises(
        EmptyWindowError,
        match="tiny: set both window_start and window_end, or neither",
    ):
        run_of(context_of(**form), config_of(tmp_path))


def test_a_window_that_only_looks_forward_on_the_clock_is_empty(tmp_path):
    """Clocks in New York skip from 2:00 to 3:00: 3:15 comes a quarter of an hour before what 2:30 would be."""
    config = config_of(tmp_path, timezone=NEW_YORK)
    with pytest.raises(EmptyWindowError, match=r"\[2013-03-10T07:30:00Z, 2013-03-10T07:15:00Z\) is empty"):
        run_of(context_of(window_start="2013-03-10T07:30:00Z", window_end="2013-03-10T03:15"), config)


@pytest.mark.parametrize("ends", [("2013-03-10T02:30", "2013-03-10T03:15"), ("2013-03-10", "2013-03-10T02:00")])
def test_a_time_that_clocks_skip_is_refused(tmp_path, ends):
    config = config_of(tmp_path, timezone=NEW_YORK)
    with pytest.raises(
        PermanentError, match=r'tiny: window_\w+: the time "2013-03-10T02:.." does not exist in America'
    ):
        run_of(context_of(window_start=ends[0], window_end=ends[1]), config)


def test_an_hour_that_clocks_show_twice_is_in_the_window_as_often_as_it_passes(tmp_path):
    config = config_of(tmp_path, timezone=NEW_YORK)
    # 1:30 means the first one, 1:15 with an offset the second one, which comes later
    run = run_of(context_of(window_start="2013-11-03T01:30", window_end="2013-11-03T01:15-05:00"), config)
    assert run.window == window("2013-11-03T05:30:00Z", "2013-11-03T06:15:00Z")
    assert run.window.reach_back(timedelta(hours=2)).start == moment("2013-11-03T03:30:00Z")


@pytest.mark.parametrize("text", ["2013-02-30", "0001-01-01", "9999-12-31", "soon"])
def test_a_date_that_does_not_exist_is_one_clear_error(tmp_path, text):
    config = config_of(tmp_path, timezone="Pacific/Kiritimati")
    with pytest.raises(PermanentError, match=r"tiny: window_end: (invalid date or time|the year \d+ is out of range)"):
        run_of(context_of(window_start="2013-01-01", window_end=text), config)


@pytest.mark.parametrize("end", ["2013-01-01", "2012-12-31"])
def test_a_window_of_no_width_is_an_error_and_not_no_rows(tmp_path, end):
    with pytest.raises(EmptyWindowError, match=r"tiny: the window \[2013-01-01.* is empty"):
        run_of(context_of(window_start="2013-01-01", window_end=end), config_of(tmp_path))


def test_a_data_interval_of_no_width_is_an_error_where_there_is_a_schedule(tmp_path):
    config = config_of(tmp_path, schedule="0 3 * * *")
    with pytest.raises(EmptyWindowError, match="is empty"):
        run_of(context_of(("2013-01-08T03:00:00Z", "2013-01-08T03:00:00Z")), config)


@pytest.mark.parametrize(
    ("run_after", "start", "end"),
    [
        ("2013-01-09T12:00:00Z", "2013-01-08T08:00:00Z", "2013-01-09T08:00:00Z"),
        # the moment itself ends an interval
        ("2013-01-09T08:00:00Z", "2013-01-08T08:00:00Z", "2013-01-09T08:00:00Z"),
        ("2013-01-09T07:59:59Z", "2013-01-07T08:00:00Z", "2013-01-08T08:00:00Z"),
        # clocks go forward on 10 March, back on 3 November: a day of 23 hours, a day of 25
        ("2013-03-10T12:00:00Z", "2013-03-09T08:00:00Z", "2013-03-10T07:00:00Z"),
        ("2013-11-03T12:00:00Z", "2013-11-02T07:00:00Z", "2013-11-03T08:00:00Z"),
    ],
)
def test_a_run_without_an_interval_covers_the_last_complete_one(tmp_path, run_after, start, end):
    config = config_of(tmp_path, schedule="0 3 * * *", timezone=NEW_YORK)
    assert run_of(context_of(run_after=run_after), config).window == window(start, end)


@pytest.mark.parametrize("schedule", ["0 * * * *", "0 1 * * *", "0 3 * * 1-5", "@daily"])
def test_the_last_complete_interval_is_the_one_airflow_would_give(tmp_path, schedule):
    from airflow.timetables.interval import CronDataIntervalTimetable
    from pendulum import instance

    config = config_of(tmp_path, schedule=schedule, timezone=NEW_YORK)
    theirs = CronDataIntervalTimetable(schedule, timezone=NEW_YORK)
    for change in (datetime(2013, 3, 10, tzinfo=UTC), datetime(2013, 11, 3, tzinfo=UTC)):
        for hour in range(48):
            now = change + timedelta(hours=hour, minutes=17)
            expected = theirs.infer_manual_data_interval(run_after=instance(now))
            ours = run_of(context_of(run_after=now.isoformat()), config).window
            assert (ours.start, ours.end) == (expected.start, expected.end)


def test_the_day_that_skips_the_hour_of_the_schedule_asks_for_a_window(tmp_path):
    config = config_of(tmp_path, schedule="30 2 * * *", timezone=NEW_YORK)
    with pytest.raises(EmptyWindowError, match=r"is empty: .*; set window_start and window_end in the form"):
        run_of(context_of(run_after="2013-03-10T12:00:00Z"), config)
    before = run_of(context_of(run_after="2013-03-09T12:00:00Z"), config).window
    after = run_of(context_of(run_after="2013-03-11T12:00:00Z"), config).window
    assert before == window("2013-03-08T07:30:00Z", "2013-03-09T07:30:00Z")
    assert after == window("2013-03-10T07:30:00Z", "2013-03-11T06:30:00Z")


@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_without_a_schedule_all_there_is_up_to_now_is_read(tmp_path, disposition):
    table = {"path": "input.csv", "primary_key": ["id"], "write_disposition": disposition}
    config = config_of(tmp_path, timezone=NEW_YORK, tables={"input": table})
    now = "2013-01-09T12:00:00Z"
    assert run_of(context_of((now, now), run_after=now), config).window == window("2013-01-01T05:00:00Z", now)


def test_without_a_schedule_rows_are_not_appended_twice(tmp_path):
    config = config_of(tmp_path, tables={"input": {"path": "input.csv", "write_disposition": "append"}})
    with pytest.raises(
        EmptyWindowError, match=r"tiny has no schedule.*input would be appended twice; set window_start"
    ):
        run_of(context_of(), config)


def test_without_a_schedule_a_window_in_the_form_is_enough_to_append(tmp_path):
    config = config_of(tmp_path, tables={"input": {"path": "input.csv", "write_disposition": "append"}})
    run = run_of(context_of(window_start="2013-01-01", window_end="2013-01-02"), config)
    assert run.window == window("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z")


def test_every_try_of_a_run_has_the_same_window_and_load(tmp_path):
    config = config_of(tmp_path)
    first, second = (run_of(context_of(), config) for _ in range(2))
    assert first.load_id("input") == second.load_id("input")


def test_a_full_refresh_begins_where_the_data_begin_and_is_a_load_of_its_own(tmp_path):
    config = config_of(tmp_path, schedule="@daily")
    interval = ("2013-01-08T00:00:00Z", "2013-01-09T00:00:00Z")
    daily, full = run_of(context_of(interval), config), run_of(context_of(interval, full_refresh=True), config)
    assert full.table_window("input") == window("2013-01-01T00:00:00Z", "2013-01-09T00:00:00Z")
    assert full.window == daily.window == daily.table_window("input")
    assert full.load_id("input") != daily.load_id("input")


@pytest.mark.parametrize(
    ("initial", "start"),
    [
        ("2013-01-05", "2013-01-05T05:00:00Z"),
        ("2013-01-05T00:00:00Z", "2013-01-05T00:00:00Z"),
        (0, "2013-01-01T05:00:00Z"),
        ("2014-01-01", "2013-01-08T00:00:00Z"),
    ],
)
def test_a_full_refresh_begins_at_the_cursors_initial_value(tmp_path, initial, start):
    table = {"primary_key": ["id"], "write_disposition": "merge", "incremental": {"cursor": "at", "initial": initial}}
    extract = {"type": "sql", "connection": "db"}
    config = config_of(tmp_path, timezone=NEW_YORK, schedule="@daily", extract=extract, tables={"input": table})
    run = run_of(context_of(("2013-01-08T00:00:00Z", "2013-01-09T00:00:00Z"), full_refresh=True), config)
    assert run.table_window("input") == window(start, "2013-01-09T00:00:00Z")


def test_a_full_refresh_of_a_history_by_snapshots_is_the_snapshot_of_its_window(tmp_path):
    tables = {"input": {"path": "%Y-%m-%d.csv", "primary_key": ["id"], "write_disposition": "scd2"}}
    run = run_of(
        context_of(("2013-01-08T00:00:00Z", "2013-01-09T00:00:00Z"), full_refresh=True),
        config_of(tmp_path, schedule="@daily", tables=tables),
    )
    assert run.table_window("input") == run.window


def test_an_empty_choice_of_tables_means_all(tmp_path):
    assert run_of(context_of(tables=[]), config_of(tmp_path)).tables == {"input"}


def test_a_table_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(PermanentError, match=r"tiny: unknown tables in the trigger form: inputs; the config has input"):
        run_of(context_of(tables=["inputs"]), config_of(tmp_path, TINY))


def test_a_run_with_a_table_that_the_yaml_has_lost_fails_in_its_tasks_which_say_so_and_alert(tmp_path, monkeypatch):
    """Airflow would end it before the task begins, without a callback; when a run is triggered it is refused."""
    from airflow.sdk.definitions.param import process_params
    from airflow.sdk.exceptions import ParamValidationError

    config, chosen = config_of(tmp_path, TINY), {"tables": ["gone"]}
    with pytest.raises(ParamValidationError, match="'gone' is not one of"):
        dag_params(build_dag(config, {}), chosen, process_params)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "tiny")
    params = dag_params(build_dag(config, {}), chosen, process_params)
    with pytest.raises(PermanentError, match="tiny: unknown tables in the trigger form: gone; the config has input"):
        run_of(context_of(**params), config)
    assert dag_params(build_dag(config, {}), {}, process_params)["tables"] == ["input"]


def dag_params(dag, chosen, process_params):
    return process_params(dag, dag.get_task("tables.input.extract"), chosen, suppress_exception=False)
