"""The task that looks at a budget before a run reads anything."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from dag_support import config_of, context_of

from elt_factory.checks.run import Result, keep
from elt_factory.core.failures import BudgetError
from elt_factory.dag.alerts import on_failure, on_run_failure
from elt_factory.dag.factory import build_dag
from elt_factory.dag.runtime import warehouse

pytestmark = pytest.mark.duckdb
DAY = ("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z")


@pytest.fixture(autouse=True)
def around(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "duckdb", "host": "{tmp_path}/warehouse.duckdb"}}')
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", str(tmp_path / "landing"))


def spend(seconds: float, source: str = "tiny") -> None:
    with warehouse() as opened:
        keep(opened, source, "r", "transform.a", [Result("dbt_model", "", "a", "error", "passed", None, "", seconds)])


def look(folder, run_id: str = "manual__1", **budget) -> dict:
    config = config_of(folder, budget=budget, alerts={"to": ["slack"]})
    operator = build_dag(config, {}).get_task("budget")
    return operator.execute({**context_of(DAY), "run_id": run_id})


def fail(config, error: BudgetError) -> None:
    """What Airflow calls when a task has failed, and then its run."""
    context = {"ti": SimpleNamespace(task_id="budget"), "run_id": "manual__1"}
    on_failure(config)({**context, "exception": error})
    on_run_failure(config)({**context, "reason": "task_failure"})


def test_it_comes_first_and_only_where_there_is_a_budget(tmp_path):
    dag = build_dag(config_of(tmp_path, budget={"seconds": 60}), {})
    assert dag.get_task("budget").downstream_task_ids == {"tables.input.extract"}
    assert [task.task_id for task in dag.roots] == ["budget"]
    assert "60 seconds a day, then a warning" in dag.doc_md
    assert "budget" not in build_dag(config_of(tmp_path), {}).task_ids


def test_within_the_budget_it_says_what_is_used(webhook, tmp_path):
    spend(20)
    spend(1000, "another")
    told = look(tmp_path, seconds=60, severity="error")
    assert (told["used"], told["limit"], told["unit"], told["per"]) == (20, 60, "seconds", "day")
    assert datetime.fromisoformat(told["since"]) == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert webhook.messages == []


def test_over_the_budget_an_alert_is_sent_once_a_period_and_runs_continue(webhook, tmp_path):
    spend(61)
    for run in ("one", "two"):
        assert look(tmp_path, run, seconds=60)["used"] == 61
    [(_, text)] = webhook.messages
    assert text.startswith("tiny: the budget is used up: 61.00 of 60 seconds of this day used; runs continue")
    assert "elt cost tiny" in text


def test_a_run_that_ends_well_does_not_make_it_news_again(webhook, tmp_path):
    from elt_factory.dag.alerts import recovered

    spend(61)
    look(tmp_path, "one", seconds=60)
    recovered(config_of(tmp_path, alerts={"to": ["slack"]}), "one")
    look(tmp_path, "two", seconds=60)
    assert len(webhook.messages) == 1


def test_over_a_budget_of_severity_error_the_run_fails_with_one_alert(webhook, tmp_path):
    spend(61)
    with pytest.raises(BudgetError, match=r"tiny: the budget is used up: .* hint: raise budget.seconds") as failed:
        look(tmp_path, seconds=60, severity="error")
    fail(config_of(tmp_path, alerts={"to": ["slack"]}), failed.value)
    assert len(webhook.messages) == 1


def test_a_pager_that_hears_of_errors_alone_hears_why_a_budget_ended_a_run(webhook, tmp_path):
    spend(61)
    alerts = {"routes": [{"to": "slack", "severity": "error"}]}
    config = config_of(tmp_path, budget={"seconds": 60, "severity": "error"}, alerts=alerts)
    with pytest.raises(BudgetError) as failed:
        build_dag(config, {}).get_task("budget").execute({**context_of(DAY), "run_id": "manual__1"})
    assert webhook.messages == []
    fail(config, failed.value)
    [(_, text)] = webhook.messages
    assert "the budget is used up: 61.00 of 60 seconds of this day used" in text


def test_a_warehouse_without_credits_ignores_a_budget_of_them(webhook, tmp_path):
    spend(61)
    assert look(tmp_path, credits=0.1, severity="error")["used"] is None
    assert webhook.messages == []
