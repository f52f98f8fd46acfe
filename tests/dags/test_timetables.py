"""When DAGs run: windows without gap or overlap over both changes of the clock, and runs that follow loads."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from dag_support import config_of, context_of, moment

from elt_factory.core.window import Window
from elt_factory.dag.asset_events import key_of_window, window_of_key
from elt_factory.dag.factory import build_dag
from elt_factory.dag.runtime import run_of
from elt_factory.dag.timetables import last_interval, schedule_of

NEW_YORK = "America/New_York"
SPRING, AUTUMN = date(2013, 3, 10), date(2013, 11, 3)


def scheduled(folder, schedule, **changes):
    return config_of(folder, schedule=schedule, timezone=NEW_YORK, start_date="2013-01-01", **changes)


def intervals(config, begin: date, days: int) -> list[tuple[datetime, datetime]]:
    """The intervals that the scheduler makes one after the other, as it makes them of what it has stored."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import instance

    timetable = decode_timetable(encode_timetable(schedule_of(config, {})))
    start = instance(datetime.combine(begin, time(), ZoneInfo(NEW_YORK)))
    found, last = [], None
    while last is None or last.end < start.add(days=days):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(start, None, catchup=True)
        )
        last = DataInterval(info.data_interval.start, info.data_interval.end)
        found.append((last.start.in_timezone(NEW_YORK), last.end.in_timezone(NEW_YORK)))
    return found


def clocks(found, form: str = "%d %H:%M") -> list[str]:
    return [end.strftime(form) for _, end in found]


@pytest.mark.parametrize("change", [SPRING, AUTUMN])
@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "30 2 * * *",
        {"cron": ["0 6 * * *", "30 17 * * 1-5"]},
        {"cron": "0 */4 * * *", "business_days": True},
        {"every": "6h"},
        {"every": "90m"},
    ],
)
def test_windows_have_no_gap_and_no_overlap_when_clocks_change(tmp_path, airflow_db, change, schedule):
    config = scheduled(tmp_path, schedule)
    found = intervals(config, change - timedelta(days=4), 8)
    assert len(found) > 5
    assert all(earlier[1] == later[0] for earlier, later in pairwise(found))
    moments = [datetime.fromtimestamp(end.timestamp(), UTC) for _, end in found]
    assert moments == sorted(moments)
    # a run by hand has the interval of the schedule that ended last, whenever it starts
    for end in moments[2:-1]:
        if schedule != "30 2 * * *":  # an hour that is skipped: its own test is among those of windows
            assert last_interval(config, end + timedelta(minutes=7))[1] == end


def test_several_crons_end_a_window_each_and_clocks_are_those_of_the_zone(tmp_path, airflow_db):
    config = scheduled(tmp_path, {"cron": ["0 6 * * *", "30 17 * * 1-5"]})
    # 9 and 10 March are a Saturday and a Sunday, and clocks go forward
    assert clocks(intervals(config, date(2013, 3, 8), 4)) == [
        "08 17:30",
        "09 06:00",
        "10 06:00",
        "11 06:00",
        "11 17:30",
        "12 06:00",
    ]


def test_business_days_leave_out_weekends_and_holidays_and_the_next_window_has_them(tmp_path, airflow_db):
    schedule = {"cron": "0 6 * * *", "business_days": True, "holidays": ["2013-03-11"]}
    found = intervals(scheduled(tmp_path, schedule), date(2013, 3, 7), 6)
    assert clocks(found) == ["08 06:00", "12 06:00", "13 06:00"]
    friday, tuesday = found[1]
    assert tuesday - friday == timedelta(days=4, hours=-1)  # clocks went forward within it


@pytest.mark.parametrize("cron", ["30 2 * * *", ["30 1 * * *", "30 2 * * *"]])
def test_business_days_after_a_time_that_clocks_skip_have_their_windows(cron, tmp_path, airflow_db):
    config = scheduled(tmp_path, {"cron": cron, "business_days": True})
    ends = {date(2013, 3, 8), date(2013, 3, 11), date(2013, 3, 12)}
    assert {end.date() for _, end in intervals(config, date(2013, 3, 7), 5)} >= ends
    # by hand, and as the scheduler asks when it has no catchup
    monday = last_interval(config, moment("2013-03-11T12:00:00Z"))
    assert [end.astimezone(ZoneInfo(NEW_YORK)).strftime("%d %H:%M") for end in monday] == (
        ["08 02:30", "11 02:30"] if isinstance(cron, str) else ["11 01:30", "11 02:30"]
    )
    sunday = last_interval(scheduled(tmp_path, {"cron": ["30 1 * * *", "30 2 * * *"]}), moment("2013-03-10T12:00:00Z"))
    assert [end.astimezone(ZoneInfo(NEW_YORK)).strftime("%d %H:%M") for end in sunday] == ["10 01:30", "10 03:30"]


def test_an_interval_is_counted_from_the_first_day_and_has_one_length(tmp_path, airflow_db):
    config = scheduled(tmp_path, {"every": "7h"})
    found = intervals(config, date(2013, 3, 9), 3)
    assert {end.timestamp() - start.timestamp() for start, end in found} == {7 * 3600}
    anchor = datetime(2013, 1, 1, tzinfo=ZoneInfo(NEW_YORK)).timestamp()
    assert {(start.timestamp() - anchor) % (7 * 3600) for start, _ in found} == {0}


def test_a_dag_that_is_unpaused_runs_the_last_complete_interval(tmp_path, airflow_db):
    from airflow.timetables.base import TimeRestriction
    from pendulum import now

    for schedule in ({"every": "6h"}, {"cron": ["0 6 * * *", "0 18 * * *"]}):
        timetable = schedule_of(scheduled(tmp_path, schedule), {})
        info = timetable.next_dagrun_info(
            last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
        )
        assert info.data_interval.end <= now() < info.data_interval.end.add(hours=13)


@pytest.mark.parametrize("schedule", [{"every": "1d"}, "0 0 * * *", {"cron": ["0 0 * * *", "0 12 * * 6"]}])
def test_no_interval_begins_after_the_last_day(tmp_path, airflow_db, schedule):
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import instance, now

    config = scheduled(tmp_path, schedule, end_date="2013-01-03")
    timetable = decode_timetable(encode_timetable(schedule_of(config, {})))
    start = instance(datetime(2013, 1, 1, tzinfo=ZoneInfo(NEW_YORK)))
    last, days = None, []
    while info := timetable.next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(start, None, catchup=True)
    ):
        last = DataInterval(info.data_interval.start, info.data_interval.end)
        days.append(last.start.in_timezone(NEW_YORK).day)
    assert days == [1, 2, 3]
    # without catchup the first run is the last interval, as it is of a DAG that does not end
    first = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(start, None, catchup=False)
    )
    assert first.data_interval == last
    assert last_interval(config, now()) == (last.start, last.end)
    # before the end it is the last complete one, as ever
    assert last_interval(config, datetime(2013, 1, 2, 12, tzinfo=ZoneInfo(NEW_YORK)))[1].day == 2


def test_without_a_schedule_all_there_is_ends_with_the_last_day(tmp_path):
    config = config_of(tmp_path, end_date="2013-01-07")
    window = run_of(context_of(run_after="2026-01-01T00:00:00Z"), config).window
    assert (window.start, window.end) == (moment("2013-01-01T00:00:00Z"), moment("2013-01-08T00:00:00Z"))


def test_a_schedule_by_assets_waits_for_the_windows_of_all_tables_of_a_source_or_of_those_named(tmp_path):
    config = config_of(tmp_path, schedule={"assets": ["fleet", "weather.daily", "weather.hourly"]})
    tables = {"fleet": ("planes", "airlines"), "weather": ("daily", "hourly", "stations")}
    timetable = build_dag(config, tables).timetable
    assert type(timetable).__name__ == "PartitionedAssetTimetable"
    assert {asset.uri for asset in timetable.asset_condition.objects} == {
        f"elt://{name}/windows" for name in ("fleet/planes", "fleet/airlines", "weather/daily", "weather/hourly")
    }


def keys(*clocks: str) -> list[str]:
    """The keys of windows that end one after the other, as clocks in New York show it."""
    moments = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(NEW_YORK)) for text in clocks]
    return [key_of_window(Window(start, end)) for start, end in pairwise(moments)]


def mapper_between(folder, wanted, own):
    """How windows of one schedule become those of another, as the scheduler has it of what it has stored."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    config = config_of(folder, schedule={"assets": ["fleet", "weather.hourly"]})
    clocks = {"fleet": scheduled(folder, wanted), "weather": scheduled(folder, own)}
    timetable = build_dag(config, {"fleet": ("planes",)}, clocks.get).timetable
    again = decode_timetable(encode_timetable(timetable))
    assert not again.get_partition_mapper(uri="elt://fleet/planes/windows").is_rollup
    return again.get_partition_mapper(uri="elt://weather/hourly/windows")


@pytest.mark.parametrize(
    ("day", "hours"),
    [(("2013-03-10", "2013-03-11"), 23), (("2013-11-03", "2013-11-04"), 25), (("2013-07-01", "2013-07-02"), 24)],
)
def test_a_day_is_loaded_by_its_hours_when_clocks_change_too(tmp_path, airflow_db, day, hours):
    mapper = mapper_between(tmp_path, "0 0 * * *", "0 * * * *")
    (whole,) = keys(*day)
    parts = mapper.to_upstream(whole)
    assert len(parts) == hours
    assert {downstream for part in parts for downstream in mapper.to_downstream(part)} == {whole}

    def is_enough(loaded):
        return mapper.wait_policy.is_satisfied_by_keys(matched=frozenset(loaded), expected=parts).satisfied

    assert is_enough(parts)
    assert not any(is_enough(parts - {part}) for part in parts)
    # a backfill may load the day at once, or more than it
    assert is_enough({whole})
    assert is_enough(keys("2013-01-01", "2014-01-01"))
    assert not is_enough(set())


@pytest.mark.parametrize(
    ("wanted", "own", "loaded", "runs", "needed"),
    [
        # a week holds up each of its days
        (
            "0 0 * * *",
            "0 0 * * 1",
            ["2013-07-01", "2013-07-08"],
            [
                "2013-07-01",
                "2013-07-02",
                "2013-07-03",
                "2013-07-04",
                "2013-07-05",
                "2013-07-06",
                "2013-07-07",
                "2013-07-08",
            ],
            ["2013-07-01", "2013-07-08"],
        ),
        # windows that end at another time overlap two
        (
            "0 3 * * *",
            "0 4 * * *",
            ["2013-07-01T04:00", "2013-07-02T04:00"],
            ["2013-07-01T03:00", "2013-07-02T03:00", "2013-07-03T03:00"],
            ["2013-06-30T04:00", "2013-07-01T04:00", "2013-07-02T04:00"],
        ),
        (
            {"cron": "0 6 * * *", "business_days": True},
            {"every": "12h"},
            ["2013-07-05T20:00", "2013-07-06T08:00"],  # from Friday evening, until Monday morning
            ["2013-07-05T06:00", "2013-07-08T06:00"],
            None,
        ),
    ],
)
def test_windows_of_one_schedule_are_put_together_or_divided_for_another(
    tmp_path, airflow_db, wanted, own, loaded, runs, needed
):
    mapper = mapper_between(tmp_path, wanted, own)
    (key,) = keys(*loaded)
    assert mapper.to_downstream(key) == keys(*runs)
    if needed:
        assert mapper.to_upstream(keys(*runs)[0]) == frozenset(keys(*needed))


def test_sources_with_one_schedule_need_the_same_window(tmp_path):
    same = mapper_between(tmp_path, "0 0 * * *", "0 0 * * *")
    assert not same.is_rollup


def test_a_run_by_assets_has_the_window_that_they_have_loaded(tmp_path):
    config = config_of(tmp_path, schedule={"assets": ["fleet"]})
    loaded = Window(moment("2013-01-01T08:00:00Z"), moment("2013-01-02T08:00:00Z"))
    key = key_of_window(loaded)
    assert key == "2013-01-01T08:00:00Z/2013-01-02T08:00:00Z"
    assert run_of({**context_of(), "partition_key": key}, config).window == loaded
    assert [window_of_key(text) for text in (None, "", "2013-01-01", "us/de")] == [None] * 4
    # what the form says comes first
    day = {"window_start": "2013-02-01", "window_end": "2013-02-02"}
    assert run_of({**context_of(**day), "partition_key": key}, config).window.start == moment("2013-02-01T00:00:00Z")


LOADS = """
name: tiny
start_date: 2013-01-01
extract: {type: files, connection: inbox}
tables: {input: {path: input.csv, primary_key: [id], write_disposition: merge}}
"""


def test_a_load_tells_its_window_to_what_waits_for_it_and_its_figures_to_all(tiny, airflow_db):
    outcome = tiny(LOADS).run("tiny", window_start="2013-01-01", window_end="2013-01-02")
    with closing(sqlite3.connect(airflow_db)) as metadata:
        asked = (
            "select a.uri, e.partition_key from asset_event e join asset a on a.id = e.asset_id where source_run_id = ?"
        )
        events = metadata.execute(asked, [outcome.run_id]).fetchall()
    assert sorted(events, key=str) == [
        ("elt://tiny/input", None),
        ("elt://tiny/input/windows", "2013-01-01T00:00:00Z/2013-01-02T00:00:00Z"),
    ]
