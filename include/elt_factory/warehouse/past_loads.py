"""What the loads of a source were, and what their runs took: for backfills, which look at all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from elt_factory.config.models.checks import CHECKS
from elt_factory.core.window import Window
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.replay_ids import is_replay
from elt_factory.warehouse.state import audited

_COLUMNS = (
    "table_name",
    "window_start",
    "window_end",
    "run_id",
    "full_refresh",
    "rows_read",
    "rows_loaded",
    "started_at",
    "loaded_at",
)


@dataclass(frozen=True)
class PastLoad:
    """A committed load whose rows hold: its table, window, run, rows, and when it was begun and committed."""

    table: str
    window: Window
    run_id: str
    full_refresh: bool
    rows_read: int
    rows_loaded: int
    started_at: datetime
    loaded_at: datetime

    @property
    def seconds_of_window(self) -> float:
        """How long its window is."""
        return (self.window.end - self.window.start).total_seconds()


@dataclass(frozen=True)
class PastRun:
    """What a run loaded, how long that took until its last check, and whose checks it has done, with which end."""

    rows_read: int
    seconds: float
    checked: frozenset[str] = frozenset()
    failed: bool = False

    def passed(self, table: str) -> bool:
        """Whether the run has come to its end for a table, and no check of it failed."""
        return table in self.checked and not self.failed


def past_loads(warehouse: Warehouse, source: str) -> list[PastLoad]:
    """Return the loads of a source that hold, in the order in which they were committed."""
    if not audited(warehouse):
        return []
    d = warehouse.dialect
    rows = warehouse.query(
        f"SELECT {d.names(_COLUMNS)} FROM {audit.relation('loads').sql(d)} WHERE {d.name('source')} = "
        f"{d.literal(source)} AND {d.name('replaced_by')} IS NULL AND {audit.brought_good(d)} AND NOT {is_replay(d)} "
        f"ORDER BY {d.name('loaded_at')}"
    ).rows
    return [
        PastLoad(table, Window(start, end), run, bool(refresh), int(read), int(loaded), began or at, at)
        for table, start, end, run, refresh, read, loaded, began, at in rows
    ]


def past_runs(warehouse: Warehouse, source: str, loads: list[PastLoad]) -> dict[str, PastRun]:
    """Return what is known of the runs of loads, in the order of these."""
    verdicts = _verdicts(warehouse, source) if loads else {}
    grouped: dict[str, list[PastLoad]] = {}
    for load in loads:
        grouped.setdefault(load.run_id, []).append(load)
    found = {}
    for run_id, mine in grouped.items():
        checks, failed, last = verdicts.get(run_id, ({}, False, None))
        # a run that was cleared has results of before it read again
        began = {load.table: load.started_at for load in mine}
        checked = frozenset(table for table, at in checks.items() if table not in began or at >= began[table])
        end = max(filter(None, (*(load.loaded_at for load in mine), last)))
        seconds = (end - min(load.started_at for load in mine)).total_seconds()
        found[run_id] = PastRun(sum(load.rows_read for load in mine), seconds, checked, failed)
    return found


def _verdicts(warehouse: Warehouse, source: str) -> Mapping[str, tuple[Mapping[str, datetime], bool, datetime | None]]:
    """Return when each run has done the last checks of its tables, whether one failed, and when the last one was.

    Of what dbt did twice in a run, in one process for all models and then in a model's own task, the last time counts.
    """
    d = warehouse.dialect
    # what was checked before the transform says nothing of what comes after it
    last = f"{d.name('kind')} = 'check' AND {d.name('task_id')} NOT LIKE '{CHECKS}.%'"
    task = f"CASE WHEN {d.name('kind')} LIKE 'dbt%' THEN '' ELSE {d.name('task_id')} END"
    same = f"{d.names(('run_id', 'kind', 'table_name', 'check_name'))}, {task}"
    newest = (
        f"SELECT {d.names(('run_id', 'kind', 'table_name', 'task_id', 'status', 'checked_at'))}, "
        f"row_number() OVER (PARTITION BY {same} ORDER BY {d.name('checked_at')} DESC) AS place "
        f"FROM {audit.relation('quality_results').sql(d)} WHERE {d.name('source')} = {d.literal(source)}"
    )
    rows = warehouse.query(
        f"SELECT {d.names(('run_id', 'table_name'))}, max(CASE WHEN {last} THEN {d.name('checked_at')} END), "
        f"max(CASE WHEN {d.name('status')} = 'failed' THEN 1 ELSE 0 END), max({d.name('checked_at')}) "
        f"FROM ({newest}) AS q WHERE place = 1 GROUP BY {d.names(('run_id', 'table_name'))}"
    ).rows
    found: dict[str, tuple[dict[str, datetime], bool, datetime | None]] = {}
    for run_id, table, checked, failed, at in rows:
        tables, any_failed, ended = found.get(run_id, ({}, False, None))
        tables = tables | {table: checked} if checked else tables
        found[run_id] = tables, any_failed or bool(failed), max(filter(None, (ended, at)), default=None)
    return found
