"""`elt rejects`: which rows were not loaded, why, and how they come back."""

from __future__ import annotations

from dataclasses import asdict
from getpass import getuser
from typing import Annotated

import typer

from elt_factory.cli import tables
from elt_factory.cli.names import config_names
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, errors, fail, named_config, print_json, refuse_unknown
from elt_factory.config.errors import near_name
from elt_factory.config.loading import load_folder
from elt_factory.config.models.source import Source
from elt_factory.core.amount import amount
from elt_factory.core.project import config_folder

app = typer.Typer(no_args_is_help=True, help="Show the rows that were rejected and why, replay or dismiss them.")
console = tables.screen()
Name = Annotated[str, typer.Argument(help="Name of the config, as in `elt list`.", autocompletion=config_names)]
OfTable = Annotated[str | None, typer.Option("--table", help="Only of this table.")]
OfLoad = Annotated[str | None, typer.Option("--load", help="Only of the load with this `load_id`.")]


@app.command("list")
def list_rejects(
    name: Annotated[str | None, typer.Argument(help="Only of this config.", autocompletion=config_names)] = None,
    healed: Annotated[bool, typer.Option("--all", help="Also those that are healed or dismissed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the loads with rejects, the newest first, each with its window and one of the reasons."""
    from elt_factory.warehouse.rejects import rejected_loads

    with opened_warehouse() as warehouse:
        found = rejected_loads(warehouse, name, healed=healed)
    if as_json:
        print_json([asdict(load) for load in found])
    elif found:
        console.print(tables.rejects_table(found))
    else:
        _check_known(name)
        console.print(f"No {'' if healed else 'open '}rejects{f' of {name}' if name else ''}.")


@app.command()
def show(
    name: Name,
    table: OfTable = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of reasons.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show why rows of a config are rejected: the commonest reasons of open rejects, each with one of its records."""
    from elt_factory.warehouse.rejects import reasons

    with opened_warehouse() as warehouse:
        found = reasons(warehouse, name, table, limit)
    if as_json:
        print_json([asdict(reason) for reason in found])
    elif found:
        console.print(tables.reasons_table(found))
    else:
        _check_known(name, table)
        console.print(f"No open rejects of {name}{f'.{table}' if table else ''}.")


@app.command()
def replay(name: Name, table: OfTable = None, load: OfLoad = None, as_json: AsJson = False) -> None:
    """Put the open rejects of a config once more through its contract, and load what is good now.

    Run it after the YAML is corrected. Exits with 1 while some are left open.
    """
    from elt_factory.warehouse.replay import Replaying
    from elt_factory.warehouse.replay import replay as replay_table

    config = _loads_tables(name, table)
    found = []
    with opened_warehouse() as warehouse:
        from elt_factory.dag.runtime import landing_place, project_name

        for each in [table] if table else config.all_tables:
            place = landing_place(name, each)
            asked = Replaying(config, each, place, project_name(), f"elt rejects replay by {getuser()}", _say_progress)
            found += replay_table(warehouse, asked, load)
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        console.print(tables.replayed_table(found))
    else:
        console.print(f"No open rejects of {name}{f'.{table}' if table else ''}.")
    if any(one.open or not one.healed for one in found):
        raise typer.Exit(1)


@app.command()
def dismiss(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why these rows need not be loaded.")],
    table: OfTable = None,
    load: OfLoad = None,
) -> None:
    """Close the open rejects of a config without loading them; who did so, when and why is kept."""
    from elt_factory.warehouse.rejects import dismiss as dismiss_rejects

    if not reason.strip():
        fail("--reason is empty; say why these rows need not be loaded")
    config = _loads_tables(name, table)
    with opened_warehouse() as warehouse:
        counts = {
            each: dismiss_rejects(warehouse, name, each, load, who=getuser(), why=reason.strip())
            for each in ([table] if table else config.all_tables)
        }
    for each, count in counts.items():
        if count:
            console.print(f"{name}.{each}: {amount(count, 'reject')} dismissed")
    if not any(counts.values()):
        fail(f"{name} has no open rejects{f' of {table}' if table else ''}{f' in the load {load}' if load else ''}")


def _loads_tables(name: str, table: str | None) -> Source:
    """Return the config of a source; ends the command where there is none, or it has no such table."""
    _check_known(name, table)
    config = named_config(name).config
    if not isinstance(config, Source):
        fail(f"{name} loads no tables, so it has no rejects")
    return config


def _say_progress(line: str) -> None:
    errors.print(line, style="dim", markup=False, highlight=False)


def _check_known(name: str | None, table: str | None = None) -> None:
    """End with the near name where no config or table is called so: to have no rejects is good news, a slip is not."""
    found = load_folder(config_folder())
    known = {item.config.name: item.config for item in found.configs}
    # a broken config has its name by its file
    if name and name not in known and name not in {file.stem for file in found.errors}:
        refuse_unknown(name, known)
    if name in known and table and table not in known[name].all_tables:
        fail(f'{name} has no table "{table}"; {near_name(table, known[name].all_tables)}')
