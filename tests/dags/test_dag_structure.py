"""The four DAGs of the project: tasks, order, and what every task carries."""

import json
import os
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from airflow.exceptions import ParamValidationError
from dag_support import config_of

from elt_factory.config.loading import load_config
from elt_factory.core.project import config_folder

NAMES = ("departures", "fleet", "flights", "weather")
TASKS = {
    "fleet": {
        *(f"tables.{table}.{step}" for table in ("planes", "airlines", "airports") for step in ("extract", "load")),
        *(f"transform.stg_{table}.{step}" for table in ("planes", "airlines", "airports") for step in ("run", "test")),
        "checks.planes",
        *(f"quality.{table}" for table in ("planes", "airlines", "airports")),
    },
    "weather": {
        "before_extract.file_weather_files",
        "tables.weather.extract",
        "tables.weather.load",
        "checks.weather",
        "transform.stg_weather.run",
        "transform.stg_weather.test",
        "quality.weather",
    },
    "flights": {
        "before_extract.http_flights_api",
        "tables.flights.extract",
        "tables.flights.load",
        "checks.flights",
        "before_transform.freshness_flights",
        "before_transform.source_fleet",
        "transform.stg_flights.run",
        "transform.stg_flights.test",
        "quality.flights",
    },
    "departures": {
        *(f"before_transform.source_{source}" for source in ("flights", "weather", "fleet")),
        *(
            f"transform.{mart}.{step}"
            for mart in ("delay_by_carrier_hour", "delay_by_weather", "fleet_age")
            for step in ("run", "test")
        ),
    },
}


def serialized(dag) -> str:
    from airflow.serialization.serialized_objects import DagSerialization

    return json.dumps(DagSerialization.serialize_dag(dag))


def as_scheduler_sees(dag):
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(json.loads(serialized(dag)))


def test_every_config_is_a_dag(dags):
    assert sorted(dags) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_has_a_task_for_every_step(dags, name):
    assert set(dags[name].task_dict) == TASKS[name]


@pytest.mark.parametrize(
    ("dag_id", "task_id", "upstream"),
    [
        ("flights", "before_extract.http_flights_api", set()),
        ("flights", "tables.flights.extract", {"before_extract.http_flights_api"}),
        ("flights", "tables.flights.load", {"tables.flights.extract"}),
        # an error there leaves the last good marts as they are
        ("flights", "checks.flights", {"tables.flights.load"}),
        ("flights", "before_transform.freshness_flights", {"checks.flights"}),
        ("flights", "before_transform.source_fleet", {"checks.flights"}),
        (
            "flights",
            "transform.stg_flights.run",
            {"before_transform.freshness_flights", "before_transform.source_fleet"},
        ),
        ("flights", "transform.stg_flights.test", {"transform.stg_flights.run"}),
        ("flights", "quality.flights", {"transform.stg_flights.test"}),
        ("fleet", "tables.planes.extract", set()),
        ("fleet", "tables.planes.load", {"tables.planes.extract"}),
        ("fleet", "checks.planes", {"tables.planes.load", "tables.airlines.load", "tables.airports.load"}),
        ("fleet", "transform.stg_planes.run", {"checks.planes"}),
        ("departures", "before_transform.source_fleet", set()),
        (
            "departures",
            "transform.fleet_age.run",
            {f"before_transform.source_{source}" for source in ("flights", "weather", "fleet")},
        ),
    ],
)
def test_each_stage_waits_for_all_of_the_one_before(dags, dag_id, task_id, upstream):
    assert dags[dag_id].get_task(task_id).upstream_task_ids == upstream


@pytest.mark.parametrize("name", NAMES)
def test_what_opens_the_warehouse_takes_its_slot_and_nothing_else_does(dags, name):
    pools = {task.task_id: task.pool for task in dags[name].tasks}
    outside = {task for task in pools if task.endswith(".extract") or task.startswith("before_extract.")}
    assert {task for task, pool in pools.items() if pool == "default_pool"} == outside
    assert {pool for task, pool in pools.items() if task not in outside} == {"warehouse"}


@pytest.mark.parametrize("name", NAMES)
def test_a_skipped_table_does_not_skip_what_comes_after_it(dags, name):
    first_after_tables = ("before_transform.", "quality.")
    for task in dags[name].tasks:
        after = task.task_id.startswith(first_after_tables)
        after |= task.task_id.startswith("transform.") and task.task_id.endswith(".run")
        if after:
            assert task.trigger_rule == "none_failed", task.task_id
        elif task.task_id.startswith("tables."):
            assert task.trigger_rule == "all_success", task.task_id


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_retried_with_growing_waits_by_the_policy(dags, name):
    for task in dags[name].tasks:
        assert task.retries == 3, task.task_id
        assert task.retry_delay == timedelta(seconds=10)
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == timedelta(minutes=5)
        (rule,) = task.retry_policy.rules
        assert (rule.action.value, rule.exception) == ("fail", "elt_factory.core.failures.PermanentError")


def test_owner_tags_and_no_run_for_the_past(dags):
    for dag in dags.values():
        assert {task.owner for task in dag.tasks} == {"data-platform"}
        assert dag.tags == {"elt"}
        assert not dag.catchup


def test_runs_that_begin_at_the_cursor_of_the_one_before_go_one_at_a_time(tmp_path):
    from elt_factory.dag.factory import build_dag

    table = {"primary_key": ["id"], "write_disposition": "merge", "incremental": {"cursor": "id", "initial": 0}}
    sql = config_of(tmp_path, extract={"type": "sql", "connection": "db"}, tables={"input": table})
    assert build_dag(sql, {}).max_active_runs == 1


def test_tags_of_the_config_are_added(tmp_path):
    from elt_factory.dag.factory import build_dag

    assert build_dag(config_of(tmp_path, tags=["travel"]), {}).tags == {"elt", "travel"}


def test_a_load_updates_the_asset_of_its_table_and_nothing_else_does(dags):
    outlets = {
        task.task_id: [(asset.name, asset.uri) for asset in task.outlets]
        for task in dags["fleet"].tasks
        if task.outlets and not task.task_id.startswith("transform.")
    }
    assert outlets == {
        f"tables.{table}.load": [
            (f"fleet.{table}", f"elt://fleet/{table}"),
            (f"fleet.{table} by window", f"elt://fleet/{table}/windows"),
        ]
        for table in ("planes", "airlines", "airports")
    }


def test_the_deadline_of_the_config_is_the_dags(dags):
    from elt_factory.dag.deadline_references import TimeOfDayDeadline

    (flights,), (weather,) = dags["flights"].deadline, dags["weather"].deadline
    assert flights.reference == TimeOfDayDeadline(by="06:00:00", zone="America/New_York")
    assert flights.interval == timedelta()
    assert weather.reference.reference_name == "DagRunQueuedAtDeadline"
    assert weather.interval == timedelta(hours=2)


def test_a_config_without_a_deadline_has_none(tmp_path):
    from elt_factory.dag.factory import build_dag

    assert not build_dag(config_of(tmp_path), {}).deadline


def test_the_document_says_what_it_is_when_it_runs_and_its_tables(dags):
    text = dags["flights"].doc_md
    assert "Departures from New York's three airports" in text
    assert "- **schedule** `0 0 * * 2` America/New_York" in text
    assert "- **deadline** 06:00 America/New_York" in text
    assert "| flights | One scheduled departure | flight_id | merge | time_hour |" in text


HASHED = "personal data: stored as a SHA-256 hash"


def test_the_document_has_the_whole_specification_and_the_data_dictionary(dags):
    text = dags["flights"].doc_md
    for line in (
        "- **owner** data-platform",
        "- **covers** from 2013-01-01 to 2013-01-07",
        "- **source** rest_api behind the connection `flights_api`",
        "- **sensors before extract** flights_api/health responds",
        "- **sensors before transform** flights is fresh, business date within 26h; fleet has loaded the window",
        "- **transforms** dbt `tag:flights`",
        "- **lineage** `flights_api` → `flights.flights` → dbt `tag:flights`",
        "- **checks** flights: row count within 20% of trailing 7 runs (warn)",
        "- **alerts** Airflow's UI only",
        "| flight_id | inferred | never | - | key | - |",
        f"| tail_number | text | nullable | The plane; joins fleet.planes | {HASHED} | - |",
        "| distance | integer | nullable | - | - | between [0, 6000] |",
    ):
        assert line in text.splitlines()
    assert "- **source** other pipelines" in dags["departures"].doc_md


def test_a_description_cannot_break_the_documents_table(tmp_path):
    from elt_factory.dag.documentation import dag_document

    table = {"path": "input.csv", "description": "a | b\nc", "write_disposition": "append"}
    rows = dag_document(config_of(tmp_path, tables={"input": table})).splitlines()
    assert r"| input | a \| b c | - | append | - |" in rows


def test_the_form_offers_tables_full_refresh_and_a_window(dags):
    form = dags["fleet"].params
    assert form["tables"] == ["planes", "airlines", "airports"]
    assert form["full_refresh"] is False
    assert form["window_start"] is form["window_end"] is None
    assert form.get_param("tables").schema["examples"] == ["planes", "airlines", "airports"]
    # a picker of Airflow's would send a time in UTC, where the field says New York
    assert "format" not in form.get_param("window_start").schema
    assert form.get_param("window_start").schema["title"] == "Window start (America/New_York)"
    assert set(dags["departures"].params) == {"window_start", "window_end"}


@pytest.mark.parametrize("value", ["2013-01-01", "2013-01-01T00:00:00", "2013-01-01T00:00:00.000Z", None])
def test_the_form_takes_dates_and_moments(dags, value):
    assert dags["fleet"].params.get_param("window_start").resolve(value) == value


def test_a_scheduled_run_covers_a_day_of_the_configs_time_zone(tmp_path):
    from airflow.timetables.base import TimeRestriction
    from pendulum import datetime

    from elt_factory.dag.factory import build_dag

    dag = build_dag(config_of(tmp_path, schedule="0 3 * * *", timezone="America/New_York"), {})
    timetable, zone = as_scheduler_sees(dag).timetable, ZoneInfo("America/New_York")
    after = TimeRestriction(earliest=datetime(2013, 3, 8), latest=None, catchup=True)
    interval, seen = None, []
    # clocks go forward on 10 March
    for _ in range(4):
        interval = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=after).data_interval
        seen.append([moment.astimezone(zone) for moment in (interval.start, interval.end)])
    assert [(start.day, start.hour) for start, _ in seen] == [(8, 3), (9, 3), (10, 3), (11, 3)]
    assert [(end.day, end.hour) for _, end in seen] == [(9, 3), (10, 3), (11, 3), (12, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_run_of_the_demo_is_its_week_and_its_last(dags, name):
    from airflow.timetables.base import DagRunInfo
    from pendulum import datetime, now

    dag = as_scheduler_sees(dags[name])
    week = (datetime(2013, 1, 1, 5), datetime(2013, 1, 8, 5))
    first = dag.next_dagrun_info(last_automated_run_info=None)
    assert (first.data_interval.start, first.data_interval.end) == week
    assert dag.next_dagrun_info(last_automated_run_info=DagRunInfo.interval(*week)) is None
    # and so is one by hand, which Airflow refuses to run after the end of a DAG
    assert (*dag.timetable.infer_manual_data_interval(run_after=now()),) == week
    assert dag.end_date is None


def test_a_config_without_a_schedule_runs_only_by_hand(tmp_path):
    from elt_factory.dag.factory import build_dag

    assert not build_dag(config_of(tmp_path), {}).timetable.can_be_scheduled


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_a_stored_dag(dags, name):
    text = serialized(dags[name])
    secrets = [
        json.loads(value).get("password")
        for variable, value in os.environ.items()
        if variable.startswith("AIRFLOW_CONN_")
    ]
    assert any(secrets)
    assert not [secret for secret in secrets if secret and secret in text]
    assert os.environ["AIRFLOW_HOME"] not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_dag_comes_back_whole(dags, name):
    again = as_scheduler_sees(dags[name])
    assert set(again.task_dict) == set(dags[name].task_dict)
    load = load_config(config_folder() / f"{name}.yaml").config
    assert again.description == load.description


@pytest.mark.parametrize(
    "text",
    ["2013-01-31", "2012-02-29", "2000-02-29", "2013-01-31T06:00", "2013-01-31 06:00:00.5", "2013-01-31T06:00:00Z",
     "2013-01-31T06:00-05:00", "", None],
)  # fmt: skip
def test_the_form_takes_dates_and_times_with_and_without_an_offset(dags, text):
    assert dags["fleet"].params.get_param("window_end").resolve(text) == text


@pytest.mark.parametrize(
    "text",
    ["2013-02-30", "2013-02-29", "1900-02-29", "2013-04-31", "2013-13-01", "0001-01-01", "9999-12-31",
     "2013-01-01T24:00", "2013-01-01T06:60", "01/02/2013", "yesterday"],
)  # fmt: skip
def test_a_date_that_does_not_exist_is_refused_when_a_run_is_triggered(dags, text):
    with pytest.raises(ParamValidationError):
        dags["fleet"].params.get_param("window_start").resolve(text)


def test_a_table_that_is_not_there_is_refused_when_a_run_is_triggered(dags):
    with pytest.raises(ParamValidationError, match="'plane' is not one of"):
        dags["fleet"].params.get_param("tables").resolve(["planes", "plane"])


@pytest.mark.parametrize(("name", "table"), [("fleet", "planes"), ("flights", "flights"), ("weather", "weather")])
def test_an_error_of_a_check_before_the_transform_stops_all_that_comes_after_it(dags, name, table):
    """The last good marts stay: no model runs, and nothing tells other sources that this one is ready."""
    dag = dags[name]
    after = dag.get_task(f"checks.{table}").get_flat_relative_ids(upstream=False)
    models = {task for task in dag.task_dict if task.startswith(("transform.", "quality.", "before_transform."))}
    assert models <= after
    assert {dag.get_task(task).trigger_rule.value for task in models} <= {"none_failed", "all_success"}
