"""No window is missing between the loads of a table."""

from __future__ import annotations

from datetime import datetime, timedelta

from elt_factory.checks.kind import Checking, Outcome, TableCheckKind
from elt_factory.config.models.durations import PositiveDuration, format_duration
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import Window
from elt_factory.warehouse import state

_NAMED = 3


def _look(reach: timedelta, checking: Checking) -> Outcome:
    request = checking.request
    wanted = Window(min(request.window.end - reach, request.window.start), request.window.end)
    loads = state.committed_loads(checking.warehouse, request.config.name, request.table, wanted)
    first = state.loaded_from(checking.warehouse, request.config.name, request.table)
    gaps = gaps_between(loads, wanted, first)
    if not gaps:
        return Outcome(Verdict(True, f"no gap between the loads of the last {format_duration(reach)}"))
    named = ", ".join(map(str, gaps[:_NAMED])) + (f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else "")
    return Outcome(Verdict(False, f"never loaded: {named}"))


def gaps_between(loads: list[state.Committed], wanted: Window, first: datetime | None) -> list[Window]:
    """Return the times that no load covers, from the first load of all on: before it the table was not there."""
    if first is None or first >= wanted.end:
        return []
    gaps, reached = [], max(first, wanted.start)
    for load in sorted(loads, key=lambda load: load.start):
        if load.start > reached:
            gaps.append(Window(reached, load.start))
        reached = max(reached, load.end)
    return [*gaps, Window(reached, wanted.end)] if reached < wanted.end else gaps


def _words(reach: timedelta) -> str:
    return f"in {format_duration(reach)}"


def _label(_: timedelta) -> str:
    return "no gaps"


KIND = TableCheckKind(
    name="no_gaps",
    model=PositiveDuration,
    description="How far back, from the end of the window, no window may be missing between the loads.",
    examples=("30d",),
    words=_words,
    label=_label,
    look=_look,
)
