"""Messages to people: sent, without secrets, and never at the cost of the task."""

import logging
from types import SimpleNamespace

import pytest
from dag_support import SECRET, config_of

from elt_factory.alerts.kind import Message
from elt_factory.core.failures import SourceUnavailableError
from elt_factory.dag.alerts import on_failure, schema_changed, send
from elt_factory.dag.deadlines import record_miss


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


def failed_context(cause: Exception) -> dict:
    return {"ti": SimpleNamespace(task_id="tables.input.extract"), "run_id": "r1", "exception": cause}


def test_a_failure_is_told_with_its_task_run_and_cause(webhook, tmp_path):
    tell = on_failure(config_of(tmp_path, alerts={"to": ["slack"]}))
    tell(failed_context(SourceUnavailableError("tiny.input: GET http://api: 503")))
    text = "tiny: task tables.input.extract failed in run r1: tiny.input: GET http://api: 503"
    assert webhook.messages == [(f"/{SECRET}", text)]


def test_every_task_of_a_dag_tells(tmp_path):
    from elt_factory.dag.factory import build_dag
    from elt_factory.dag.task_notes import keep_failure

    loud = build_dag(config_of(tmp_path, alerts={"to": ["slack"]}), {})
    assert {len(task.on_failure_callback) for task in loud.tasks} == {2}
    quiet = build_dag(config_of(tmp_path), {})
    assert {tuple(task.on_failure_callback) for task in quiet.tasks} == {(keep_failure,)}
    assert {tuple(task.on_retry_callback) for task in quiet.tasks} == {(keep_failure,)}


@pytest.mark.parametrize("alerts", [{"to": []}, {"to": ["slack"], "on": ["schema_changed"]}])
def test_nobody_is_told_who_did_not_ask(tmp_path, alerts):
    assert on_failure(config_of(tmp_path, alerts=alerts)) is None


def test_new_columns_are_told(webhook, tmp_path):
    config = config_of(tmp_path, alerts={"to": ["slack"]})
    schema_changed(config, "input", [])
    schema_changed(config, "input", ["column a (text) added", "column b (integer) added"])
    schema_changed(config_of(tmp_path, alerts={"to": ["slack"], "on": ["failure"]}), "input", ["column c"])
    text = "tiny.input: column a (text) added; column b (integer) added"
    assert [message for _, message in webhook.messages] == [text]


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
    connect("pager", conn_type="pagerduty", password=SECRET)
    send(["pager", "slack"], Message("tiny", "failure", "hello"))
    assert (
        'could not send the alert to pager: no notifier for a connection of type "pagerduty"; use http' in logged.text
    )
    assert [text for _, text in webhook.messages] == ["hello"]
