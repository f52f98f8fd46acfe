"""A whole Airflow that waits: no worker is held, what is late holds up only what needs it, and lateness is written."""

import json
import os
from functools import partial
from pathlib import Path

import duckdb
import pytest
from bundle_support import write
from dag_support import Webhook

from live_support import Deployment, api_of, deployment_over, done, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

BUNDLE = [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle", "kwargs": {"refresh_interval": 2}}]
WORKERS, WAITING = 2, int(os.environ.get("ELT_WAITING", "8"))
SOURCE = """
name: {name}
schedule: {schedule}
start_date: 2013-01-01
extract: {{type: files, connection: inbox}}
tables: {{t: {{path: input.csv, primary_key: [id], write_disposition: merge}}}}
"""
DAILY, DAY = '"0 0 * * *"', {"window_start": "2013-01-01", "window_end": "2013-01-02"}
NIGHT = {"window_start": "2013-01-01T00:00", "window_end": "2013-01-01T12:00"}
NOON = {"window_start": "2013-01-01T12:00", "window_end": "2013-01-02T00:00"}
LATE = """
deadline: {within: 8s, warn_at: 50%, runs: [manual]}
alerts: {on: [deadline_near, deadline_missed, deadline_met], to: [hook, nowhere]}
sensors: {before_extract: [{file: {path: weather_is_there}, poke_interval: 2s}]}
"""
OF_ITS_TABLE = ", deadline: {within: 6s, runs: [manual]}}"
CROWD = """
deadline: {within: 5s}
sensors:
  before_extract:
"""


@pytest.fixture
def deployment(tmp_path: Path, airflow_template: Path, webhook: Webhook) -> Deployment:
    project = tmp_path / "project"
    configs = {
        "flights": SOURCE.format(name="flights", schedule=DAILY),
        "weather": SOURCE.format(name="weather", schedule=DAILY).replace("merge}", "merge" + OF_ITS_TABLE) + LATE,
        "stations": SOURCE.format(name="stations", schedule="{every: 12h}"),
        "departures": SOURCE.format(name="departures", schedule="{assets: [flights, weather.t, stations]}"),
        "arrivals": SOURCE.format(name="arrivals", schedule="{assets: [flights]}"),
        "crowd": SOURCE.format(name="crowd", schedule="null")
        + CROWD
        + "".join(f"    - {{file: {{path: none_{number}}}}}\n" for number in range(WAITING)),
    }
    for name, text in configs.items():
        write(project / "dag_configs" / f"{name}.yaml", text)
    write(project / "inbox" / "input.csv", "id,amount\n1,2.5\n2,3.5\n")
    made = deployment_over(project, tmp_path / "airflow", airflow_template)
    made.environment["AIRFLOW__CORE__PARALLELISM"] = str(WORKERS)
    hook = {"conn_type": "http", "host": f"http://127.0.0.1:{webhook.server_address[1]}", "password": "x"}
    made.environment["AIRFLOW_CONN_HOOK"] = json.dumps(hook)
    return made


def asked(deployment: Deployment, statement: str) -> list[tuple]:
    """What the warehouse says; nothing while a task has its file."""
    try:
        with duckdb.connect(str(Path(deployment.environment["AIRFLOW_HOME"]) / "warehouse.duckdb")) as warehouse:
            return warehouse.execute(statement).fetchall()
    except duckdb.Error:
        return []


LOADS = "select window_start::varchar, window_end::varchar from _elt.loads where source = 'departures'"
MISSES = "select source, table_name, run_id from _elt.deadline_misses order by source, table_name nulls first"


def states_of(deployment: Deployment, dag: str) -> list[str | None]:
    """The states of the tasks of a DAG."""
    return [row[0] for row in deployment.query(f"select state from task_instance where dag_id = '{dag}'")]


def runs_of(deployment: Deployment, dag: str) -> list[tuple]:
    """The kinds and states of the runs of a DAG."""
    return deployment.query(f"select run_type, state from dag_run where dag_id = '{dag}'")


def unfinished_of(deployment: Deployment) -> list[tuple]:
    """The tasks that have not ended well at their first try, but the crowd's."""
    return deployment.query(
        "select dag_id, run_id, task_id, state, try_number from task_instance"
        " where dag_id != 'crowd' and (state is null or state != 'success' or try_number > 1)"
    )


def check_told_of_weather(webhook: Webhook, url: str) -> None:
    """A run and its table are late, each is one message, and so is that the run ended well at last."""
    told = [text.splitlines() for _, text in webhook.messages]
    for first in (
        "weather done: 8s after a run is queued: 50% of the time is over at ",
        "weather missed its deadline ",
        "weather.t missed its deadline ",
        "weather has recovered: run ",
        "weather has recovered: run ",
    ):
        lines = told.pop(next(place for place, lines in enumerate(told) if lines[0].startswith(first)))
        assert lines[-1].startswith(f"{url}/dags/weather/runs/")
        assert ("Waiting for it: departures" in lines) == ("recovered" not in first)
    assert told == []


def test_what_waits_holds_no_worker_and_what_is_late_holds_up_only_what_needs_it(
    deployment: Deployment, webhook: Webhook
):
    url, server = deployment.serve(BUNDLE)

    states, runs, unfinished = (partial(what, deployment) for what in (states_of, runs_of, unfinished_of))

    with deployment.running(["dag-processor"], server, ["scheduler"], ["triggerer"]):
        until(lambda: len(deployment.alive()) == 6, 240, deployment.import_errors)
        api = api_of(url)
        for name in ("departures", "arrivals", "crowd", "flights", "weather", "stations"):
            done(lambda n=name: api.patch(f"/api/v2/dags/{n}", json={"is_paused": False}))

        def trigger(name: str, conf: dict[str, str]) -> None:
            done(lambda: api.post(f"/api/v2/dags/{name}/dagRuns", json={"logical_date": None, "conf": conf}))

        # those with a schedule run for yesterday too; these are for one day
        for name, conf in (("crowd", {}), ("flights", DAY), ("weather", DAY), ("stations", NIGHT)):
            trigger(name, conf)

        # more sensors wait than there are workers, and all others run to their end meanwhile
        until(lambda: states("crowd").count("deferred") == WAITING, 400, lambda: states("crowd"))
        until(lambda: ("asset_triggered", "success") in runs("arrivals"), 300, unfinished)
        assert states("crowd").count("running") == 0
        (pool,) = [p for p in api.get("/api/v2/pools").json()["pools"] if p["name"] == "default_pool"]
        assert (pool["deferred_slots"] >= WAITING, pool["running_slots"] <= WORKERS) == (True, True)
        assert runs("departures") == []
        assert "deferred" in states("weather")

        until(lambda: len(webhook.messages) >= 3, 120, lambda: webhook.messages)
        (deployment.project / "inbox" / "weather_is_there").touch()
        until(lambda: ("manual", "success") in runs("weather") and ("manual", "success") in runs("stations"), 400)
        # of one source the day comes in two windows
        assert runs("departures") == []
        trigger("stations", NOON)
        until(lambda: ("asset_triggered", "success") in runs("departures"), 400, unfinished)
        # whichever of the two windows comes second finds its rows there, unchanged
        day = ("2013-01-01 00:00:00+00", "2013-01-02 00:00:00+00")
        until(lambda: day in asked(deployment, LOADS), 240, unfinished)

        by_hand = "select run_id from dag_run where dag_id = '{}' and run_type = 'manual'"
        crowd, late = (deployment.query(by_hand.format(name))[0][0] for name in ("crowd", "weather"))
        missed = [("crowd", None, crowd), ("weather", None, late), ("weather", "t", late)]
        until(lambda: asked(deployment, MISSES) == missed, 120, lambda: asked(deployment, MISSES))
        check_told_of_weather(webhook, url)
