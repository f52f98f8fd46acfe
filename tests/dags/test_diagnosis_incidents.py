"""Incidents planted by real runs on one line, each with its verdict: nothing here is a made-up fact.

| branch of the decision tree | planted here by a run of | where else |
| --- | --- | --- |
| fresh, business date current, not transformed since | `unseen`, `mart_unseen` | |
| fresh, business date old: the source system is behind | `behind` | |
| loaded after the transform ran | `early`, `mart_early` | |
| loaded-at stale: the failing task, its error, its log | `login`, `lost`, `down`, `unknown`, `absent` | |
| loaded-at stale: nothing failed | `old`, `never`, `gap` | |
| rejects | `rejecting`, `refused` | |
| drift | `grown`, `frozen` | |
| a check | `few`, `warned`, `mart_broken` | |
| waiting, and for whom | | test_waiting_more_live.py: a whole Airflow, as `dag.test()` has no state for what waits |
| rate limit | `limited` | |
| the warehouse is locked, or a disk full | another process, `full` | |
| the warehouse is suspended | | test_verdicts.py: Snowflake's own message, as there is none here |
| deadline too tight | `tight` | |
| paused | `stopped` | |
| broken YAML | `broken` | |
| a task, worker, scheduler or triggerer was killed | | test_recorded_airflow.py: from a live Airflow |
| nothing is wrong | `good` | test_verdicts.py: a hundred healthy days |
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import randbytes

import pytest
from incidents_support import CONFIGS, ENDED, NOW, lay, refusing_api, rows_until, window

from elt_factory.core.connection import Connection
from elt_factory.dag.deadlines import record_miss
from elt_factory.diagnosis.gather import Around, gather
from elt_factory.diagnosis.verdict import Verdict
from elt_factory.diagnosis.verdicts import diagnose
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.warehouse.opening import open_warehouse

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
PLANTED = {
    "broken": "broken-yaml",
    "login.rows": "credentials",
    "lost.rows": "bad-data",
    "limited.rows": "rate-limit",
    "down.rows": "source-unavailable",
    "unknown.rows": "missing-connection",
    "absent.rows": "source-unavailable",
    "refused.rows": "too-many-rejects",
    "rejecting.rows": "rejects",
    "frozen.rows": "contract",
    "grown.rows": "schema-changed",
    "few.rows": "check-failed",
    "warned.rows": "check-warned",
    "gap.rows": "window-gap",
    "old.rows": "overdue",
    "never.rows": "never-loaded",
    "behind.rows": "source-behind",
    "tight.rows": "deadline-too-tight",
    "stopped.rows": "paused",
    "full.rows": "disk-full",
    "good.rows": "healthy",
    "early.rows": "loaded-after-transform",
    "mart_early": "loaded-after-transform",
    "unseen.rows": "transform-not-run",
    "mart_unseen": "transform-not-run",
    "mart_broken": "dbt-failed",
}
PARTS = ("SchedulerJob", "TriggererJob")
TWICE = "id,at,coupon\n9,2024-01-01 00:00:00,x\n"


@pytest.fixture(scope="module")
def project(lines, tmp_path_factory) -> Iterator[tuple]:
    folder = tmp_path_factory.mktemp("incidents")
    lay(folder / "project")
    with refusing_api() as api, pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "PATIENCE", Patience(tries=2, first_wait=0.01))
        line = lines(folder / "data", ELT_PROJECT=str(folder / "project"))
        line.connect("inbox", conn_type="fs", extra={"path": str(folder / "project" / "inbox")})
        line.connect("shop", conn_type="http", host=api)
        line.connect("nowhere", conn_type="http", host="http://127.0.0.1:1")
        yield line, folder / "project"


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("small")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk can be made by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def verdicts(project, small_disk) -> dict[str, Verdict]:
    line, root = project
    inbox = root / "inbox"
    for name in ("login", "lost", "limited", "down", "unknown", "absent", "refused", "rejecting", "few", "warned"):
        line.run(name, **window())
    for name in ("behind", "good", "early", "unseen", "stopped"):
        assert line.run(name, **window()).state == "success", name
    for back in (3, 0):
        line.run("gap", **window(back))
    line.run("old", **window(2))
    tight = [line.run("tight", **window()).run_id for _ in range(3)]
    # what changes in the source
    for name in ("frozen", "grown"):
        line.run(name, **window(1))
        (inbox / f"{name}.csv").write_text(TWICE)
        line.run(name, **window())
    # dbt has run, and then the table is loaded
    line.run("mart_early", **window())
    (inbox / "early.csv").write_text(rows_until(ENDED) + f"77,{ENDED:%Y-%m-%d %H:%M:%S}\n")
    line.run("early", **window())
    line.run("mart_broken", **window())
    (inbox / "full.csv").write_text(
        "id,at,v\n" + "\n".join(f"{n},2024-01-01,{randbytes(16).hex()}" for n in range(20_000))
    )
    landing = line.environment["AIRFLOW_VAR_ELT_LANDING"]
    line.environment["AIRFLOW_VAR_ELT_LANDING"] = str(small_disk)
    line.run("full", **window())
    line.environment["AIRFLOW_VAR_ELT_LANDING"] = landing
    with line.using():
        _miss(tight)
    _switch_on("stopped")
    try:
        with line.using():
            later = NOW + timedelta(hours=1)
            return {facts.label: diagnose(facts) for facts in gather(around(line, root), now=later)}
    finally:
        _forget_the_signs_of_life()


def opened(line, patience: float = 30.0):
    connection = Connection("warehouse", "duckdb", host=str(line.warehouse_file))
    return partial(open_warehouse, connection, line.folder, print, patience)


def around(line, root: Path, patience: float = 30.0) -> Around:
    from airflow.utils.session import create_session

    return Around(root / "dag_configs", root / "include" / "dbt", opened(line, patience), create_session)


def _miss(runs: list[str]) -> None:
    """What the triggerer does when a run is not done at its deadline: there is none under `dag.test()`."""
    for number, run_id in enumerate(runs):
        due = (NOW - timedelta(days=number)).isoformat()
        record_miss("tight", [], {"dag_run": {"dag_run_id": run_id}, "deadline": {"deadline_time": due}})


def _switch_on(but: str) -> None:
    """Unpause the DAGs, as people do in the UI, and let scheduler and triggerer give a sign of life."""
    from airflow.jobs.job import Job
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id.in_([*CONFIGS])).values(is_paused=False))
        session.execute(update(DagModel).where(DagModel.dag_id == but).values(is_paused=True))
        for part in PARTS:
            job = Job()
            job.job_type, job.state, job.latest_heartbeat = part, "running", NOW + timedelta(hours=1)
            session.add(job)


def _forget_the_signs_of_life() -> None:
    """Leave other tests an Airflow without a scheduler and a triggerer, as they found it."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Job).where(Job.job_type.in_(PARTS)))


@pytest.mark.parametrize("label", PLANTED)
def test_the_verdict_is_the_planted_cause(verdicts, label):
    assert verdicts[label].code == PLANTED[label], verdicts[label]


def test_no_table_is_left_out(verdicts):
    assert set(verdicts) == set(PLANTED)


def test_the_dashboard_is_blank_yet_the_load_succeeded(verdicts):
    """dbt ran before the load, dbt has not run since it, or the source itself is behind: each with its next step."""
    early, unseen, behind = (verdicts[label] for label in ("early.rows", "unseen.rows", "behind.rows"))
    assert (early.whose, unseen.whose, behind.whose) == ("config", "transform", "source system")
    assert "after the transform of mart_early ran" in early.sentence
    assert "source: {name: early}" in early.next
    assert unseen.next.startswith('airflow dags trigger mart_unseen --conf \'{"window_start": ')
    assert f"newest business date is {ENDED - timedelta(days=5, hours=1):%Y-%m-%d %H:%M} UTC" in behind.sentence
    assert "the config allows 1 d 2 h" in behind.evidence


def test_a_failure_has_its_error_in_a_line_and_its_log(verdicts):
    login = verdicts["login.rows"]
    assert "tables.rows.extract failed" in login.sentence
    assert "401" in login.sentence
    assert any(line.startswith("log: /dags/login/runs/manual__") for line in login.evidence)


def test_a_warehouse_that_another_process_holds_is_the_verdict(project, verdicts):
    line, root = project
    with held(line.warehouse_file), line.using():
        found = gather(around(line, root, patience=0.2), ["good"], NOW + timedelta(hours=1))
    assert [diagnose(facts).code for facts in found] == ["warehouse-locked"]


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Another process that has the file of the warehouse."""
    hold = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()
