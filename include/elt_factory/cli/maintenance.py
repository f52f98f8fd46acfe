"""`elt maintenance`: what is kept, how old and how large it is, and its removal when it is past its retention."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from elt_factory.cli import tables
from elt_factory.cli.names import config_names
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, errors, fail, no_configs, print_json, refuse_unknown
from elt_factory.config.errors import near_name
from elt_factory.config.loading import config_files
from elt_factory.config.maintenance import load_maintenance, maintenance_files
from elt_factory.config.models.maintenance import Maintenance
from elt_factory.core.amount import amount
from elt_factory.core.project import config_folder
from elt_factory.dag.neighbours import Neighbours

if TYPE_CHECKING:
    from elt_factory.dag.upkeep import Upkeep

app = typer.Typer(no_args_is_help=True, help="Report what is kept, and remove what is past its retention.")
console = tables.screen()
Only = Annotated[str | None, typer.Argument(help="Only of this source.", autocompletion=config_names)]


@app.command()
def report(name: Only = None, as_json: AsJson = False) -> None:
    """Report what is kept of each table, how old and how large it is, and of sources without a config."""
    with _upkeep() as upkeep:
        from elt_factory.dag import upkeep as work

        found = work.report(upkeep, name)
    if as_json:
        print_json(found)
    elif found:
        console.print(_table(found))
    else:
        _check_known(name)
        if not config_files(config_folder()):
            fail(no_configs())
        console.print("Nothing is kept yet.")


@app.command()
def run(
    name: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the rows past retention, and remove none.")] = False,
) -> None:
    """Remove what is past its retention, as the DAG elt_maintenance does. Exits with 1 where something is left."""
    _check_known(name)
    with _upkeep() as upkeep:
        from elt_factory.dag import upkeep as work

        if dry_run:
            counted, left = work.expired_rows(upkeep, name)
            for source, old in counted:
                rows = f"{amount(old.rows, 'row')} with {old.column}"
                text = f"{source}.{old.table}: {rows} before {old.before:%Y-%m-%d %H:%M}"
                console.print(text, markup=False, highlight=False)
        else:
            removed, left = work.remove_expired(upkeep, _settings(), name)
            for what, number in work.totals(removed).items():
                console.print(f"removed {what}: {number:,}", markup=False, highlight=False)
            if not removed and not left:
                console.print("Nothing is past its retention.")
    for line in left:
        errors.print(line, style="red", markup=False, highlight=False)
    if left:
        raise typer.Exit(1)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of a source that has no config any more.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove the landings, rejects and state of a source without a config. Its tables stay."""
    with _upkeep() as upkeep:
        from elt_factory.dag import upkeep as work

        gone = {source.name: source for source in upkeep.removed()}
        if name not in gone:
            has = f"{name} has a config: delete its file first" if name in Neighbours(config_folder()) else ""
            fail(has or f'no removed source "{name}"; {near_name(name, gone) or "there is none"}')
        if not yes and (not sys.stdin.isatty() or not typer.confirm(f"Remove all that is kept of {name}?")):
            fail("this cannot be undone: add --yes")
        for row in work.remove_source(upkeep, gone[name], f"asked by {getuser()}"):
            where = f"{row['source']}.{row['table_name']}" if row["table_name"] else row["source"]
            console.print(f"{where}: removed {row['rows_removed']:,} of {row['what']}", markup=False, highlight=False)


@app.command()
def compact() -> None:
    """Write a DuckDB file again without the space of deleted rows. Snowflake needs no such thing."""
    with opened_warehouse() as warehouse:
        console.print(warehouse.compact(force=True), markup=False, highlight=False)


@contextmanager
def _upkeep() -> Iterator[Upkeep]:
    """Yield what the work is done on. Its module imports Airflow, so it is imported only once the home is named."""
    with opened_warehouse() as warehouse:
        from elt_factory.dag.runtime import landing_root, project_name
        from elt_factory.dag.upkeep import Upkeep

        def log(line: str) -> None:
            errors.print(line, style="dim", markup=False, highlight=False)

        run_id = f"elt maintenance by {getuser()}"
        yield Upkeep(config_folder(), warehouse, landing_root(), project_name(), log, run_id)


def _settings() -> Maintenance:
    files = maintenance_files(config_folder())
    return load_maintenance(files[0]) if files else Maintenance()


def _check_known(name: str | None) -> None:
    known = Neighbours(config_folder())
    if name and name not in known:
        refuse_unknown(name, known)


def _table(found: list[dict[str, Any]]) -> Table:
    columns = ("table", "rows", "oldest row", "landings", "MB", "oldest landing", "rejects", "loads", "kept for")
    table = Table(*columns, box=SIMPLE_HEAD)
    for row in found:
        oldest = row["oldest_landing"]
        table.add_row(
            f"{row['source']}.{row['table']}",
            "" if row["rows"] is None else f"{row['rows']:,}",
            str(row["oldest_row"] or "")[:19],
            f"{row['landings']:,}",
            f"{row['landing_bytes'] / 1e6:,.1f}",
            f"{oldest:%Y-%m-%d}" if oldest else "",
            f"{row['rejects']:,}",
            f"{row['loads']:,}",
            row["keeps"] if row["has_config"] else f"no config: {row['keeps']}",
        )
    return table
