"""The page after the demo's week of real runs, in the web UI of a whole Airflow: all it says is in the audit tables.

The week of each source is run by its DAG, with a part of the dbt models; ELT_WHOLE_WEEK=1 runs all of them.
"""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from browser_support import CHROMIUM, address, as_user, elt

from demo_project import ROOT, change_config, flights_connection, lay_demo
from live_airflow import Live, signed_in, within

WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}
NEXT_WEEK = {"window_start": "2013-01-08", "window_end": "2013-01-15"}
DEMO = ("fleet", "weather", "flights", "departures")
# a table that the fleet's database does not have
FAILING = """
name: hangars
schedule: null
retries: {count: 0}
extract: {type: sql, connection: fleet_db}
tables: {hangars: {primary_key: [id], write_disposition: replace}}
"""
BROKEN = FAILING.replace("name: hangars", "name: torn").replace("schedule:", "schedul:").lstrip()
STATES = {
    "departures": "waiting",
    "fleet.airlines": "fresh",
    "fleet.airports": "fresh",
    "fleet.planes": "fresh",
    "flights.flights": "late",
    "hangars.hangars": "failing",
    "weather.weather": "rejecting",
}
ROWS = """() => Object.fromEntries([...document.querySelectorAll('tr.elt-row')].map(
  row => [row.querySelector('a.elt-name').innerText.trim(), row.innerText]))"""
pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

if CHROMIUM is None and not os.environ.get("ELT_REQUIRE_SERVICES"):
    pytest.skip("there is no Chromium: apt-get install chromium", allow_module_level=True)


def lay_troubles(folder: Path) -> None:
    """One source whose weeks since then are due, one with broken lines, one that fails, one that cannot be read."""
    change_config(folder, "flights", "end_date: 2013-01-07", "")
    (folder / "dag_configs" / "hangars.yaml").write_text(FAILING)
    (folder / "dag_configs" / "torn.yaml").write_text(BROKEN)
    file = folder / "data" / "sources" / "weather" / "weather_2013-01.csv"
    head, first, second, *_ = file.read_text().splitlines()
    wrong = dict(zip(head.split(","), second.split(","), strict=True)) | {
        "temp": "<b>warm</b>",
        "origin": "LGA",
        "time_hour": "2013-01-07T23:30:00Z",
    }
    with file.open("a") as lines:
        lines.write(f"{first.rsplit(',', 3)[0]}\n{','.join(wrong.values())}\n")


@pytest.fixture(scope="module")
def live(
    demo_api: int,
    demo_sources: Path,
    dbt_manifest: None,
    unused_ports: Iterator[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    folder, port = tmp_path_factory.mktemp("week"), next(unused_ports)
    lay_demo(folder, demo_sources, models=bool(os.environ.get("ELT_WHOLE_WEEK")))
    lay_troubles(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "ELT_PROJECT": str(folder),
        "PYTHONPATH": str(ROOT / "include"),
        "AIRFLOW_CONN_FLIGHTS_API": flights_connection(demo_api),
        # the runs are those of the test alone: the weeks since then stay due
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,vera:viewer",
    }
    elt(environment, "up", "--port", str(port))
    try:
        with signed_in(port, folder / ".airflow", folder) as airflow:
            within(120, lambda: airflow.dags() >= {*DEMO, "hangars"})
            yield airflow
    finally:
        elt(environment, "down")


@pytest.fixture(scope="module")
def week(live: Live) -> Live:
    """The week is run, and what comes after it waits."""
    runs = {name: live.trigger(name, **WEEK) for name in DEMO}
    failing = live.trigger("hangars")
    ended = {name: {state for state, _ in live.tasks(name, run).values()} for name, run in runs.items()}
    assert ended == {name: {"success"} for name in DEMO}
    assert "failed" in {state for state, _ in live.tasks("hangars", failing).values()}
    live.trigger("departures", **NEXT_WEEK)
    return live


@pytest.fixture(scope="module")
def page(week: Live, browser) -> Iterator[Any]:
    """The page as a viewer sees it, when the sensor of the run that waits has looked once."""
    opened = as_user(week, browser, "vera")
    opened.goto("/plugin/sources")
    opened.wait_for_selector("tr.elt-row")
    within(180, lambda: states(opened) == STATES)
    yield opened
    opened.context.close()


def states(page: Any) -> dict[str, str]:
    pair = "row => ['a.elt-name', '.elt-pill'].map(part => row.querySelector(part).innerText.trim())"
    return dict(page.evaluate(f"[...document.querySelectorAll('tr.elt-row')].map({pair})"))


def shown_rows(page: Any) -> dict[str, str]:
    """What the list says of each table, as text."""
    page.goto("/plugin/sources")
    page.wait_for_selector("tr.elt-row")
    found: dict[str, str] = page.evaluate(ROWS)
    return found


def answer(live: Live, path: str) -> Any:
    return live.api.get(f"{address(live)}/elt/api/v1/{path}").raise_for_status().json()


def test_one_is_late_one_rejects_one_fails_one_waits_and_one_is_broken(page):
    shown = shown_rows(page)
    assert states(page) == STATES
    assert "flights" in shown["departures"]
    assert "hangars" in shown["hangars.hangars"]
    broken = page.locator(".elt-broken-files").inner_text()
    assert 'torn.yaml:2:1 unknown key "schedul"' in broken
    tiles = " ".join(page.locator(".elt-tile").all_inner_texts())
    for state in ("late", "failing", "rejecting", "waiting"):
        assert re.search(rf"\b1\s+{state}|{state}\s+1\b", tiles, re.IGNORECASE), tiles


def test_every_figure_of_the_list_is_that_of_the_audit_tables(week, page):
    columns = ("rows_read", "rows_loaded", "rows_rejected", "run_id", "loaded_at", "window_start", "window_end")
    loads = {
        f"{source}.{table}": dict(zip((*columns, "business_date"), found, strict=True))
        for source, table, *found in week.query(
            f"SELECT source, table_name, {', '.join(columns)}, business_date_max FROM _elt.loads"
        )
    }
    rejects = dict(
        week.query("SELECT source || '.' || table_name, count(*) FROM _elt.rejects WHERE state = 'open' GROUP BY ALL")
    )
    checks = {
        (source, table): (passed, warned, failed)
        for source, table, passed, warned, failed in week.query(
            "SELECT source, table_name, count(*) FILTER (status = 'passed'), count(*) FILTER (status = 'warned'), "
            "count(*) FILTER (status = 'failed') FROM _elt.quality_results WHERE kind = 'check' GROUP BY ALL"
        )
    }
    assert set(loads) == {"fleet.airlines", "fleet.airports", "fleet.planes", "flights.flights", "weather.weather"}
    assert rejects == {"weather.weather": 2}
    rows = {f"{row['source']}.{row['table']}".strip("."): row for row in answer(week, "overview")["tables"]}
    shown = shown_rows(page)
    for name, load in loads.items():
        row = rows[name]
        assert row["loads"] == [load["rows_loaded"]], name
        assert [row[key] for key in ("rows_read", "rows_rejected", "run_id", "business_date")] == [
            load[key] for key in ("rows_read", "rows_rejected", "run_id", "business_date")
        ], name
        for moment in ("loaded_at", "window_start", "window_end"):
            assert datetime.fromisoformat(row[moment]) == load[moment], name
        assert f"{load['rows_loaded']:,} rows" in shown[name]
        assert row["open_rejects"] == rejects.get(name, 0)
        assert tuple(row["checks"][word] for word in ("passed", "warned", "failed")) == checks.get(
            (row["source"], row["table"]), (0, 0, 0)
        ), name
    assert "2 open" in shown["weather.weather"]


def test_the_page_of_a_source_has_its_loads_its_rejects_and_its_checks(week, page):
    page.goto("/plugin/sources?source=weather")
    page.wait_for_selector(".elt-calendar")
    ((read, loaded, rejected),) = week.query(
        "SELECT rows_read, rows_loaded, rows_rejected FROM _elt.loads WHERE source = 'weather'"
    )
    (load,) = answer(week, "sources/weather/tables/weather/loads")["loads"]
    assert (load["read"], load["loaded"], load["rejected"]) == (read, loaded, rejected)
    (line,) = page.locator(".elt-table tbody tr").all_inner_texts()
    assert f"{loaded:,}" in line
    page.goto("/plugin/sources?source=weather&tab=rejects")
    page.wait_for_selector(".elt-record")
    assert "<b>warm</b>" in page.locator("#elt-panel").inner_text()
    reasons = {one["reason"]: one["rows"] for one in answer(week, "sources/weather/rejects")["reasons"]}
    assert reasons == dict(week.query("SELECT reason, count(*) FROM _elt.rejects GROUP BY ALL"))
    for source in DEMO:
        results = {
            (one["kind"], one["table"], one["name"]): one["results"][-1]["status"]
            for one in answer(week, f"sources/{source}/quality")
        }
        kept = week.query(
            "SELECT kind, coalesce(table_name, ''), check_name, status FROM _elt.quality_results "
            f"WHERE source = '{source}'"
        )
        assert results == {(kind, table, name): status for kind, table, name, status in kept}
        assert results
