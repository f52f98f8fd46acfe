"""What test_waiting_live.py shows, with a backfill that is killed, deadlines by a clock and by habit, and a diagnosis.

By hand, with ELT_LIVE_MORE=1: it keeps two cores busy for three minutes.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from bundle_support import write
from dag_support import Webhook
from test_waiting_live import (
    BUNDLE,
    CROWD,
    DAILY,
    DAY,
    LATE,
    LOADS,
    MISSES,
    OF_ITS_TABLE,
    SOURCE,
    WAITING,
    WORKERS,
    asked,
    check_told_of_weather,
    runs_of,
    states_of,
    unfinished_of,
)

from live_support import Deployment, api_of, deployment_over, done, until

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("ELT_LIVE_MORE"), reason="by hand: set ELT_LIVE_MORE"),
]

# of one source the day comes in two windows
BACKFILL = ["backfill", "stations", "--start", "2013-01-01", "--end", "2013-01-02", "--yes"]
NEVER = """
deadline: {deadline}
sensors: {{before_extract: [{{file: {{path: never_there}}}}]}}
"""
USUAL_RUNS = 5  # that ended well, before what is usual is known


@pytest.fixture
def deployment(tmp_path: Path, airflow_template: Path, webhook: Webhook) -> Deployment:
    project = tmp_path / "project"
    configs = {
        "flights": SOURCE.format(name="flights", schedule=DAILY),
        "weather": SOURCE.format(name="weather", schedule=DAILY).replace("merge}", "merge" + OF_ITS_TABLE) + LATE,
        "stations": SOURCE.format(name="stations", schedule="{every: 12h}").replace("input.csv", "'%Y-%m-%d.csv'"),
        "departures": SOURCE.format(name="departures", schedule="{assets: [flights, weather.t, stations]}"),
        "usual": SOURCE.format(name="usual", schedule="null")
        + NEVER.format(deadline="{within_usual: 100%, runs: [manual]}"),
        "arrivals": SOURCE.format(name="arrivals", schedule="{assets: [flights]}"),
        "crowd": SOURCE.format(name="crowd", schedule="null")
        + CROWD
        + "".join(f"    - {{file: {{path: none_{number}}}}}\n" for number in range(WAITING)),
    }
    for name, text in configs.items():
        write(project / "dag_configs" / f"{name}.yaml", text)
    today = datetime.now(UTC).date()
    # the last is what the schedule asks for, whenever this runs
    days = ("2013-01-01", *(str(today + timedelta(days=number)) for number in (-1, 0, 1)))
    for name in ("input", *days):
        write(project / "inbox" / f"{name}.csv", "id,amount\n1,2.5\n2,3.5\n")
    made = deployment_over(project, tmp_path / "airflow", airflow_template)
    made.environment["AIRFLOW__CORE__PARALLELISM"] = str(WORKERS)
    hook = {"conn_type": "http", "host": f"http://127.0.0.1:{webhook.server_address[1]}", "password": "x"}
    made.environment["AIRFLOW_CONN_HOOK"] = json.dumps(hook)
    return made


def elt(deployment: Deployment, url: str, *arguments: str) -> subprocess.Popen[str]:
    """The command, which knows the Airflow by a connection."""
    # the first request of a task makes the server build all versions of that API, for seconds of one core
    token = httpx.get(f"{url}/auth/token", timeout=120).json()["access_token"]
    api = {"conn_type": "http", "host": url, "password": token}
    environment = os.environ | deployment.environment | {"AIRFLOW_CONN_AIRFLOW_API": json.dumps(api)}
    command = [sys.executable, "-c", "from elt_factory.cli.main import main; main()", *arguments]
    return subprocess.Popen(
        command,
        cwd=deployment.project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def diagnosed(deployment: Deployment, url: str, name: str) -> dict[str, Any]:
    """The verdict on the only table of a config."""
    printed, _ = elt(deployment, url, "diagnose", name, "--json").communicate(timeout=120)
    (verdict,) = json.loads(printed[printed.index("[") :])
    return verdict


def check_verdict_on_what_waits(deployment: Deployment, url: str) -> None:
    """Diagnose the crowd until no load has the warehouse."""
    seen: list[dict[str, Any]] = []
    until(lambda: seen.append(diagnosed(deployment, url, "crowd")) or seen[-1]["code"] == "waiting", 120, seen.copy)
    assert (seen[-1]["state"], seen[-1]["table"]) == ("waiting", "t")
    assert " waits since " in seen[-1]["sentence"]
    assert "none_" in str(seen[-1])


def backfilled(deployment: Deployment) -> list[str]:
    """The states of the runs that the backfill has begun."""
    runs = "select state from dag_run where dag_id = 'stations' and run_id like 'elt_backfill__%'"
    return [state for (state,) in deployment.query(runs)]


def punctual_at(due: datetime) -> str:
    """A config whose runs by hand are late at a time of day."""
    deadline = f'{{by: "{due:%H:%M:%S}", timezone: UTC, runs: [manual]}}'
    return SOURCE.format(name="punctual", schedule="null") + NEVER.format(deadline=deadline)


KNOWN = "select reference from deadline_alert"


def triggered(deployment: Deployment, api: httpx.Client, name: str, conf: dict[str, str]) -> str:
    """Let a DAG run by hand; the id of the run."""
    done(lambda: api.post(f"/api/v2/dags/{name}/dagRuns", json={"logical_date": None, "conf": conf}))
    return deployment.query(f"select run_id from dag_run where dag_id = '{name}' order by id desc")[0][0]


def known_as_usual(deployment: Deployment, api: httpx.Client) -> None:
    """Let there be runs that people called done; a paused DAG begins none, so no task asks the server meanwhile."""
    for _ in range(USUAL_RUNS):
        run_id = triggered(deployment, api, "usual", {})
        done(lambda r=run_id: api.patch(f"/api/v2/dags/usual/dagRuns/{r}", json={"state": "success"}))


def late_by_what_is_usual(deployment: Deployment, api: httpx.Client) -> str:
    """Begin a run that is late against those before it."""
    done(lambda: api.patch("/api/v2/dags/usual", json={"is_paused": False}))
    return triggered(deployment, api, "usual", {})


def late_by_a_time_of_day(deployment: Deployment, api: httpx.Client) -> str:
    """Begin a run that is late at a time that comes soon; where Airflow sees the config later, at another one."""
    while True:
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
        write(deployment.project / "dag_configs" / "punctual.yaml", punctual_at(due))
        until(lambda d=due: f"{d:%H:%M:%S}" in str(deployment.query(KNOWN)), 90, deployment.import_errors)
        done(lambda: api.patch("/api/v2/dags/punctual", json={"is_paused": False}))
        if datetime.now(UTC) < due:
            return triggered(deployment, api, "punctual", {})


def test_what_waits_holds_no_worker_and_what_is_late_holds_up_only_what_needs_it(
    deployment: Deployment, webhook: Webhook
):
    url, server = deployment.serve(BUNDLE)

    states, runs, unfinished = (partial(what, deployment) for what in (states_of, runs_of, unfinished_of))

    with deployment.running(["dag-processor"], server, ["scheduler"], ["triggerer"]):
        until(lambda: len(deployment.alive()) == 7, 240, deployment.import_errors)
        api = api_of(url)
        known_as_usual(deployment, api)
        for name in ("departures", "arrivals", "crowd", "flights", "weather", "stations"):
            done(lambda n=name: api.patch(f"/api/v2/dags/{n}", json={"is_paused": False}))

        def trigger(name: str, conf: dict[str, str]) -> str:
            return triggered(deployment, api, name, conf)

        late_as_usual = late_by_what_is_usual(deployment, api)
        late_by_the_clock = late_by_a_time_of_day(deployment, api)
        # those with a schedule run for yesterday too; these are for one day
        for name, conf in (("crowd", {}), ("flights", DAY), ("weather", DAY)):
            trigger(name, conf)
        killed = elt(deployment, url, *BACKFILL)
        until(lambda: backfilled(deployment), 300, killed.poll)
        killed.kill()
        assert "stations: 2 runs, 1 at a time" in killed.communicate()[0]

        # more sensors wait than there are workers, and all others run to their end meanwhile
        until(lambda: states("crowd").count("deferred") == WAITING, 400, lambda: states("crowd"))
        until(lambda: ("asset_triggered", "success") in runs("arrivals"), 300, unfinished)
        assert states("crowd").count("running") == 0
        (pool,) = [p for p in api.get("/api/v2/pools").json()["pools"] if p["name"] == "default_pool"]
        assert (pool["deferred_slots"] >= WAITING, pool["running_slots"] <= WORKERS) == (True, True)
        assert runs("departures") == []
        assert "deferred" in states("weather")
        check_verdict_on_what_waits(deployment, url)

        until(lambda: len(webhook.messages) >= 3, 120, lambda: webhook.messages)
        (deployment.project / "inbox" / "weather_is_there").touch()
        until(lambda: ("manual", "success") in runs("weather") and backfilled(deployment) == ["success"], 400)
        # the first window is all that the backfill that was killed has begun
        assert runs("departures") == []
        again, _ = (resumed := elt(deployment, url, *BACKFILL)).communicate(timeout=400)
        assert resumed.returncode == 0, again
        assert "stations: 1 run, 1 at a time" in again
        assert "and continues; --again begins with the" in again
        assert "stations is loaded: 1 run in" in again
        assert backfilled(deployment) == ["success", "success"]
        # the schedule's own run is not kept waiting
        until(lambda: ("scheduled", "success") in runs("stations"), 200, unfinished)
        until(lambda: ("asset_triggered", "success") in runs("departures"), 400, unfinished)
        # whichever of the two windows comes second finds its rows there, unchanged
        day = ("2013-01-01 00:00:00+00", "2013-01-02 00:00:00+00")
        until(lambda: day in asked(deployment, LOADS), 240, unfinished)

        by_hand = "select run_id from dag_run where dag_id = '{}' and run_type = 'manual'"
        crowd, late = (deployment.query(by_hand.format(name))[0][0] for name in ("crowd", "weather"))
        missed = [
            ("crowd", None, crowd),
            ("punctual", None, late_by_the_clock),
            ("usual", None, late_as_usual),
            ("weather", None, late),
            ("weather", "t", late),
        ]
        until(lambda: asked(deployment, MISSES) == missed, 120, lambda: asked(deployment, MISSES))
        check_told_of_weather(webhook, url)
