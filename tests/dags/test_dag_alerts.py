"""Messages to people: sent, without secrets, and never at the cost of the task."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from dag_support import SECRET, config_of

from elt_factory.alerts.kind import Message
from elt_factory.config.models.alerts import Route
from elt_factory.core.failures import QualityError, SourceUnavailableError
from elt_factory.dag import alerts as dag_alerts
from elt_factory.dag.alerts import checked, loaded, on_failure, on_retry, recovered, schema_changed, send
from elt_factory.dag.deadlines import record_miss, record_near
from elt_factory.dag.impact import downstream


@pytest.fixture(autouse=True)
def landing(tmp_path, monkeypatch):
    """Where it is kept what was reported."""
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path / "landing"))


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


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


def test_a_killed_worker_is_the_cause(webhook, tmp_path):
    context = failed_context(ValueError("x")) | {"exception": None}
    on_failure(config_of(tmp_path, alerts={"to": ["slack"]}))(context)
    [(_, text)] = webhook.messages
    assert "failed in run r1: its worker ended without a word: it was killed, ran out of memory" in text


def test_a_deadline_is_reported_near_missed_once_and_when_it_is_met_again(webhook, tmp_path, opened):
    context = {"dag_run": {"dag_run_id": "r1"}, "deadline": {"deadline_time": "2013-01-09T11:00:00Z"}}
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


def test_a_load_tells_of_its_rejects_and_of_a_source_that_sends_nothing(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"], "on": ["rejects", "source_silent"]})
    for _ in range(2):
        loaded(config, "input", {"rows_rejected": 3, "rows_read": 9, "total_rows": 6}, "r1")
        loaded(config, "input", {"rows_rejected": 0, "rows_read": 0, "total_rows": 6}, "r1")
    loaded(config, "input", {"rows_rejected": 0, "rows_read": 0, "total_rows": 0}, "r2")
    said = [text.splitlines()[:2] for _, text in webhook.messages]
    assert said == [
        ["tiny.input: 3 of 9 rows were rejected in run r1", "Next: elt rejects show tiny"],
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
    from elt_factory.dag.factory import build_dag
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
    assert [text for _, text in webhook.messages] == ["tiny missed its deadline 2013-01-09T11:00:00Z in run r1"]


def test_the_address_is_never_in_the_log(webhook, logged):
    send(["slack"], Message("tiny", "failure", "hello"))
    assert webhook.messages
    assert SECRET not in logged.text


@pytest.mark.parametrize("status", [301, 403, 404, 500])
def test_a_webhook_that_refuses_costs_a_line_in_the_log(webhook, logged, status):
    webhook.status = status
    send(["slack"], Message("tiny", "failure", "hello"))
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
    send(["slack"], Message("tiny", "failure", "hello"))
    assert "could not send the alert to slack: " in logged.text
    assert SECRET not in logged.text


def test_a_connection_that_is_not_there_is_named_and_the_others_are_told(webhook, logged):
    send(["nowhere", "slack"], Message("tiny", "failure", "hello"))
    assert 'unknown Airflow connection "nowhere"' in logged.text
    assert [text for _, text in webhook.messages] == ["hello"]


def test_secrets_that_airflow_knows_of_are_masked_in_what_is_told(webhook):
    from airflow.sdk.log import mask_secret

    mask_secret("the-database-password")
    send(["slack"], Message("tiny", "failure", "cannot connect with the-database-password"))
    ((_, text),) = webhook.messages
    assert text == "cannot connect with ***"


def test_a_connection_of_a_type_that_no_notifier_takes_costs_a_line_that_says_which_do(webhook, logged, connect):
    connect("pager", conn_type="pager", password=SECRET)
    send(["pager", "slack"], Message("tiny", "failure", "hello"))
    assert 'could not send the alert to pager: no notifier for a connection of type "pager"; use http' in logged.text
    assert [text for _, text in webhook.messages] == ["hello"]
