"""`elt status`: the state of every table in a word, and its figures."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, fail, print_json
from elt_factory.cli.status_lines import StatusLine, status_lines
from elt_factory.cli.tables import STATE_STYLES, screen, status_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elt_factory.diagnosis.acknowledged import Said
    from elt_factory.diagnosis.facts import Facts
    from elt_factory.diagnosis.states import TableState
    from elt_factory.warehouse.dialect import Relation
    from elt_factory.warehouse.state import TableStatus

Health = Annotated[
    bool, typer.Option("--health", help="Print one figure for monitoring, as JSON; exits with 1 on error.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Show the states until Ctrl+C, as the Sources page does. No load waits for it.")
]


def status(as_json: AsJson = False, health: Health = False, watch: Watch = False) -> None:
    """Show the state of every table: in a word, and last load, rows, rejects, cursor, business date."""
    if watch:
        if as_json or health:
            fail("--watch is for people: use it without --json and --health")
        from elt_factory.cli.watching import watch as show_always

        show_always(screen())
    loads, states = _read()
    if health:
        from elt_factory.diagnosis.states import health as figure

        found = figure(states)
        print_json(found)
        if found["status"] == "error":
            raise typer.Exit(1)
        return
    lines = status_lines(loads, states, _said(states))
    if as_json:
        print_json([line.entry() for line in lines])
    else:
        _show(lines)


def _read() -> tuple[list[TableStatus], list[TableState]]:
    """Return what the audit tables count, and the states, from one look at the warehouse."""
    with opened_warehouse() as warehouse:
        from elt_factory.diagnosis.gather import gather, here
        from elt_factory.diagnosis.states import overview
        from elt_factory.warehouse.state import status as table_status

        around = replace(here(), warehouse=lambda: nullcontext(warehouse))
        facts = gather(around)
        return table_status(warehouse, _places(facts)), overview(facts)


def _said(states: Sequence[TableState]) -> Mapping[tuple[str, str], Said]:
    """Return who takes care of which table, from the audit log of Airflow; nothing where its database has none."""
    from datetime import UTC, datetime

    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    from elt_factory.diagnosis.acknowledged import taken_care_of

    try:
        with create_session() as session:
            return taken_care_of(session, states, datetime.now(UTC))
    except SQLAlchemyError:
        return {}


def _places(facts: Sequence[Facts]) -> dict[tuple[str, str], Relation]:
    """Return where the tables are that other systems load."""
    from elt_factory.warehouse.dialect import Relation

    tables = {(one.config.name, one.table): one.config.all_tables.get(one.table) for one in facts if one.config}
    return {key: Relation(*spec.stored_in) for key, spec in tables.items() if spec and spec.stored_in}


def _show(lines: list[StatusLine]) -> None:
    console = screen()
    if not any(line.loads for line in lines):
        console.print("No loads yet: run [bold]elt run <name>[/] or [bold]make demo[/].")
    else:
        console.print(status_table(lines))
    for line in lines:
        if line.state is None or line.state.code in ("healthy", "never-loaded", "paused"):
            continue
        style = STATE_STYLES[line.state.state]
        told = f"[{style}]{line.label}[/]: {escape(line.state.sentence)}"
        if line.said:
            told += f" [dim]{escape(f'{line.said.who} takes care of it: {line.said.why}')}[/]"
        console.print(told, highlight=False, soft_wrap=True)
