"""Messages to people: sent, without secrets, and never at the cost of the task."""

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from dag_support import SECRET, config_of, context_of

from elt_factory.alerts.kind import Message
from elt_factory.config.models.alerts import Route
from elt_factory.core.failures import ModelTestError, QualityError, SourceUnavailableError
from elt_factory.dag import alerts as dag_alerts
from elt_factory.dag.alerts import (
    checked,
    loaded,
    on_failure,
    on_retry,
    on_run_failure,
    on_success,
    recovered,
    schema_changed,
    send,
)
from elt_factory.dag.deadlines import deadline_alerts, record_miss, record_near
from elt_factory.dag.factory import build_dag
from elt_factory.dag.impact import downstream


@pytest.fixture(autouse=True)
def landing(tmp_path, monkeypatch):
    """Where it is kept what was reported."""
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path / "landing"))


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


JUNE = ("2013-06-07T00:00:00Z", "2013-06-08T00:00:00Z")
DEADLINE = {"deadline": {"deadline_time": "2013-06-08T06:00:00Z"}}


def to(*names: str) -> list[Route]:
    return [Route(to=name) for name in names]


def failed_context(cause: Exception) -> dict:
    return {"ti": SimpleNamespace(task_id="tables.input.extract"), "run_id": "r1", "exception": cause}


def test_a_failure_is_told_with_its_task_run_cause_next_step_and_link(webhook, tmp_path, monkeypatch):
    monkeypatch.setattr(dag_alerts, "_link", lambda _, run: f"http://airflow/runs/{run}")
    tell = on_failure(config_of(tmp_path, alerts={"to": ["slack"]}))
    tell(failed_context(SourceUnavailableError("tiny.input: GET http://api: 503")))
    text = "tiny: task tables.input.extract failed in run r1: tiny.input: GET http://api: 503"
    [(path, said)] = webhook.messages
    assert path == f"/{SECRET}"
    assert said.splitlines() == [text, "Next: elt diagnose tiny", "http://airflow/runs/r1"]


def test_one_cause_is_one_alert_over_tasks_and_retries_and_its_end_is_told_once(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["failure", "retry"]})
    for table, seconds in (("input", 5), ("input", 7), ("other", 9)):
        context = failed_context(SourceUnavailableError(f"tiny.input: no answer within {seconds} s"))
        context["ti"].task_id = f"tables.{table}.extract" if table == "input" else "tables.input.load"
        on_retry(config)(context)
        on_failure(config)(context)
    on_failure(config)(failed_context(ValueError("another cause")))
    failures = [text.splitlines()[0] for _, text in webhook.messages]
    assert [("is tried again" in text, "another" in text) for text in failures] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    # the same cause in another run is reported again
    on_failure(config)(failed_context(ValueError("another cause")) | {"run_id": "r2"})
    assert len(webhook.messages) == 4
    webhook.messages.clear()
    for _ in range(2):
        recovered(config, "r3")
    ended = [text for _, text in webhook.messages]
    assert len(ended) == 2
    assert all(text.startswith("tiny has recovered: run r3 ended well. Reported before: tiny: task ") for text in ended)


def test_a_run_of_last_month_or_of_some_tables_does_not_say_that_a_failure_is_over(webhook, tmp_path, opened):
    tables = {name: {"path": f"{name}.csv"} for name in ("input", "other")}
    config = config_of(tmp_path, alerts={"to": ["slack"]}, schedule="0 0 * * *", tables=tables)
    on_failure(config)(context_of(JUNE) | failed_context(ValueError("x")))
    record_miss("tiny", ["slack"], late := {"dag_run": {"dag_run_id": "r1", "data_interval_end": JUNE[1]}, **DEADLINE})
    ended = on_success(config)
    for number, context in enumerate(
        (
            context_of(("2013-05-07T00:00:00Z", "2013-05-08T00:00:00Z")),
            context_of(JUNE, window_start="2013-05-07", window_end="2013-06-07"),
            context_of(JUNE, tables=["other"]),
            context_of(JUNE, dismiss_rejects="tests of the supplier"),
        )
    ):
        ended(context | {"run_id": f"e{number}"})
    assert len(webhook.messages) == 2
    # a try of the run itself, or the next day's
    ended(context_of(JUNE, tables=["input"]) | {"run_id": "r1"})
    assert ["tiny has recovered: run r1 ended well" in text for _, text in webhook.messages[2:]] == [True, True]
    on_failure(config)(context_of(JUNE) | failed_context(ValueError("x")))
    record_miss("tiny", ["slack"], late)
    ended(context_of(("2013-06-08T00:00:00Z", "2013-06-09T00:00:00Z")) | {"run_id": "next"})
    assert ["recovered: run next" in text for _, text in webhook.messages[4:]] == [False, False, True, True]
    # a context without the run, as of one whose last task was removed from the YAML
    on_failure(config)(context_of(JUNE) | failed_context(ValueError("x")))
    ended({"run_id": "r9"})
    assert "recovered: run r9" in webhook.messages[-1][1]


def test_a_failed_run_with_a_window_that_ends_in_the_future_is_over_with_the_next_good_one(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"]}, schedule="0 0 * * *")
    mistyped = context_of(JUNE, window_start="2013-06-07", window_end="2062-06-08")
    for number, failed in enumerate((mistyped, context_of(JUNE))):
        on_failure(config)(failed | failed_context(ValueError("x")))
        on_success(config)(context_of(JUNE) | {"run_id": f"e{number}"})
        later = [(datetime.now(UTC) + timedelta(hours=hours)).isoformat() for hours in (-20, 4)]
        on_success(config)(context_of(later) | {"run_id": f"later{number}"})
    assert ["tiny has recovered: run" in text for _, text in webhook.messages] == [False, True] * 2
    assert [text.split(": ")[1].split(" ended")[0] for _, text in webhook.messages[1::2]] == ["run later0", "run e1"]


def test_a_killed_worker_is_the_cause(webhook, tmp_path):
    context = failed_context(ValueError("x")) | {"exception": None}
    on_failure(config_of(tmp_path, alerts={"to": ["slack"]}))(context)
    [(_, text)] = webhook.messages
    assert "failed in run r1: its worker ended without a word: it was killed, ran out of memory" in text


def test_a_run_says_that_a_task_was_killed_unless_a_task_has_said_why_it_failed(webhook, tmp_path):
    """The child of a worker that is killed runs no callback; the run does."""
    config = config_of(tmp_path, alerts={"to": ["slack"]})
    of_run = {"run_id": "r1", "ti": SimpleNamespace(task_id="tables.input.extract"), "reason": "task_failure"}
    for _ in range(2):
        on_run_failure(config)(of_run)
    on_failure(config)(failed_context(ValueError("x")) | {"run_id": "r2"})
    on_run_failure(config)(of_run | {"run_id": "r2"})
    on_run_failure(config)({"run_id": "r3", "reason": "all_tasks_deadlocked"})
    killed, *others = [text.splitlines()[0] for _, text in webhook.messages]
    assert killed.startswith(
        "tiny: task tables.input.extract failed in run r1: its worker ended without a word: it was"
    )
    assert others == [
        "tiny: task tables.input.extract failed in run r2: x",
        "tiny: run r3 failed: all tasks deadlocked",
    ]
    assert build_dag(config, {}).on_failure_callback is not None
    assert on_run_failure(config_of(tmp_path, alerts={"to": ["slack"], "on": ["retry"]})) is None


def test_a_failed_test_of_dbt_is_a_failed_check_and_to_who_hears_of_failures_alone_a_failure(webhook, tmp_path):
    """No check of ours has reported it."""
    cause = ModelTestError("tiny: dbt tests failed: not_null_a_id: 3 rows")
    for events, event in ((["quality_failed", "failure"], "quality_failed"), (["failure"], "failure")):
        config = config_of(tmp_path, alerts={"to": ["slack"], "on": events})
        run_id = f"run of {event}"
        on_failure(config)(failed_context(cause) | {"run_id": run_id})
        on_run_failure(config)({"run_id": run_id, "reason": "task_failure"})
        [(_, text)] = webhook.messages
        assert "dbt tests failed: not_null_a_id: 3 rows" in text
        assert {one.event for one in dag_alerts._memory("tiny").over(lambda _: False).values()} == {event}
        webhook.messages.clear()


def test_a_route_that_is_closed_has_not_heard_why_a_task_failed(webhook, tmp_path, monkeypatch):
    monkeypatch.setattr(dag_alerts, "open_now", lambda routes, _: [one for one in routes if "failure" in one.on])
    routes = [{"to": "slack", "on": ["quality_failed"]}, {"to": "slack", "on": ["failure"]}]
    config = config_of(tmp_path, alerts={"routes": routes})
    on_failure(config)(failed_context(QualityError("tiny.input: check 0: wrong")))
    on_run_failure(config)({"run_id": "r1", "reason": "task_failure"})
    [(_, text)] = webhook.messages
    assert "failed in run r1: tiny.input: check 0: wrong" in text


def test_a_deadline_is_reported_near_missed_once_and_when_it_is_met_again(webhook, tmp_path, opened):
    context = {"dag_run": {"dag_run_id": "r1"}, "deadline": {"deadline_time": "2013-01-09T11:00:00Z"}}
    # a triggerer that restarts calls again
    for _ in range(2):
        record_near("tiny", "tiny done: 06:00", 0.8, context, to=["slack"])
    for _ in range(2):
        record_miss("tiny", ["slack"], context)
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["deadline_missed", "deadline_met"]})
    recovered(config, "r2")
    assert [text.splitlines()[0] for _, text in webhook.messages] == [
        "tiny done: 06:00: 80% of the time is over at 2013-01-09T11:00:00Z, and it is not done (run r1)",
        missed := "tiny missed its deadline 2013-01-09T11:00:00Z in run r1",
        f"tiny has recovered: run r2 ended well. Reported before: {missed}",
    ]


def test_a_deadline_says_whom_it_concerns_and_keeps_the_hours_of_a_route(webhook, tmp_path, monkeypatch, opened):
    (configs := tmp_path / "configs").mkdir()
    route = {"to": "slack", "on": ["deadline_missed", "deadline_near"], "after": "08:00", "before": "08:00"}
    written = {"deadline": {"within": "1h", "warn_at": "80%"}, "owner": "data", "timezone": "Europe/Oslo"}
    config = config_of(configs, alerts={"routes": [route, {**route, "to": "other", "before": "07:59"}]}, **written)
    monkeypatch.setattr(dag_alerts, "config_folder", lambda: configs)
    monkeypatch.setattr("elt_factory.core.project.config_folder", lambda: configs)
    monkeypatch.setattr(dag_alerts, "_impact", lambda found: (f"Not updated: mart of {found.owner}",))
    monkeypatch.setattr(dag_alerts, "_link", lambda _, run: f"http://airflow/runs/{run}")
    near, missed = deadline_alerts(config)
    heard = json.loads(json.dumps(missed.callback.kwargs["to"]))
    assert heard[0] == {"to": "slack", "after": "08:00:00", "before": "08:00:00", "timezone": "Europe/Oslo"}
    context = {"dag_run": {"dag_run_id": "r1"}, "deadline": {"deadline_time": "2013-01-09T11:00:00Z"}}
    record_near(**{**near.callback.kwargs, "to": heard[:1]}, context=context)
    record_miss("tiny", heard[:1], context)
    said = [text.splitlines()[1:] for _, text in webhook.messages]
    assert said == [["Not updated: mart of data", "Next: elt diagnose tiny", "http://airflow/runs/r1"]] * 2
    at = datetime(2026, 1, 5, 6, 59, tzinfo=UTC)
    assert [Route.model_validate(one).is_open(at, "UTC") for one in heard] == [True, False]


def test_a_source_that_is_silent_has_not_recovered_when_that_run_ends_well(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["source_silent"]})
    loaded(config, "input", {"rows_rejected": 0, "rows_read": 0, "total_rows": 6}, "r1")
    recovered(config, "r1")
    assert len(webhook.messages) == 1
    recovered(config, "r2")
    [_, (_, text)] = webhook.messages
    assert text.startswith("tiny has recovered: run r2 ended well. Reported before: tiny.input: the source sent no")


def test_who_heard_of_a_failure_hears_of_its_end_after_hours_and_no_one_else_does(webhook, tmp_path, monkeypatch):
    day, night = {"to": "slack", "after": "08:00", "before": "18:00"}, {"to": "away", "after": "18:00"}
    config = config_of(tmp_path, alerts={"routes": [day, night]}, timezone="UTC")
    told = []
    monkeypatch.setattr(dag_alerts, "_send", lambda route, message: told.append((route.label, message.recovered)) or "")
    for hour in (17, 19):
        clock = SimpleNamespace(now=lambda zone, hour=hour: datetime(2026, 1, 5, hour, tzinfo=zone))
        monkeypatch.setattr(dag_alerts, "datetime", clock)
        if hour < 18:
            on_failure(config)(failed_context(ValueError("x")))
    recovered(config, "r2")
    assert told == [("slack", False), ("slack", True)]


def test_a_notifier_that_hangs_holds_a_task_for_some_seconds(webhook, monkeypatch, logged):
    ended = threading.Event()
    monkeypatch.setattr(dag_alerts, "SECONDS", 0.2)
    hangs = SimpleNamespace(send=lambda *_: ended.wait(20) and "")
    monkeypatch.setattr(dag_alerts, "NOTIFIERS", {"http": hangs})
    send(to("slack"), Message("tiny", "failure", "hello"))
    ended.set()
    assert "could not send the alert to slack: it has not ended within 0.2 s" in logged.text


def test_a_load_tells_of_its_rejects_and_of_a_source_that_sends_nothing(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["rejects", "source_silent"]})
    for _ in range(2):
        loaded(config, "input", {"rows_rejected": 3, "rows_read": 9, "total_rows": 6}, "r1")
        loaded(config, "input", {"rows_rejected": 0, "rows_read": 0, "total_rows": 6}, "r1")
    loaded(config, "input", {"rows_rejected": 0, "rows_read": 0, "total_rows": 0}, "r2")
    said = [text.splitlines()[:2] for _, text in webhook.messages]
    assert said == [
        ["tiny.input: 3 of 9 rows rejected in run r1", "Next: elt rejects show tiny"],
        ["tiny.input: the source sent no rows in run r1", "Next: elt diagnose tiny"],
    ]


def test_checks_are_one_message_and_their_failed_task_is_no_second_one(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["failure", "quality_failed", "quality_warned"]})
    results = [
        SimpleNamespace(status=status, check=f"check {number}", message="wrong")
        for number, status in enumerate(["failed", "failed", "warned", "passed"])
    ]
    checked(config, "input", results, "r1")
    on_failure(config)(failed_context(QualityError("tiny.input: check 0: wrong")))
    assert [text.splitlines()[0] for _, text in webhook.messages] == [
        "tiny.input: check 2: wrong (run r1)",
        "tiny.input: check 0: wrong; check 1: wrong (run r1)",
    ]


@pytest.mark.parametrize(
    ("route", "heard"),
    [
        ({}, True),
        ({"severity": "error"}, True),
        ({"on": ["retry"]}, False),
        ({"owners": ["sales"]}, False),
        ({"owners": ["airflow"]}, True),
        ({"after": "00:00", "before": "00:00"}, True),
        ({"after": "08:00", "before": "07:59"}, True),
    ],
)
def test_a_route_hears_by_event_severity_owner_and_hours(webhook, tmp_path, route, heard):
    config = config_of(tmp_path, alerts={"routes": [{"to": "slack", **route}]})
    tell = on_failure(config)
    if tell:
        tell(failed_context(ValueError("x")))
    assert bool(webhook.messages) == heard


def test_the_hours_of_a_route_are_those_of_its_clock():
    night = Route(to="pager", after="22:00", before="06:00", timezone="America/New_York")
    moments = {hour: night.is_open(datetime(2026, 1, 5, hour, tzinfo=UTC), "UTC") for hour in (2, 3, 10, 11, 12)}
    assert moments == {2: False, 3: True, 10: True, 11: False, 12: False}


def test_whom_it_concerns_are_the_last_models_and_the_exposures():
    manifest = {
        "sources": {"source.p.flights.flights": {"schema": "flights"}, "source.p.x.x": {"schema": "x"}},
        "child_map": {
            "source.p.flights.flights": ["model.p.stg"],
            "source.p.x.x": ["model.p.other"],
            "model.p.stg": ["model.p.mart", "test.p.t"],
            "model.p.mart": ["exposure.p.dashboard"],
        },
    }
    assert downstream(manifest, "flights") == (["mart"], ["dashboard"])


def test_configs_that_wait_for_a_source_are_named(webhook, tmp_path, monkeypatch):
    monkeypatch.setattr(dag_alerts, "config_folder", lambda: tmp_path)
    config = config_of(tmp_path, alerts={"to": ["slack"]})
    (tmp_path / "marts.yaml").write_text(
        "name: marts\nstart_date: 2013-01-01\ntransform: {dbt: {select: tag:x}}\n"
        "sensors: {before_transform: [{source: {name: tiny}}]}\n"
    )
    on_failure(config)(failed_context(ValueError("x")))
    [(_, text)] = webhook.messages
    assert "Waiting for it: marts" in text.splitlines()


def test_every_task_of_a_dag_tells(tmp_path):
    from elt_factory.dag.task_notes import keep_failure

    loud = build_dag(config_of(tmp_path, alerts={"to": ["slack"]}), {})
    assert {len(task.on_failure_callback) for task in loud.tasks} == {2}
    quiet = build_dag(config_of(tmp_path), {})
    assert {tuple(task.on_failure_callback) for task in quiet.tasks} == {(keep_failure,)}


@pytest.mark.parametrize("alerts", [{"to": []}, {"to": ["slack"], "on": ["schema_changed"]}])
def test_nobody_is_told_who_did_not_ask(tmp_path, alerts):
    assert on_failure(config_of(tmp_path, alerts=alerts)) is None


def test_new_columns_are_told(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"]})
    schema_changed(config, "input", [])
    schema_changed(config, "input", ["column a (text) added", "column b (integer) added"])
    schema_changed(config_of(tmp_path, alerts={"to": ["slack"], "on": ["failure"]}), "input", ["column c"])
    text = "tiny.input: column a (text) added; column b (integer) added"
    assert [message.splitlines()[0] for _, message in webhook.messages] == [text]


def test_a_missed_deadline_is_told_even_where_the_warehouse_cannot_be_opened(webhook, connect):
    connect("warehouse", conn_type="oracle")
    context = {"dag_run": {"dag_run_id": "r1"}, "deadline": {"deadline_time": "2013-01-09T11:00:00Z"}}
    with pytest.raises(Exception, match="oracle"):
        record_miss("tiny", ["slack"], context=context)
    [(_, text)] = webhook.messages
    assert text.splitlines() == ["tiny missed its deadline 2013-01-09T11:00:00Z in run r1", "Next: elt diagnose tiny"]


def test_the_address_is_never_in_the_log(webhook, logged):
    send(to("slack"), Message("tiny", "failure", "hello"))
    assert webhook.messages
    assert SECRET not in logged.text


@pytest.mark.parametrize("status", [301, 403, 404, 500])
def test_a_webhook_that_refuses_costs_a_line_in_the_log(webhook, logged, status):
    webhook.status = status
    send(to("slack"), Message("tiny", "failure", "hello"))
    assert f"could not send the alert to slack: it returned status {status}" in logged.text
    assert SECRET not in logged.text


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "http://127.0.0.1:1", "password": SECRET},
        {"host": "nowhere.invalid", "schema": "http", "password": SECRET},
        # the whole address as one: its path ends up as the scheme
        {"host": "127.0.0.1", "schema": SECRET},
        {"host": "http://[", "password": SECRET},
        {"password": SECRET},
    ],
)
def test_a_webhook_that_cannot_be_reached_never_fails_the_task_nor_tells_its_address(connect, logged, fields):
    connect("slack", conn_type="http", **fields)
    send(to("slack"), Message("tiny", "failure", "hello"))
    assert "could not send the alert to slack: " in logged.text
    assert SECRET not in logged.text


def test_a_connection_that_is_not_there_is_named_and_the_others_are_told(webhook, logged):
    send(to("nowhere", "slack"), Message("tiny", "failure", "hello"))
    assert 'unknown Airflow connection "nowhere"' in logged.text
    assert [text for _, text in webhook.messages] == ["hello"]


def test_secrets_that_airflow_knows_of_are_masked_in_what_is_told(webhook):
    from airflow.sdk.log import mask_secret

    mask_secret("the-database-password")
    send(to("slack"), Message("tiny", "failure", "cannot connect with the-database-password"))
    ((_, text),) = webhook.messages
    assert text == "cannot connect with ***"


def test_a_connection_of_a_type_that_no_notifier_takes_costs_a_line_that_says_which_do(webhook, logged, connect):
    connect("pager", conn_type="pager", password=SECRET)
    send(to("pager", "slack"), Message("tiny", "failure", "hello"))
    assert 'could not send the alert to pager: no notifier for a connection of type "pager"; use http' in logged.text
    assert [text for _, text in webhook.messages] == ["hello"]
