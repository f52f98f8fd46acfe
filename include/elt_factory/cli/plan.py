"""`elt plan`: what a run would do, without running anything or asking anyone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elt_factory.cli.names import ConfigName
from elt_factory.cli.output import AsJson, errors, fail, named_config, print_json, silence
from elt_factory.cli.tables import screen
from elt_factory.config.errors import near_name
from elt_factory.core.window import iso_utc

if TYPE_CHECKING:
    from rich.tree import Tree

    from elt_factory.describe.plan import Plan, TablePlan, TaskPlan


def plan(  # noqa: PLR0913 - each is an option of the command
    name: ConfigName,
    date: Annotated[
        str | None,
        typer.Option(help="Plan the last run that starts on this day, or by this time. Default: the latest run."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="Start of the window, inclusive.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window, exclusive.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture of the DAG to this SVG file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a picture of the DAG to this PNG file.")] = None,
    warehouse: Annotated[
        str | None, typer.Option(help="SQL dialect: duckdb or snowflake. Default: that of the local settings.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do: window, deadline, tasks, reads, and the SQL of the load."""
    made = _plan(name, date, (start, end), _kind(warehouse))
    _draw(made, svg, png)
    if as_json:
        print_json(_entry(made))
    else:
        _show(made)


def _kind(asked: str | None) -> str:
    """Whose SQL to show: what is asked for, else the connection's type where that is known without asking Airflow."""
    from elt_factory.warehouse.kind import WAREHOUSES

    if asked is not None and asked not in WAREHOUSES:
        fail(f'unknown warehouse "{asked}"; {near_name(asked, WAREHOUSES.names())}')
    known = asked or _local_type()
    return known if known in WAREHOUSES else "duckdb"


def _local_type() -> str:
    """Return the type of the connection `warehouse` in the environment, else in the settings of this machine."""
    from elt_factory.cli.settings_file import SETTINGS_FILE, read_text, settings_of
    from elt_factory.core.project import project_root

    given = os.environ.get("AIRFLOW_CONN_WAREHOUSE", "")
    if given.startswith("{"):
        try:
            return str(json.loads(given).get("conn_type"))
        except ValueError:
            fail("AIRFLOW_CONN_WAREHOUSE is not valid JSON; hint: elt doctor")
    if given:
        # the scheme of a URI is the type
        return given.partition(":")[0]
    entries = settings_of(read_text(project_root() / SETTINGS_FILE))["connections"]
    return next((str(entry.get("conn_type") or "") for entry in entries if entry.get("conn_id") == "warehouse"), "")


def _plan(name: str, date: str | None, ends: tuple[str | None, str | None], warehouse: str) -> Plan:
    item = named_config(name)
    from elt_factory.cli.local import use_local_airflow
    from elt_factory.core.project import config_folder
    from elt_factory.dag.neighbours import Neighbours
    from elt_factory.describe.windows import chosen_window, moment_of

    # the DAG is Airflow's, so Airflow is imported; neither its database nor a connection is touched
    use_local_airflow()
    config = item.config
    with silence():
        from elt_factory.describe.plan import plan as plan_of

        try:
            moment = moment_of(date, config) if date else datetime.now(UTC)
            window = chosen_window(config, *ends, moment)
        except ValueError as error:
            fail(f"{name}: {error}")
        return plan_of(item, Neighbours(config_folder()), window, warehouse)


def _draw(made: Plan, svg: Path | None, png: Path | None) -> None:
    from elt_factory.describe.plan_svg import plan_svg

    if svg:
        _save(svg, plan_svg(made).encode())
    if png:
        from elt_factory.describe.png import png_of

        _save(png, png_of(plan_svg(made)))


def _save(file: Path, picture: bytes) -> None:
    try:
        file.write_bytes(picture)
    except OSError as error:
        fail(f"cannot write the picture: {error}")
    errors.print(f"Wrote {file}", highlight=False)


def _entry(made: Plan) -> dict[str, Any]:
    return {
        "name": made.config.name,
        "window": {"start": iso_utc(made.window.start), "end": iso_utc(made.window.end)},
        "deadline": iso_utc(made.deadline) if made.deadline else None,
        "due": made.due,
        "tasks": [asdict(task) for task in made.tasks],
        "tables": [
            {
                **asdict(table),
                "window": {"start": iso_utc(table.window.start), "end": iso_utc(table.window.end)},
            }
            for table in made.tables
        ],
    }


def _show(made: Plan) -> None:
    console = screen()
    console.print(f"[bold]{made.config.name}[/]  {made.config.description}", highlight=False)
    console.print(f"  window    {made.covers}", highlight=False)
    console.print(f"  deadline  {made.due}", highlight=False)
    console.print()
    console.print(_tree(made), highlight=False, soft_wrap=True)
    for table in made.tables:
        console.print(f"\n[bold]{made.config.name}.{table.name}[/]  load {table.load_id}", highlight=False)
        for line in _sql(table):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _tree(made: Plan) -> Tree:
    from rich.tree import Tree

    root = Tree(made.config.name, guide_style="dim")
    groups: dict[tuple[str, ...], Tree] = {(): root}
    for task in made.tasks:
        for depth in range(1, len(task.group) + 1):
            path = task.group[:depth]
            if path not in groups:
                groups[path] = groups[path[:-1]].add(f"[bold]{path[-1]}[/]")
        groups[task.group].add(_leaf(task))
    return root


def _leaf(task: TaskPlan) -> str:
    from rich.markup import escape

    return f"{task.task_id.split('.')[-1]}  [dim]{escape(task.detail)}[/]"


def _sql(table: TablePlan) -> Iterator[str]:
    for read in table.reads:
        yield f"  reads   {read}"
    if table.contract:
        yield f"  -- contract, in the worker: typed columns, or a reject with its reason\n  {table.contract};"
    for step in table.statements:
        yield f"  -- {step.comment}\n  {step.sql};"
