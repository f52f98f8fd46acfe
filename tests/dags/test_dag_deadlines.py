"""When a run must be done, and what a miss leaves behind."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace

import pytest
from dag_support import config_of, moment
from test_dag_sensors import loaded

from elt_factory.dag.deadline_references import QueuedDeadline, TimeOfDayDeadline, next_time_of_day
from elt_factory.dag.deadlines import deadline_alerts, miss, near, record_miss, record_near
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

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
    assert stored["__class_path"] == "elt_factory.dag.deadline_references.TimeOfDayDeadline"
    assert decode_deadline_reference(stored).inner_ref == reference


def run_of(run_type: str = "scheduled", **changes: object) -> SimpleNamespace:
    """A run of the interval that ended at 8:00 on 9 January, queued a minute later."""
    made = {
        "dag_id": "flights",
        "run_type": run_type,
        "data_interval_start": moment("2013-01-08T08:00:00Z"),
        "data_interval_end": moment("2013-01-09T08:00:00Z"),
        "run_after": moment("2013-01-09T08:00:00Z"),
        "queued_at": moment("2013-01-09T08:01:00Z"),
    }
    return SimpleNamespace(**made | changes)


def due_of(run, reference, before: object = None, lately: list[tuple] = []) -> datetime | None:  # noqa: B006
    """When a run is due, as the scheduler asks: first for the run, then for the one before it, or those lately."""
    answers = iter([run, before])
    session = SimpleNamespace(scalar=lambda _: next(answers), execute=lambda _: SimpleNamespace(all=lambda: lately))
    return reference._evaluate_with(session=session, dag_id="flights", run_id="r1")


SIX = moment("2013-01-09T11:00:00Z")


@pytest.mark.parametrize(
    ("run_type", "runs", "due"),
    [
        ("scheduled", "scheduled", SIX),
        ("asset_triggered", "scheduled", SIX),
        ("manual", "scheduled", None),
        ("backfill", "scheduled", None),
        ("scheduled", "manual,backfill", None),
        ("manual", "scheduled,manual", SIX),
        ("backfill", "backfill", SIX),
    ],
)
def test_only_the_runs_that_are_named_have_a_deadline(run_type, runs, due):
    assert due_of(run_of(run_type), TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK, runs=runs)) == due
    queued = QueuedDeadline(runs=runs)
    assert due_of(run_of(run_type), queued) == (moment("2013-01-09T08:01:00Z") if due else None)


def test_a_run_by_hand_of_an_old_window_is_due_at_the_next_such_time():
    old = run_of("manual", data_interval_end=moment("2012-06-01T08:00:00Z"))
    assert due_of(old, TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK, runs="manual")) == SIX


def test_a_run_without_an_interval_is_due_after_it_may_begin():
    run = run_of(data_interval_end=None, run_after=moment("2013-01-09T08:00:00Z"))
    assert due_of(run, TimeOfDayDeadline(by="06:00:00", zone="UTC")) == moment("2013-01-10T06:00:00Z")


def test_the_first_run_after_an_unpause_is_not_late_and_one_that_was_held_up_is():
    reference = TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK)
    late = run_of(queued_at=moment("2013-01-09T15:00:00Z"))
    assert due_of(late, reference, before=None) is None
    assert due_of(late, reference, before="the run of the interval before it") == SIX
    # what catches up with last week is not late
    assert due_of(run_of(queued_at=moment("2013-01-16T15:00:00Z")), reference, before="a run") is None


@pytest.mark.parametrize(
    ("queued", "share", "due"),
    [
        ("2013-01-09T08:01:00Z", 0.8, "2013-01-09T10:24:00Z"),
        ("2013-01-09T08:01:00Z", 0.5, "2013-01-09T09:30:00Z"),
    ],
)
def test_a_warning_comes_at_a_share_of_the_time_from_the_end_of_the_window(queued, share, due):
    reference = TimeOfDayDeadline(by="06:00:00", zone=NEW_YORK, share=share)
    assert due_of(run_of(queued_at=moment(queued)), reference) == moment(due)


def took(*minutes: int) -> list[tuple]:
    return [(SIX, SIX + timedelta(minutes=count)) for count in minutes]


def test_what_is_usual_is_the_median_of_the_last_runs_and_nothing_before_there_are_five():
    reference = QueuedDeadline(usual=1.5)
    due = due_of(run_of(), reference, lately=took(10, 10, 20, 30, 300))
    assert due == moment("2013-01-09T08:31:00Z")
    assert due_of(run_of(), reference, lately=took(10, 10, 20, 30)) is None


def test_what_airflow_watches_for_is_in_words_and_has_the_runs_the_tables_and_the_share(tmp_path):
    table = {"path": "input", "primary_key": ["id"], "write_disposition": "merge", "deadline": {"by": "05:00"}}
    deadline = {"within": "2h", "warn_at": "80%", "runs": ["scheduled", "manual"]}
    config = config_of(tmp_path, timezone=NEW_YORK, deadline=deadline, tables={"input": table})
    warning, run, of_table = deadline_alerts(config)
    named = "tiny done: 2h after a run is queued"
    assert (warning.name, run.name) == (f"80% of the time for {named}", named)
    assert (warning.interval, run.interval) == (timedelta(minutes=96), timedelta(hours=2))
    assert warning.reference == run.reference == QueuedDeadline(runs="scheduled,manual")
    assert warning.callback.kwargs == {"source": "tiny", "name": named, "share": 0.8}
    assert of_table.name == f"tiny.input loaded: 05:00 {NEW_YORK}"
    assert of_table.reference == TimeOfDayDeadline(by="05:00:00", zone=NEW_YORK)
    assert of_table.callback.kwargs == {"source": "tiny", "table": "input", "to": []}
    (usual,) = deadline_alerts(config_of(tmp_path, deadline={"within_usual": "150%"}))
    assert usual.reference == QueuedDeadline(usual=1.5)


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
        ((source, run_id, deadline, noticed, table),) = warehouse.query("select * from _elt.deadline_misses").rows
    assert (source, run_id, deadline, table) == ("tiny", "scheduled__1", moment("2013-01-09T11:00:00Z"), None)
    assert before <= noticed <= datetime.now(UTC)


def told(run_id: str, due: str = "2013-01-09T11:00:00Z") -> dict[str, dict[str, str]]:
    return {"dag_run": {"dag_run_id": run_id}, "deadline": {"deadline_time": due}}


def test_misses_of_one_moment_are_all_written_down_and_each_of_them_once(opened):
    """Two threads of a triggerer opened the file in the same moment, and one lost its row; nor may two write one."""

    async def at_one_moment() -> None:
        calls = [miss(source, [], told(run)) for source in ("a", "b", "c") for run in ("r1", "r1", "r2")]
        await asyncio.gather(*calls)

    asyncio.run(at_one_moment())
    with opened() as warehouse:
        rows = warehouse.query("select source, run_id from _elt.deadline_misses order by all").rows
    assert rows == [(source, run) for source in ("a", "b", "c") for run in ("r1", "r2")]


def test_a_table_that_its_run_loaded_in_time_misses_nothing_and_one_that_it_did_not_has_its_row(opened):
    loaded(opened, "tiny", "planes", "r1", loaded_at=moment("2013-01-09T10:59:59Z"))
    loaded(opened, "tiny", "airlines", "r1", loaded_at=moment("2013-01-09T11:00:01Z"))
    for table in ("planes", "airlines", "airports"):
        record_near("tiny", f"tiny.{table} loaded: 06:00", 0.8, told("r1"), table)
        record_miss("tiny", [], told("r1"), table)
    with opened() as warehouse:
        missed = warehouse.query("select table_name from _elt.deadline_misses order by all").rows
        warned = warehouse.query(
            "select table_name, task_id, check_name, status, message from _elt.quality_results order by all"
        ).rows
    assert missed == [("airlines",), ("airports",)]
    assert [row[0] for row in warned] == ["airlines", "airports"]
    message = "80% of the time is over at 2013-01-09T11:00:00Z, and it is not done"
    assert warned[0][1:] == ("deadline.airlines", "tiny.airlines loaded: 06:00", "warned", message)


def test_a_warning_of_a_run_is_a_line_and_a_row(opened, caplog):
    asyncio.run(near("tiny", "tiny done: 06:00 UTC", 0.5, told("r1")))
    with opened() as warehouse:
        rows = warehouse.query("select kind, run_id, task_id, severity, status from _elt.quality_results").rows
    assert rows == [("deadline", "r1", "deadline", "warn", "warned")]
    assert "tiny done: 06:00 UTC: run r1: 50% of the time is over" in caplog.text


def test_the_scheduler_still_tells_a_miss_in_the_words_that_are_read(airflow_db):
    """Airflow's own code makes the context of a callback: a change of its words must not go unseen."""
    from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunResponse

    assert DAGRunResponse.model_fields["dag_run_id"].validation_alias == "run_id"


@pytest.mark.duckdb
def test_threads_of_one_process_open_the_file_while_others_let_go_of_it(tmp_path):
    def open_often(_: int) -> int:
        for _ in range(20):
            with DuckDBWarehouse(tmp_path / "w.duckdb", log=lambda _: None) as warehouse:
                warehouse.query("select 1")
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(open_often, range(8))) == 8
