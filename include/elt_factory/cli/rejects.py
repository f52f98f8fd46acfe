"""`elt rejects`: which rows were not loaded, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from elt_factory.cli import tables
from elt_factory.cli.names import config_names
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, fail, print_json
from elt_factory.config.errors import near_name
from elt_factory.config.loading import load_folder
from elt_factory.core.project import config_folder

app = typer.Typer(no_args_is_help=True, help="Show the rows that were rejected, and why.")
console = tables.screen()


@app.command("list")
def list_rejects(
    name: Annotated[str | None, typer.Argument(help="Only of this config.", autocompletion=config_names)] = None,
    healed: Annotated[bool, typer.Option("--all", help="Also those that a later load has healed.")] = False,
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
    name: Annotated[str, typer.Argument(help="Name of the config, as in `elt list`.", autocompletion=config_names)],
    table: Annotated[str | None, typer.Option(help="Only of this table.")] = None,
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


def _check_known(name: str | None, table: str | None = None) -> None:
    """End with the near name where no config or table is called so: to have no rejects is good news, a slip is not."""
    found = load_folder(config_folder())
    known = {item.config.name: item.config for item in found.configs}
    # a broken config has its name by its file
    if name and name not in known and name not in {file.stem for file in found.errors}:
        fail(f'unknown config "{name}"; {near_name(name, known)}')
    if name in known and table and table not in known[name].all_tables:
        fail(f'{name} has no table "{table}"; {near_name(table, known[name].all_tables)}')
