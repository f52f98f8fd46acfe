"""The demo: three source systems, four DAGs, one window of real departures, and a summary to read."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.errors import DemoError
from demo.prepare import prepare
from demo.process import running
from elt_factory.cli.background import free_port
from elt_factory.cli.execution import DagOutcome, run_dag
from elt_factory.cli.local import ensure_local_airflow
from elt_factory.cli.tables import screen
from elt_factory.core.project import dbt_folder, project_root
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import duckdb_path
from elt_factory.warehouse.opening import CONNECTION_ID

FIRST_DAY = date(2013, 1, 1)
LAST_DAY = date(2013, 12, 31)
DAGS = ("fleet", "weather", "flights", "departures")
PORT = 8100


@dataclass(frozen=True)
class Step:
    """One step of the demo and how long it took."""

    name: str
    seconds: float


def run_demo(days: int) -> int:
    """Run the demo for the first `days` days of 2013 and return the exit code.

    Raises DemoError when a source system cannot be started.
    """
    console = screen()
    end = min(FIRST_DAY + timedelta(days=days), LAST_DAY + timedelta(days=1))
    if end <= FIRST_DAY:
        raise DemoError("the demo needs at least one day: DAYS=7 make demo")
    console.rule(f"[bold]ELT Factory[/] - departures from New York, {FIRST_DAY} to {end - timedelta(days=1)} ")
    steps: list[Step] = []
    sources = project_root() / "data" / "sources"
    with _timed("Airflow on this machine", steps, console):
        ensure_local_airflow()
    with _timed("source systems: flights API, weather files, fleet database", steps, console):
        prepare(sources)
        port = _flights_port()
    outcomes: list[DagOutcome] = []
    with running(sources, port):
        for dag_id in DAGS:
            with _timed(f"DAG {dag_id}", steps, console):
                outcomes.append(_run(dag_id, end, console))
            if outcomes[-1].state != "success":
                break
    return _summary(outcomes, steps, console)


def _flights_port() -> int:
    """Return the API's usual port, or a free one, which Airflow then hears of through the environment."""
    port = free_port(PORT)
    if port != PORT:
        connection = {
            "conn_type": "http",
            "schema": "http",
            "host": "127.0.0.1",
            "port": port,
            "password": "nyc-flights-demo",
        }
        os.environ["AIRFLOW_CONN_FLIGHTS_API"] = json.dumps(connection)
    return port


def _run(dag_id: str, end: date, console: Console) -> DagOutcome:
    window = {"window_start": FIRST_DAY.isoformat(), "window_end": end.isoformat()}
    return run_dag(dag_id, window, console, _log(dag_id))


def _log(dag_id: str) -> Path:
    return project_root() / "logs" / f"{dag_id}.log"


@contextmanager
def _timed(name: str, steps: list[Step], console: Console) -> Iterator[None]:
    console.print(f"[bold cyan]{name}[/]")
    began = time.monotonic()
    yield
    steps.append(Step(name, time.monotonic() - began))


def _summary(outcomes: list[DagOutcome], steps: list[Step], console: Console) -> int:
    from elt_factory.dag.runtime import warehouse

    failed = [outcome for outcome in outcomes if outcome.state != "success"]
    console.rule("[bold]What happened[/]")
    with warehouse() as opened:
        console.print(_tables(opened))
        console.print(_models(opened))
        console.print(_checks(opened, [outcome.run_id for outcome in outcomes]))
    console.print(_durations(steps))
    for outcome in failed:
        _explain(outcome, console)
    if failed:
        return 1
    console.print(f"Warehouse  [bold]{_place()}[/]")
    console.print('Query it   [bold].venv/bin/elt sql "select * from marts.fleet_age order by average_age desc"[/]')
    console.print("Watch it   [bold]make up[/]   (Airflow's web UI on this machine)")
    return 0


def _place() -> str:
    """Where the rows are, in words."""
    from elt_factory.dag.runtime import get_connection

    found = get_connection(CONNECTION_ID)
    if found.conn_type == "duckdb":
        return f"{duckdb_path(found, Path())}, a DuckDB file"
    return f"{found.extra.get('database')} in the Snowflake account {found.extra.get('account')}"


def _tables(warehouse: Warehouse) -> Table:
    from elt_factory.warehouse.state import status

    table = Table(title="Tables, last load", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("table")
    for name in ("read", "loaded", "rejected", "duplicates", "in the table"):
        table.add_column(name, justify="right")
    for entry in status(warehouse):
        figures = (entry.rows_read, entry.rows_loaded, entry.rows_rejected, entry.rows_duplicate, entry.total_rows)
        table.add_row(f"{entry.source}.{entry.table}", *(f"{figure:,}" for figure in figures))
    return table


def _models(warehouse: Warehouse) -> Table:
    table = Table(title="dbt models", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("model")
    table.add_column("rows", justify="right")
    manifest = json.loads((dbt_folder() / "target" / "manifest.json").read_text(encoding="utf-8"))
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    for node in sorted(models, key=lambda node: (node["schema"] != "staging", node["name"])):
        relation = Relation(node["schema"], node["alias"])
        if warehouse.columns(relation) is not None:
            count = warehouse.query(f"SELECT count(*) FROM {relation.sql(warehouse.dialect)}").rows[0][0]
            table.add_row(f"{node['schema']}.{node['name']}", f"{count:,}")
    return table


def _checks(warehouse: Warehouse, runs: list[str]) -> Table:
    """Return counts of this demo's runs; what warned is named, because a warning no one reads is none."""
    d = warehouse.dialect
    listed = ", ".join(d.literal(run) for run in runs) or "NULL"
    rows = warehouse.query(
        "SELECT kind, status, check_name, failing_rows FROM _elt.quality_results "
        f"WHERE kind <> 'dbt_model' AND run_id IN ({listed}) ORDER BY check_name"
    ).rows
    table = Table(title="Checks", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("kind")
    for name in ("passed", "warned", "failed"):
        table.add_column(name, justify="right")
    table.add_column("what warned or failed")
    for kind, title in (("dbt_test", "dbt tests"), ("check", "quality checks")):
        mine = [row for row in rows if row[0] == kind]
        counts = [sum(row[1] == status for row in mine) for status in ("passed", "warned", "failed")]
        told = [f"{name} ({failing or 0:,} rows)" for _, status, name, failing in mine if status != "passed"]
        table.add_row(title, *map(str, counts), "\n".join(told) or "-")
    return table


def _durations(steps: list[Step]) -> Table:
    table = Table(title="Time", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for step in steps:
        table.add_row(step.name, f"{step.seconds:.1f}")
    table.add_row("[bold]all[/]", f"[bold]{sum(step.seconds for step in steps):.1f}[/]")
    return table


def _explain(outcome: DagOutcome, console: Console) -> None:
    console.print(f"[red]{outcome.dag_id} did not succeed[/]; Airflow's log: logs/{outcome.dag_id}.log")
    for task in outcome.tasks:
        if task.state == "failed":
            console.print(f"  {task.task_id}: {task.detail}", markup=False)
