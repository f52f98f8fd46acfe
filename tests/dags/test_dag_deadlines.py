"""When a run must be done, and what a miss leaves behind."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from dag_support import config_of, moment

from elt_factory.dag.deadlines import TimeOfDayDeadline, deadline_alerts, miss, next_time_of_day, record_miss

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2013-01-09T08:00:00Z", "2013-01-09T11:00:00Z"),
        # the moment itself is in time
        ("2013-01-09T11:00:00Z", "2013-01-09T11:00:00Z"),
        ("2013-01-09T11:00:01Z", "2013-01-10T11:00:00Z"),
        # late in the evening of New York it is already tomorrow in UTC
        ("2013-01-10T03:00:00Z", "2013-01-10T11:00:00Z"),
        # clocks go forward on 10 March, back on 3 November
        ("2013-03-09T12:00:00Z", "2013-03-10T10:00:00Z"),
        ("2013-11-02T12:00:00Z", "2013-11-03T11:00:00Z"),
    ],
)
def test_six_in_new_york_is_six_on_their_clocks(after, expected):
    assert next_time_of_day(moment(after), time(6), NEW_YORK) == moment(expected)


def test_a_time_that_the_clocks_skip_is_the_moment_they_jump_to():
    due = next_time_of_day(moment("2013-03-10T06:00:00Z"), time(2, 30), NEW_YORK)
    assert due == moment("2013-03-10T07:30:00Z")


def test_a_time_that_the_clocks_show_twice_is_the_first_of_the_two():
    assert next_time_of_day(moment("2013-11-03T05:00:00Z"), time(1, 30), NEW_YORK) == moment("2013-11-03T05:30:00Z")


@pytest.mark.parametrize("after", ["2013-11-03T05:45:00Z", "2013-11-03T06:15:00Z"])
def test_once_the_first_of_the_two_is_past_it_is_the_next_days(after):
    assert next_time_of_day(moment(after), time(1, 30), NEW_YORK) == moment("2013-11-04T06:30:00Z")


def test_the_reference_comes_back_from_what_airflow_stores_through_the_plugin(airflow_db):
    from airflow.serialization.decoders import decode_deadline_reference
    from airflow.serialization.encoders import encode_deadline_reference

    reference = TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK)
    stored = encode_deadline_reference(reference)
    assert stored["__class_path"] == "elt_factory.dag.deadlines.TimeOfDayDeadline"
    assert decode_deadline_reference(stored).inner_ref == reference


@pytest.mark.parametrize(
    ("run_type", "due"),
    [
        ("scheduled", moment("2013-01-09T11:00:00Z")),
        ("asset_triggered", moment("2013-01-09T11:00:00Z")),
        ("manual", None),
        ("backfill", None),
    ],
)
def test_only_runs_that_somebody_waits_for_have_a_deadline(run_type, due):
    run = SimpleNamespace(
        run_type=run_type, data_interval_end=moment("2013-01-09T08:00:00Z"), run_after=moment("2026-01-01T00:00:00Z")
    )
    session = SimpleNamespace(scalar=lambda _: run)
    reference = TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK)
    assert reference._evaluate_with(session=session, dag_id="flights", run_id="r1") == due


def test_a_run_without_an_interval_is_due_after_it_may_begin():
    run = SimpleNamespace(run_type="scheduled", data_interval_end=None, run_after=moment("2013-01-09T08:00:00Z"))
    reference = TimeOfDayDeadline(by="06:00:00", zone="UTC")
    due = reference._evaluate_with(session=SimpleNamespace(scalar=lambda _: run), dag_id="d", run_id="r")
    assert due == moment("2013-01-10T06:00:00Z")


def test_midnight_is_a_time_like_any_other(tmp_path):
    (alert,) = deadline_alerts(config_of(tmp_path, timezone=NEW_YORK, deadline={"by": "00:00"}))
    assert alert.reference == TimeOfDayDeadline(by="00:00:00", zone=NEW_YORK)


def test_listeners_of_deadlines_alone_are_told(tmp_path):
    alerts = {"to": ["slack"], "on": ["failure"]}
    (quiet,) = deadline_alerts(config_of(tmp_path, deadline={"within": "2h"}, alerts=alerts))
    (loud,) = deadline_alerts(config_of(tmp_path, deadline={"within": "2h"}, alerts={"to": ["slack"]}))
    assert quiet.callback.kwargs == {"source": "tiny", "to": []}
    assert loud.callback.kwargs == {"source": "tiny", "to": ["slack"]}
    assert loud.interval == timedelta(hours=2)


def test_the_callback_can_be_imported_by_the_path_that_airflow_stores(tmp_path):
    from airflow._shared.module_loading import import_string

    (alert,) = deadline_alerts(config_of(tmp_path, deadline={"within": "2h"}))
    assert import_string(alert.callback.path) is miss


@pytest.mark.parametrize("due", ["2013-01-09T11:00:00Z", moment("2013-01-09T11:00:00Z")])
def test_a_miss_is_written_down_as_the_scheduler_tells_it(opened, due):
    context = {
        "dag_run": {"dag_run_id": "scheduled__1", "dag_id": "tiny"},
        "deadline": {"id": "1", "deadline_time": due},
    }
    before = datetime.now(UTC)
    asyncio.run(miss("tiny", [], context=context))
    # a triggerer that restarts calls again
    record_miss("tiny", [], context=context)
    with opened() as warehouse:
        ((source, run_id, deadline, noticed),) = warehouse.query("select * from _elt.deadline_misses").rows
    assert (source, run_id, deadline) == ("tiny", "scheduled__1", moment("2013-01-09T11:00:00Z"))
    assert before <= noticed <= datetime.now(UTC)


def test_the_scheduler_still_tells_a_miss_in_the_words_that_are_read(airflow_db):
    """Airflow's own code makes the context of a callback: a change of its words must not go unseen."""
    from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunResponse

    assert DAGRunResponse.model_fields["dag_run_id"].validation_alias == "run_id"
