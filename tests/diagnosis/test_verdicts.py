"""The decision tree, a branch at a time: facts with one cause planted, and the verdict that names it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from facts_support import DAY, NOW, a_dag, a_load, a_run, a_task, failing, healthy, loads_until

from elt_factory.config.errors import Position, Problem
from elt_factory.core.window import Window
from elt_factory.diagnosis.anomalies import anomalies
from elt_factory.diagnosis.facts import CheckFact, DriftFact, Facts, Reader, RejectFact, WarehouseProblem
from elt_factory.diagnosis.states import health, overview, worst_first
from elt_factory.diagnosis.verdict import STATES
from elt_factory.diagnosis.verdicts import RULES, diagnose

EXTRACT, LOAD = "tables.orders.extract", "tables.orders.load"
MINUTE = timedelta(minutes=1)


def warehouse(kind: str, message: str) -> Facts:
    return replace(healthy(), loads=(), last=None, warehouse=WarehouseProblem((kind,), message))


def with_task(task_id: str, state: str, **changes: object) -> Facts:
    """The newest run is under way, and has such a task."""
    task = a_task(task_id, state, NOW - 9 * 60 * MINUTE, **changes)
    facts = replace(healthy(), airflow=a_dag(a_run(NOW, task, state="running")))
    return replace(facts, loads=facts.loads[:-1], last=facts.loads[-2])


def read_at(moment: object, window: Window | None) -> Facts:
    """The transform ran at a moment, for a window."""
    reader = Reader("departures", False, False, True, moment, moment, window)
    return replace(healthy(), readers=(reader,))


def without_rows(loads: int) -> Facts:
    facts = healthy()
    kept = list(facts.loads[:-loads])
    empty = [a_load(load.window.end, rows_read=0, rows_loaded=0, rows=0) for load in facts.loads[-loads:]]
    return replace(facts, loads=[*kept, *empty], last=empty[-1], readers=())


def source_behind() -> Facts:
    """Three loads that brought rows, and none that is newer."""
    facts = healthy()
    stuck = facts.loads[-4].business_date
    late = [replace(load, business_date=stuck) for load in facts.loads[-3:]]
    return replace(facts, loads=[*facts.loads[:-3], *late], business_date=stuck)


def with_gap() -> Facts:
    facts = healthy()
    return replace(facts, loads=[*facts.loads[:-5], *facts.loads[-3:]])


def missed(times: int) -> Facts:
    runs = [replace(a_run(NOW - DAY * back), ended_at=NOW - DAY * back - 6 * 60 * MINUTE) for back in range(10)]
    runs = [replace(run, ended_at=(run.queued_at or NOW) + 125 * MINUTE) for run in runs]
    misses = [NOW - DAY * back for back in range(times)]
    return replace(healthy(), airflow=a_dag(*runs), misses=misses)


def schema_changed() -> Facts:
    facts = healthy()
    return replace(facts, drift=[DriftFact("coupon", "added", None, "text", facts.loads[-1].loaded_at)])


def unusual() -> Facts:
    facts = healthy()
    odd = replace(facts.loads[-1], rows_read=90, rows_loaded=90, rows=90)
    return replace(facts, loads=[*facts.loads[:-1], odd], last=odd)


def checked(status: str) -> Facts:
    check = CheckFact("check", "row_count", status, "12 rows, at least 100 are expected", "r", NOW)
    return replace(healthy(), checks=[check])


PROBLEM = Problem(
    Position(Path("dag_configs/orders.yaml"), 7, 3), "unknown-key", 'unknown key "tabels"', "did you mean"
)
OVERDUE = replace(healthy(), loads=healthy().loads[:-1], airflow=a_dag())
RUN_SINCE = replace(OVERDUE, asked_at=NOW - DAY, airflow=a_dag(a_run(NOW)))
REFUSED = replace(healthy(), last=replace(healthy().loads[-1], failed=True, rows_rejected=900))
SEEN = "flights.flights has not loaded the window"
BRANCHES = {
    "broken-yaml": [replace(healthy(), config=None, problems=[PROBLEM], loads=())],
    "cannot-build": [
        replace(healthy(), airflow=replace(a_dag(), dag=replace(a_dag().dag, import_error="Traceback\nKeyError: 'x'")))
    ],
    "warehouse-locked": [
        warehouse("WarehouseBusyError", "another process holds it"),
        failing(LOAD, "WarehouseBusyError", message="in use for 600 s"),
    ],
    "warehouse-suspended": [
        warehouse("StatementError", "000606: No active warehouse selected in the current session"),
        failing(
            LOAD, "StatementError", message="Warehouse 'W' cannot be resumed because resource monitor 'M' has exceeded"
        ),
    ],
    "disk-full": [
        warehouse("DiskFullError", "no space left on /data"),
        failing(EXTRACT, "DiskFullError", message="the disk of /tmp is full"),
    ],
    "warehouse-down": [warehouse("WarehouseDamagedError", "the file is damaged")],
    "credentials": [
        failing(EXTRACT, "AccessDeniedError", message="401 for /v1/orders"),
        warehouse("AccessDeniedError", "refused"),
    ],
    "missing-connection": [failing(EXTRACT, "UnknownConnectionError", message='unknown Airflow connection "shop"')],
    "rate-limit": [
        failing(EXTRACT, "SourceUnavailableError", message="answered 429 Too Many Requests"),
        with_task(EXTRACT, "up_for_reschedule", seen="answered 429: asks to wait for 2h"),
    ],
    "worker-killed": [failing(LOAD, killed=True), failing(LOAD, state="up_for_retry", killed=True)],
    "retry-pending": [failing(EXTRACT, "SourceUnavailableError", message="503", state="up_for_retry")],
    "too-many-rejects": [failing(LOAD, "TooManyRejectsError", message="none of the 12 rows is valid"), REFUSED],
    "contract": [failing(EXTRACT, "ContractError", message="the column coupon is new, and the contract is frozen")],
    "check-failed": [
        failing("quality.orders", "QualityError", message="row_count: 12 rows"),
        failing("checks.orders", "QualityError", message="row_count: 12 rows"),
        checked("failed"),
    ],
    "dbt-failed": [failing("transform.daily.run", "AirflowException", message="dbt command failed")],
    "waited-in-vain": [failing("before_extract.file_x", "AirflowSensorTimeout", message="no file; timed out after 6h")],
    "remote-job": [
        failing("job", "RemoteJobFailedError", message="the job 5 of airbyte has failed: disk full"),
        failing(LOAD, "NotMovedError", message="the job has succeeded, but raw.orders has no new rows"),
    ],
    "source-unavailable": [failing(EXTRACT, "SourceUnavailableError", message="no answer within 30 s")],
    "bad-data": [failing(EXTRACT, "BadRequestError", message="404 for /v1/orders")],
    "task-failed": [failing(LOAD, "AccountingError", message="12 rows are missing"), failing(LOAD)],
    "paused": [replace(healthy(), airflow=a_dag(a_run(NOW), paused=True))],
    "scheduler-down": [
        replace(with_task(EXTRACT, "queued"), airflow=a_dag(a_run(NOW, state="queued"), beat=NOW - 60 * MINUTE))
    ],
    "triggerer-down": [
        replace(
            with_task(EXTRACT, "deferred"),
            airflow=replace(
                a_dag(a_run(NOW, a_task(EXTRACT, "deferred"), state="running")),
                components=replace(a_dag().components, triggerer=None),
            ),
        )
    ],
    "waiting": [with_task("before_transform.source_flights", "up_for_reschedule", seen=SEEN)],
    "no-slot": [with_task(LOAD, "queued", queued_at=NOW - 30 * MINUTE)],
    "running": [with_task(EXTRACT, "running")],
    "rejects": [replace(healthy(), rejects=[RejectFact("l", 3, 'id is not a valid integer: "x"', NOW)])],
    "never-loaded": [replace(healthy(), loads=(), last=None, rows=None, business_date=None, due=NOW + DAY)],
    "overdue": [OVERDUE],
    "source-empty": [without_rows(3), without_rows(1)],
    "source-behind": [source_behind()],
    "window-gap": [with_gap()],
    "loaded-after-transform": [read_at(healthy().loads[-1].loaded_at - 2 * MINUTE, healthy().expected)],
    "transform-not-run": [
        read_at(NOW - 2 * DAY, Window(NOW - 3 * DAY, NOW - 2 * DAY)),
        read_at(None, None),
    ],
    "deadline-too-tight": [missed(5)],
    "schema-changed": [schema_changed()],
    "unusual": [unusual()],
    "check-warned": [checked("warned")],
    "run-since": [RUN_SINCE, replace(RUN_SINCE, loads=(), last=None)],
    "dag-missing": [replace(healthy(), loads=(), last=None, airflow=replace(a_dag(), dag=None))],
}
CASES = [(code, number) for code, planted in BRANCHES.items() for number in range(len(planted))]


@pytest.mark.parametrize(("code", "number"), CASES)
def test_the_verdict_is_the_planted_cause(code, number):
    verdict = diagnose(BRANCHES[code][number])
    assert verdict.code == code, verdict
    assert verdict.sentence
    assert verdict.state in STATES


def test_a_window_is_overdue_where_no_run_of_it_has_succeeded_since_the_warehouse_was_asked():
    failed = replace(a_run(NOW), state="failed", tasks=())
    for facts in (
        replace(RUN_SINCE, asked_at=NOW),
        replace(RUN_SINCE, asked_at=None),
        replace(RUN_SINCE, airflow=a_dag(failed)),
        replace(RUN_SINCE, airflow=a_dag(replace(a_run(NOW), window=None))),
        replace(RUN_SINCE, expected=Window(NOW - DAY, NOW), due=NOW),
    ):
        assert (diagnose(replace(facts, now=NOW + DAY / 24)).code, facts.run_since) == ("overdue", None)
    assert RUN_SINCE.late_by == timedelta()


@pytest.mark.parametrize(("home", "command"), [(".airflow", "elt airflow"), ("elsewhere", "airflow")])
def test_a_command_of_airflow_is_that_of_the_projects_own_where_there_is_one(home, command, tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / home))
    assert diagnose(BRANCHES["paused"][0]).next == f"{command} dags unpause orders"


@pytest.mark.parametrize(("state", "late"), [("success", False), ("failed", True)])
def test_a_transform_without_tables_has_its_window_when_a_run_of_it_ended_well(state, late):
    """The page said that its deadline was missed, although no load of it is to come."""
    ran = replace(healthy(), table="", loads=(), last=None, airflow=a_dag(a_run(NOW, state=state)))
    assert (ran.late_by > timedelta()) is late


def test_every_branch_is_planted_once():
    assert set(BRANCHES) == {rule.code for rule in RULES}


def test_the_guide_has_a_line_for_every_verdict():
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "diagnose.md").read_text(encoding="utf-8")
    assert [rule.code for rule in RULES if f"| `{rule.code}` |" not in guide] == []


def test_a_hundred_healthy_days_have_no_false_verdict():
    days = [NOW + DAY * day for day in range(100)]
    assert [diagnose(healthy(day)).code for day in days] == ["healthy"] * 100


def test_a_verdict_says_what_else_is_true_in_one_line_each():
    verdict = diagnose(replace(failing(EXTRACT, "AccessDeniedError"), rejects=[RejectFact("l", 3, "why", NOW)]))
    assert verdict.code == "credentials"
    assert any("3 rows of orders.orders are rejected" in line for line in verdict.also)


def newest(day: datetime, loads: int = 60, **changes: object) -> list[str]:
    """What is unusual of the load of a day, with so many loads."""
    before = loads_until(day, loads)
    return [
        one.sentence for one in anomalies(replace(healthy(day), loads=[*before[:-1], replace(before[-1], **changes)]))
    ]


def test_what_is_unusual_is_told_from_what_its_weekday_has_and_not_on_short_history():
    few = {"rows": 450, "rows_read": 450, "rows_loaded": 450}
    sunday = NOW + 4 * DAY  # its run loads Saturday, which has 600 rows
    assert sunday.weekday() == 6
    (said,) = newest(NOW, **few)
    assert "450" in said
    assert newest(sunday, **few) == []
    assert newest(NOW, 8, **few) == []
    (slow,) = newest(NOW, loaded_at=NOW - 4 * 60 * MINUTE)
    (rejecting,) = newest(NOW, rows_rejected=200)
    assert slow != rejecting
    assert newest(NOW) == newest(sunday) == []


def test_a_failure_that_a_later_load_has_healed_is_history():
    facts = failing(EXTRACT, "AccessDeniedError")
    whole = healthy()
    later = replace(whole.loads[-1], started_at=NOW - MINUTE, loaded_at=NOW)
    assert diagnose(replace(facts, loads=[*whole.loads[:-1], later], readers=())).code == "healthy"


def test_a_reload_that_brings_nothing_moves_no_business_date():
    """The table is asked, and not the loads: a window that is loaded again may say that it brought newer rows."""
    facts = source_behind()
    again = replace(facts.loads[-1], business_date=NOW, loaded_at=NOW, started_at=NOW - MINUTE)
    verdict = diagnose(replace(facts, loads=[*facts.loads[:-1], again]))
    assert verdict.code == "source-behind"


def test_a_table_that_waits_for_its_first_deadline_is_not_late():
    facts = replace(healthy(), loads=healthy().loads[:-1], due=NOW + MINUTE, airflow=a_dag())
    assert diagnose(facts).state == "fresh"


def test_states_are_the_verdicts_and_the_worst_comes_first():
    found = overview([healthy(), failing(EXTRACT, "AccessDeniedError"), OVERDUE])
    assert [one.state for one in found] == ["fresh", "failing", "late"]
    assert [one.state for one in worst_first(found)] == ["failing", "late", "fresh"]
    assert found[2].late_seconds == 7 * 3600
    assert found[0].lag_seconds == pytest.approx(600, abs=60)
    assert all(one.sentence == one.verdict.sentence for one in found)


def test_health_is_one_figure_for_all_tables():
    assert health(overview([healthy()]))["status"] == "ok"
    assert health(overview([healthy(), OVERDUE]))["status"] == "warning"
    found = health(overview([healthy(), OVERDUE, failing(EXTRACT, "AccessDeniedError")]))
    assert (found["status"], found["tables"], found["states"]["failing"]) == ("error", 3, 1)


def test_of_a_warehouse_that_cannot_be_read_nothing_is_said_of_what_is_loaded():
    found = diagnose(warehouse("WarehouseDamagedError", "the file is damaged"))
    assert (found.code, found.also) == ("warehouse-down", ())
