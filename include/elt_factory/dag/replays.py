"""Rejects that a run brings again, or closes, because its form says so."""

from __future__ import annotations

from collections.abc import Callable

from elt_factory.config.models.source import Source
from elt_factory.core.amount import amount
from elt_factory.dag.cleanup import Landings
from elt_factory.dag.runtime import Run
from elt_factory.warehouse.base import Warehouse


def dismiss_rejects(warehouse: Warehouse, run: Run, table: str, who: str) -> int:
    """Close a table's open rejects for the reason in the form of the run; return how many."""
    from elt_factory.warehouse.rejects import dismiss

    return dismiss(warehouse, run.config.name, table, None, who=who, why=run.dismiss_rejects)


def replay_rejects(
    warehouse: Warehouse, run: Run, table: str, landings: Landings, log: Callable[[str], None]
) -> tuple[int, int] | None:
    """Replay a table's open rejects where the form of the run asks for it; how many are healed, and how many are left.

    The load before it is committed: a retry of the task replays what is still open.
    """
    from elt_factory.warehouse.replay import Replaying, replay

    if not run.replay_rejects or not isinstance(run.config, Source):
        return None
    found = replay(warehouse, Replaying(run.config, table, landings.place, landings.project, run.run_id, log))
    for one in found:
        if one.reason:
            left = f"{amount(one.open, 'reject')} of the load {one.load_id} left open"
            log(f"{run.config.name}.{table}: {left}: {one.reason}")
    return sum(one.healed for one in found), sum(one.open for one in found)
