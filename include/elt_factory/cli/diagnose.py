"""`elt diagnose`: what is wrong, whose problem it is, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from elt_factory.cli.gathering import gathered
from elt_factory.cli.output import AsJson, fail, no_configs, print_json, refuse_unknown
from elt_factory.cli.tables import STATE_STYLES, screen
from elt_factory.config.errors import near_name
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from elt_factory.diagnosis.facts import Facts
    from elt_factory.diagnosis.verdict import Verdict

_TROUBLE = ("failing", "rejecting", "late")


def diagnose(
    name: Annotated[str | None, typer.Argument(help="Name of a config. By default, all.")] = None,
    table: Annotated[str | None, typer.Option(help="Table of the config.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is wrong with tables, whose problem it is and what to do next. Exits with 1 when one is in trouble.

    In trouble are tables that fail, reject rows or are late.
    """
    if not config_folder().is_dir():
        fail(no_configs())
    found = _asked(gathered([name] if name else ()), name, table)
    from elt_factory.diagnosis.states import overview, worst_first

    verdicts = [state.verdict for state in worst_first(overview(found))]
    if as_json:
        print_json([verdict.entry() for verdict in verdicts])
    else:
        _show(verdicts, screen())
    if any(verdict.state in _TROUBLE for verdict in verdicts):
        raise typer.Exit(1)


def _asked(found: Sequence[Facts], name: str | None, table: str | None) -> list[Facts]:
    """Return the facts of what was asked for; ends the command where there is no such config or table."""
    if name and not found:
        from elt_factory.dag.neighbours import Neighbours

        refuse_unknown(name, Neighbours(config_folder()))
    if table is None:
        return list(found)
    if name is None:
        fail("--table needs the name of a config")
    chosen = [facts for facts in found if facts.table == table]
    if not chosen:
        fail(f'{name} has no table "{table}"; {near_name(table, [facts.table for facts in found if facts.table])}')
    return chosen


def _show(verdicts: Sequence[Verdict], console: Console) -> None:
    if not verdicts:
        console.print("No configs yet: run [bold]elt new[/] to add one.")
    for verdict in verdicts:
        style = STATE_STYLES[verdict.state]
        console.print(f"[bold]{escape(verdict.label)}[/]  [{style}]{verdict.state}[/]  [dim]{verdict.code}[/]")
        console.print(f"  {escape(verdict.sentence)}", highlight=False, soft_wrap=True)
        if verdict.code == "healthy":
            continue
        for line in verdict.evidence:
            console.print(f"  [dim]-[/] {escape(line)}", highlight=False, soft_wrap=True)
        if verdict.whose != "none":
            console.print(f"  whose problem: [bold]{verdict.whose}[/]", highlight=False)
        if verdict.next:
            console.print(f"  next: [bold]{escape(verdict.next)}[/]", highlight=False, soft_wrap=True)
        for line in verdict.also:
            console.print(f"  also: {escape(line)}", style="dim", highlight=False, soft_wrap=True)
