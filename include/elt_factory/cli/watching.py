"""`elt status --watch`: what the Sources page says, in the terminal, from the same code."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from elt_factory.cli.tables import STATE_STYLES
from elt_factory.core.private import use_private_files

if TYPE_CHECKING:
    from elt_factory.ui.models import Copied, TableRow

EVERY = 3.0  # seconds


def watch(console: Console) -> None:
    """Show the state of every table until someone ends it. The warehouse is not opened: no load waits for this."""
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    use_private_files()
    logging.disable(logging.WARNING)
    from elt_factory.ui.picture import current_picture

    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as screen:
        while True:
            picture = current_picture()
            screen.update(watched(picture.all_rows(), picture.copied_now()), refresh=True)
            time.sleep(EVERY)


def watched(rows: Sequence[TableRow], copied: Copied) -> Group:
    """Return the tables for people, those first that need someone most, and how old that is."""
    from elt_factory.diagnosis.verdict import STATES

    order: dict[str, int] = {state: number for number, state in enumerate(STATES)}
    counts = Counter(row.state for row in rows)
    head = Text("  ").join(Text(f"{counts[state]} {state}", STATE_STYLES[state]) for state in STATES if counts[state])
    table = Table(box=SIMPLE_HEAD)
    for name in ("table", "state", "rows", "rejected", "loaded at", "business date"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("rows", "rejected") else "left")
    table.add_column("why", overflow="fold")
    for row in sorted(rows, key=lambda row: (order.get(row.state, 0), row.source, row.table)):
        table.add_row(
            f"{row.source}.{row.table}" if row.table else row.source,
            Text(row.state, STATE_STYLES.get(row.state, "")),
            f"{row.loads[-1]:,}" if row.loads else "-",
            f"{row.open_rejects:,}" if row.open_rejects else "-",
            f"{row.loaded_at:%Y-%m-%d %H:%M}" if row.loaded_at else "-",
            (row.business_date or "-")[:16].replace("T", " "),
            Text(row.sentence).append(f" {row.acknowledged.who} takes care of it" if row.acknowledged else "", "dim"),
        )
    age = "no load yet" if copied.age is None else f"as of the last commit, {copied.age:,.0f} s ago"
    return Group(head, table, Text(f"{age} {copied.note}".strip(), "dim"))
