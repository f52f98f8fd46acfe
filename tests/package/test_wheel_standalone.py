"""The wheel under `airflow standalone`, with plugin and bundle: in a new project, and in one of `astro dev init`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from package_support import Installed, clean_environment

from astro_layout import astro_project
from live_airflow import Live, signed_in, within

pytestmark = pytest.mark.timeout(900)

ORDERS = """\
name: orders
start_date: 2026-01-01
deadline: {by: "06:00"}
schedule: "0 3 * * *"
catchup: false
extract: {type: files, folder: include}
tables:
  orders: {path: orders.csv, primary_key: [order_id], write_disposition: replace}
transform: {dbt: {select: "tag:orders"}}
"""
ROWS = "order_id,amount\n1,120.50\n2,80.00\n"
MODEL = "{{ config(tags='orders') }} select order_id, amount * 2 as twice from orders.orders\n"


def test_a_new_project_runs_with_plugin_and_bundle(base: Installed, unused_ports: Iterator[int], tmp_path: Path):
    base.at(tmp_path).elt("init", "shop")
    shop, port = base.at(tmp_path / "shop"), next(unused_ports)
    # the deadline by time of day is the plugin's
    config = shop.folder / "dag_configs" / "orders.yaml"
    config.write_text(config.read_text().replace("# deadline", "deadline").replace("# schedule", "schedule"))
    (shop.folder / "dag_configs" / "broken.yaml").write_text("name: broken\nextract: {type: files}\ntabels: {}\n")
    shop.elt("up", "--port", str(port))
    try:
        with signed_in(port, shop.folder / ".airflow", shop.folder) as live:
            within(60, lambda: live.dags() >= {"orders"})
            assert "elt_factory" in {plugin["name"] for plugin in live.get("/plugins")["plugins"]}
            # only the bundle gives a broken file an import error of its own
            (problem,) = live.get("/importErrors")["import_errors"]
            assert "broken.yaml:3:1: unknown key" in problem["stack_trace"]
            assert problem["bundle_name"] == "sources"
            tasks = live.tasks("orders", live.trigger("orders"))
            assert set(tasks.values()) == {("success", 1)}, tasks
            assert live.query("select count(*), sum(amount)::varchar from orders.orders") == [(3, "215.75")]
    finally:
        shop.elt("down")


def test_an_astro_project_gets_what_it_lacks_and_runs(
    base: Installed,
    install_requirements: Callable[[Path], Installed],
    unused_ports: Iterator[int],
    tmp_path: Path,
):
    folder = tmp_path / "shop"
    astro_project(folder)
    base.at(folder).elt("init", "--into", ".")
    (folder / "dag_configs" / "orders.yaml").write_text(ORDERS)
    (folder / "include" / "orders.csv").write_text(ROWS)
    (folder / "include" / "dbt" / "models" / "doubled.sql").write_text(MODEL)
    installed = install_requirements(folder / "requirements.txt").at(folder)
    with astro_standalone(installed, next(unused_ports)) as live:
        apply_settings(live, folder / "airflow_settings.yaml")
        # the manifest is made by the bundle, in a process of its own
        within(120, lambda: live.dags() >= {"orders"} and "transform" in str(live.get("/dags/orders/tasks")))
        assert live.get("/importErrors")["import_errors"] == []
        tasks = live.tasks("orders", live.trigger("orders"))
        assert {"tables.orders.load", "transform.doubled_run", "quality.orders"} <= set(tasks)
        assert set(tasks.values()) == {("success", 1)}, tasks
        assert live.query("select count(*), sum(twice)::integer from main.doubled") == [(2, 401)]


@contextmanager
def astro_standalone(installed: Installed, port: int) -> Iterator[Live]:
    """Airflow as `astro dev start --standalone` starts it: the project on the path, and the lines of its .env."""
    folder = installed.folder
    home, url = folder / ".astro" / "standalone", f"http://127.0.0.1:{port}"
    lines = (line.partition("=") for line in (folder / ".env").read_text().splitlines())
    environment = clean_environment() | {
        **{name: value for name, _, value in lines},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "PYTHONPATH": str(folder),
        "PATH": f"{installed.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    log = folder / "standalone.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(installed.home / "bin" / "airflow"), "standalone"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert within(240, lambda: is_well(url)), log.read_text()[-5000:]
        with signed_in(port, home, folder) as live:
            yield live
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def is_well(url: str) -> bool:
    try:
        health = httpx.get(f"{url}/api/v2/monitor/health", trust_env=False).json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
    return all((health.get(part) or {}).get("status") == "healthy" for part in ("scheduler", "dag_processor"))


def apply_settings(live: Live, file: Path) -> None:
    """What `astro dev start` does with airflow_settings.yaml, over REST."""
    given: Mapping = yaml.safe_load(file.read_text())["airflow"]
    for entry in given["connections"]:
        body = {"connection_id": entry["conn_id"], "conn_type": entry["conn_type"], "host": entry["conn_host"]}
        live.api.post("/connections", json=body).raise_for_status()
    for entry in given["pools"]:
        live.api.post("/pools", json={"name": entry["pool_name"], "slots": entry["pool_slot"]}).raise_for_status()
    for entry in given["variables"]:
        body = {"key": entry["variable_name"], "value": entry["variable_value"]}
        live.api.post("/variables", json=body).raise_for_status()
