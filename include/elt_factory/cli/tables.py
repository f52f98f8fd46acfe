"""What the `elt` command prints, as tables for people and entries for machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from elt_factory.cli.status_lines import StatusLine
from elt_factory.config.loading import LoadedConfig

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Rows
    from elt_factory.warehouse.rejects import Reason, RejectedLoad
    from elt_factory.warehouse.replay import Replayed

PIPE_WIDTH = 160
STATE_STYLES = {
    "fresh": "green",
    "waiting": "cyan",
    "paused": "cyan",
    "never loaded": "yellow",
    "late": "bold yellow",
    "rejecting": "bold red",
    "failing": "bold red",
}
_RECORD = 500  # characters of a record that a table shows


def screen() -> Console:
    """Return a console for people.

    Where the output goes to a pipe or a file, nothing is cut to the width of a terminal.
    """
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def config_entry(item: LoadedConfig) -> dict[str, Any]:
    """Return a config for machines."""
    config = item.config
    return {
        "name": config.name,
        "description": config.description,
        "owner": config.owner,
        "schedule": str(config.schedule) if config.schedule else None,
        "timezone": config.timezone,
        "tables": list(config.all_tables),
        "file": str(item.file),
    }


def config_table(items: Sequence[LoadedConfig]) -> Table:
    """Return the configs for people."""
    table = Table("name", "schedule", "owner", "tables", "description", box=SIMPLE_HEAD)
    for item in items:
        config = item.config
        schedule = f"{config.schedule} {config.timezone}" if config.schedule else "manual"
        table.add_row(config.name, schedule, config.owner, ", ".join(config.all_tables) or "-", config.description)
    return table


def status_table(lines: Sequence[StatusLine]) -> Table:
    """Return the state of the tables, for people: figures of the last load, and what the table has now."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("table", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("read", "loaded", "rejected", "in the table"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("loaded at", "window end", "business date", "cursor"):
        table.add_column(name, no_wrap=True)
    for line in lines:
        word = line.state.state if line.state else "-"
        shown = f"[{STATE_STYLES[word]}]{word}[/]" if word in STATE_STYLES else word
        table.add_row(line.label, shown, *(_figures(line) if line.loads else ("-",) * 8))
    return table


def _figures(line: StatusLine) -> tuple[str, ...]:
    entry = line.loads
    if entry is None:
        return ()
    return (
        f"{entry.rows_read:,}",
        "[red]failed[/]" if entry.failed else f"{entry.rows_loaded:,}",
        f"[red]{entry.rows_rejected:,}[/]" if entry.rows_rejected else "0",
        f"{entry.total_rows:,}",
        _minute(entry.last_loaded_at),
        _minute(entry.last_window_end),
        (line.business_date or "-")[:16].replace("T", " "),
        (entry.cursor or "-")[:16].replace("T", " "),
    )


def rejects_table(loads: Sequence[RejectedLoad]) -> Table:
    """Return the loads with rejects, for people."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("table", "window", "rejected at"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    table.add_column("for example", overflow="fold")
    for load in loads:
        window = " - ".join(_minute(end) for end in (load.window_start, load.window_end) if end)
        state = Text(load.state, style={"open": "red", "healed": "green"}.get(load.state, "dim"))
        if load.state == "dismissed":
            by = f" by {load.by}" if load.by else ""
            state.append(f"{by}: {load.why}" if load.why else by, style="default")
        cells = (f"{load.source}.{load.table}", window, _minute(load.rejected_at), f"{load.rows:,}", state)
        table.add_row(*cells, Text(load.reason))
    return table


def replayed_table(loads: Sequence[Replayed]) -> Table:
    """Return what became of the rejects of loads, for people."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("table", "load"):
        table.add_column(name, no_wrap=True)
    for name in ("healed", "loaded", "open"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for load in loads:
        left = f"[red]{load.open:,}[/]" if load.open else "0"
        table.add_row(load.table, load.load_id, f"{load.healed:,}", f"{load.loaded:,}", left, Text(load.reason))
    return table


def reasons_table(reasons: Sequence[Reason]) -> Table:
    """Return reasons of rejects with a record of each, for people."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("table", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("a record", overflow="fold")
    for found in reasons:
        table.add_row(found.table, f"{found.rows:,}", Text(found.reason), Text(found.record[:_RECORD]))
    return table


def rows_table(rows: Rows) -> Table:
    """Return the answer to a query, for people."""
    table = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(rows.columns):
        numeric = any(isinstance(row[index], (int, float, Decimal)) for row in rows.rows[:100])
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows.rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    return table


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
