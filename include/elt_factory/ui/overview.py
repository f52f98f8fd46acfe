"""The list of all tables: what the configs say, what the audit tables say, what Airflow says, in one row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elt_factory.checks.freshness import business_instant
from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.models.in_words import deadline_words
from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.describe.advice import dated_sensors
from elt_factory.describe.windows import deadline_of
from elt_factory.ui.airflow_side import Dag
from elt_factory.ui.estate import Estate
from elt_factory.ui.listing import Key, Load, usual_band
from elt_factory.ui.models import Acknowledged, Band, BrokenFile, Checks, Mistake, StateWord, TableRow


@dataclass(frozen=True)
class Judgement:
    """The state of a table in one word, and the sentence that says why."""

    state: StateWord
    sentence: str
    late_since: datetime | None = None  # when the window that is missing was due


@dataclass(frozen=True)
class Seen:
    """What was read for the list, each once for all tables.

    Args:
        loads: The last loads of each table.
        rejects: How many rejects of each table are open.
        checks: The newest results of each table's checks.
        dags: What Airflow says of each DAG.
        states: The state of each table.
        acknowledged: The incidents that someone takes care of.
    """

    loads: Mapping[Key, Sequence[Load]] = field(default_factory=dict)
    rejects: Mapping[Key, int] = field(default_factory=dict)
    checks: Mapping[Key, Checks] = field(default_factory=dict)
    dags: Mapping[str, Dag] = field(default_factory=dict)
    states: Mapping[Key, Judgement] = field(default_factory=dict)
    acknowledged: Mapping[Key, Acknowledged] = field(default_factory=dict)


def table_rows(estate: Estate, seen: Seen) -> Iterator[TableRow]:
    """Yield a row for each table of each config, and one for a config that loads none."""
    limits = business_limits(estate)
    for item in estate.configs.values():
        for table in item.config.all_tables or ("",):
            yield _row(item.config, table, seen, limits.get((item.config.name, table)))


def _row(config: Config, table: str, seen: Seen, limit: timedelta | None) -> TableRow:
    key = (config.name, table)
    loads = seen.loads.get(key, ())
    last = max(loads, key=lambda load: load.loaded_at, default=None)
    band = usual_band([(load.rows, load.failed, load.full_refresh) for load in loads])
    dag = seen.dags.get(config.name, Dag())
    judged = seen.states.get(key, Judgement("unknown", "nothing is known of it yet"))
    spec = config.all_tables.get(table)
    business = max((load.business_date for load in loads if load.business_date), default=None)
    return TableRow(
        source=config.name,
        table=table,
        state=judged.state,
        sentence=judged.sentence,
        owner=config.owner,
        tags=list(config.tags),
        description=(spec.description if spec else "") or config.description,
        timezone=config.timezone,
        business_date=business,
        business_at=business_at(business, config.timezone),
        business_limit=limit.total_seconds() if limit else None,
        loaded_at=last.loaded_at if last else None,
        run_id=last.run_id if last else None,
        window_start=last.window_start if last else None,
        window_end=last.window_end if last else None,
        cursor=next((load.cursor for load in reversed(loads) if load.cursor), None),
        loads=[load.rows for load in loads],
        failed_loads=[number for number, load in enumerate(loads) if load.failed],
        band=Band(low=band[0], high=band[1]) if band else None,
        rows_read=last.rows_read if last else 0,
        rows_rejected=last.rows_rejected if last else 0,
        open_rejects=seen.rejects.get(key, 0),
        checks=seen.checks.get(key, Checks()),
        next_run_at=dag.next_run_at,
        deadline_at=judged.late_since or _next_deadline(config, dag),
        deadline=deadline_words(config) if config.deadline else "",
        paused=dag.paused,
        acknowledged=seen.acknowledged.get(key),
    )


def business_at(text: str | None, zone: str) -> datetime | None:
    """Return the instant of a business date; None for text that is not a date."""
    with suppress(ValueError, OverflowError):
        return business_instant(text, zone) if text else None
    return None


def business_limits(estate: Estate) -> Mapping[Key, timedelta]:
    """Return how late the business date of each table may be: the strictest of all sensors and checks that say so."""
    found: dict[Key, timedelta] = {}
    for source, table, limit in _limits(estate):
        found[source, table] = min(limit, found.get((source, table), limit))
    return found


def _limits(estate: Estate) -> Iterator[tuple[str, str, timedelta]]:
    for source, awaited in dated_sensors(estate.configs.values()).items():
        known = estate.configs[source].config.all_tables if source in estate.configs else ()
        for wait in awaited:
            if wait.business_date_within is not None:
                yield from ((source, table, wait.business_date_within) for table in wait.tables or known)
    for item in estate.configs.values():
        for table, checks in item.config.quality.items():
            limits = (getattr(check.spec, "business_date_within", None) for check in checks)
            yield from ((item.config.name, table, limit) for limit in limits if limit)


def _next_deadline(config: Config, dag: Dag) -> datetime | None:
    """Return when the run under way, or else the next one, must be done; None for one whose time has passed.

    Whether that is late, the diagnosis says: what the run was to load may be there.
    """
    found = _deadline_at(config, dag)
    return found if found and found > datetime.now(UTC) else None


def _deadline_at(config: Config, dag: Dag) -> datetime | None:
    if config.deadline is None or dag.paused:
        return None
    if config.deadline.within is not None:
        start = dag.running_since or dag.next_run_at
        return start + config.deadline.within if start else None
    ends = dag.running_window_end or dag.next_window_end
    return deadline_of(config, Window(ends - timedelta(days=1), ends)) if ends else None


def broken_files(broken: Mapping[Path, ConfigError], folder: Path) -> list[BrokenFile]:
    """Return the YAMLs that cannot be used, with all that is wrong in them."""
    return [
        BrokenFile(
            file=str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name,
            mistakes=[mistake(problem) for problem in error.problems],
        )
        for file, error in broken.items()
    ]


def mistake(problem: Problem) -> Mistake:
    """Return a problem as the page shows it: the line with a caret below the place."""
    lines = problem.render().splitlines()[1:]
    return Mistake(
        line=problem.position.line,
        column=problem.position.column,
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        excerpt=lines[:-1] if problem.hint else lines,
    )
