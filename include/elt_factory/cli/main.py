"""The `elt` command: validate, plan, run and inspect pipelines."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer

from elt_factory.cli import tables
from elt_factory.cli.airflow_command import TAKES_ALL, airflow
from elt_factory.cli.backfill import backfill
from elt_factory.cli.connectors import connectors
from elt_factory.cli.contract import app as contract
from elt_factory.cli.cost import cost
from elt_factory.cli.dbt import app as dbt
from elt_factory.cli.diagnose import diagnose
from elt_factory.cli.diff import diff
from elt_factory.cli.docs import docs
from elt_factory.cli.doctor import doctor
from elt_factory.cli.ending import EndedError, ended_by_signals, leave
from elt_factory.cli.explain import explain
from elt_factory.cli.forget import forget
from elt_factory.cli.importing import app as importing
from elt_factory.cli.init import init
from elt_factory.cli.machine import is_of_database, of_database, of_system
from elt_factory.cli.maintenance import app as maintenance
from elt_factory.cli.names import ConfigName
from elt_factory.cli.new import new
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, errors, fail, no_configs, print_json, refuse_unknown, short, warn
from elt_factory.cli.plan import plan
from elt_factory.cli.privileges import privileges
from elt_factory.cli.profile import profile
from elt_factory.cli.rejects import app as rejects
from elt_factory.cli.settings import settings
from elt_factory.cli.status import status
from elt_factory.cli.upgrade import upgrade
from elt_factory.cli.validate import validate
from elt_factory.config.errors import ConfigError, MistakeError, near_name
from elt_factory.config.loading import Folder, load_folder
from elt_factory.config.models.source import Config
from elt_factory.config.models.values import param_like
from elt_factory.config.yaml.scalars import resolve
from elt_factory.core.failures import EltError
from elt_factory.core.project import config_folder, project_root

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
for command in (
    init,
    new,
    connectors,
    validate,
    doctor,
    status,
    diagnose,
    explain,
    plan,
    profile,
    diff,
    docs,
    upgrade,
    forget,
    backfill,
    cost,
    privileges,
    settings,
):
    app.command()(command)
app.add_typer(rejects, name="rejects")
app.add_typer(maintenance, name="maintenance")
app.add_typer(contract, name="contract")
app.add_typer(importing, name="import")
app.add_typer(dbt, name="dbt")
console = tables.screen()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"elt {metadata.version('elt-factory')}")
        raise typer.Exit


@app.callback()
def elt(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One YAML file per data source becomes a production-grade Airflow DAG."""


@app.command("list")
def list_configs(as_json: AsJson = False) -> None:
    """List the configs with schedule, owner and tables, and report broken ones."""
    if not config_folder().is_dir():
        fail(no_configs())
    found = load_folder(config_folder())
    if as_json:
        print_json([tables.config_entry(item) for item in found.configs])
    elif not found.configs and not found.errors:
        console.print(no_configs(), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(tables.config_table(found.configs))
    _exit_with_problems(found)


@app.command()
def run(
    name: ConfigName,
    start: Annotated[str | None, typer.Option(help="Start of the window, inclusive, such as 2013-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window, exclusive.")] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Reload from the beginning and replace existing rows.")
    ] = False,
    table: Annotated[list[str] | None, typer.Option(help="Table to load. Repeatable.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Param of the config, as NAME=VALUE. Repeatable.")] = None,
) -> None:
    """Run a config's DAG locally for one window, as Airflow would."""
    known = {item.config.name: item.config for item in _healthy(load_folder(config_folder()), name).configs}
    if name not in known:
        refuse_unknown(name, known)
    chosen: dict[str, Any] = {"window_start": start, "window_end": end, "full_refresh": full_refresh, "tables": table}
    given = _params(param or [], known[name])
    _check_choice(known[name], start, end, table or [])
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    from elt_factory.cli.execution import run_dag
    from elt_factory.cli.local_runs import free_killed

    free_killed(warn)
    log = project_root() / "logs" / f"{name}.log"
    console.print(f"Running [bold]{name}[/]; Airflow's log: {short(log)}")
    outcome = run_dag(name, {key: value for key, value in chosen.items() if value} | given, console, log)
    console.print(f"[bold]{name}[/] {outcome.state} after {outcome.seconds:.1f} s")
    if outcome.state != "success":
        raise typer.Exit(1)


def _check_choice(config: Config, start: str | None, end: str | None, tables: list[str]) -> None:
    """End with the message about a window or a table that the run would refuse, before Airflow is started for it."""
    for table in tables:
        if table not in config.all_tables:
            fail(f'{config.name} has no table "{table}"; {near_name(table, config.all_tables)}')
    if start or end:
        from elt_factory.describe.windows import chosen_window

        try:
            chosen_window(config, start, end, datetime.now(UTC))
        except ValueError as error:
            fail(f"{config.name}: {error}")


def _params(given: list[str], config: Config) -> dict[str, Any]:
    """Return the params of a run, each read as YAML reads it, so that it is of its default's type."""
    found: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in config.params:
            fail(f'{config.name} has no param "{name}"; {near_name(name, config.params) or "it has none"}')
        default = config.params[name]
        try:
            found[name] = param_like(default, value if isinstance(default, str) else resolve(value))
        except MistakeError as error:
            fail(f"--param {name}: {error}")
    return found


@app.command()
def sql(query: Annotated[str, typer.Argument(help="SQL statement.")], as_json: AsJson = False) -> None:
    """Run a query in the warehouse and print the result."""
    if not query.strip():
        fail("the query is empty; hint: elt sql 'select 1'")
    with opened_warehouse() as warehouse:
        try:
            rows = warehouse.query(query)
        except Exception as error:  # noqa: BLE001 - whatever the warehouse says of the user's own SQL is the answer
            fail(str(error))
    if as_json:
        print_json(rows.dicts())
    else:
        console.print(tables.rows_table(rows))


@app.command()
def setup() -> None:
    """Set up Airflow on this machine: database, connections, pools, variables, and the dbt manifest."""
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    console.print("Airflow is ready.")


@app.command()
def up(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the web UI. If it is in use, another one is chosen.")
    ] = 8080,
    postgres: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Keep Airflow's metadata in this PostgreSQL database, from now on."),
    ] = None,
    sqlite: Annotated[bool, typer.Option("--sqlite", help="Keep it in SQLite again.")] = False,
) -> None:
    """Start Airflow with its web UI in the background, and keep its components running."""
    if postgres and sqlite:
        fail("use either --postgres or --sqlite")
    from elt_factory.cli.standalone import up as start_airflow

    with console.status("Starting Airflow (about half a minute)"):
        login = start_airflow(port, warn, postgres, sqlite)
    console.print(
        f"Airflow runs at [bold]{login.url}[/]  user [bold]{login.user}[/]  password [bold]{login.password}[/]"
    )


@app.command()
def down() -> None:
    """Stop the Airflow that `elt up` started, and nothing else."""
    from elt_factory.cli.standalone import down as stop_airflow

    console.print("Airflow stopped." if stop_airflow(warn) else "Airflow was not running.")


app.command(context_settings=TAKES_ALL)(airflow)


def main() -> None:
    """Run the command: known errors print one message, and a signal stops everything that was started."""
    try:
        with ended_by_signals():
            app()
    except EndedError as ended:
        errors.print(f"stopped by {ended.name}", style="red", markup=False, highlight=False)
        leave(ended)
    except (EltError, ConfigError) as error:
        _end_with(str(error))
    except OSError as error:
        _end_with(of_system(error))
    except Exception as error:
        if not is_of_database(error):
            raise
        _end_with(of_database(error))


def _end_with(message: str) -> NoReturn:
    with suppress(OSError):
        errors.print(message, style="red", markup=False, highlight=False)
    sys.exit(1)


def _healthy(found: Folder, name: str) -> Folder:
    """Return the folder, unless the very config that is asked for is broken; the others' errors do not matter here."""
    for file, error in found.errors.items():
        if file.stem == name:
            raise error
    return found


def _exit_with_problems(found: Folder) -> None:
    for error in found.errors.values():
        errors.print(str(error), style="red", markup=False, highlight=False)
    if found.errors:
        raise typer.Exit(1)
