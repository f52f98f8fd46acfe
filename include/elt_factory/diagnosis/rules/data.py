"""What the tables and their loads say: late, empty, behind, with gaps, with rejects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from elt_factory.core.amount import amount
from elt_factory.core.window import Window
from elt_factory.diagnosis.facts import Facts, LoadFact
from elt_factory.diagnosis.habit import Habit, habit
from elt_factory.diagnosis.rules.platform import durations, usual_duration
from elt_factory.diagnosis.verdict import Finding
from elt_factory.diagnosis.words import ago, at, cut, long, rows

_EMPTY_IN_A_ROW = 2
_SAME_DAYS = 4  # weeks by which a weekday is known
_FAR = 5  # usual deviations
_OFTEN = 3  # misses of a deadline within the time that counts
_IN_HOURS = 120  # minutes from which on a duration is written in hours
_RECENT = timedelta(days=30)


def rejects_open(facts: Facts) -> Finding | None:
    """Find rejected rows that wait for someone to look at them."""
    if not facts.rejects:
        return None
    newest, total = facts.rejects[0], sum(reject.rows for reject in facts.rejects)
    are = "are" if total > 1 else "is"
    told = f"{rows(total)} of {facts.label} {are} rejected and open, for example: {cut(newest.reason)}"
    evidence = [
        f"load {reject.load_id}: {rows(reject.rows)}, at {at(facts, reject.rejected_at)}"
        for reject in facts.rejects[:5]
    ]
    return Finding(told, evidence, f"elt rejects show {facts.source} --table {facts.table}")


def never_loaded(facts: Facts) -> Finding | None:
    """Find a table that was never loaded."""
    if not facts.table or facts.loads or facts.last is not None or facts.run_since is not None:
        return None
    dag, starts = facts.airflow.dag, ""
    if dag and dag.next_run_at:
        starts = f"its next run starts at {at(facts, dag.next_run_at)}"
    airflow = "" if facts.airflow.known else facts.airflow.why
    return Finding(f"{facts.label} was never loaded", [starts, airflow], f"elt run {facts.source}")


def window_gap(facts: Facts) -> Finding | None:
    """Find windows between loaded ones that are missing."""
    spec = facts.config.all_tables.get(facts.table) if facts.config else None
    if spec is None or not spec.takes_window:
        return None
    missing = gaps(facts.loads)
    if not missing:
        return None
    first, total = missing[0], sum((gap.end - gap.start for gap in missing), timedelta())
    told = f"{facts.label} has a gap: {first} was never loaded"
    if len(missing) > 1:
        told = f"{facts.label} has {len(missing)} gaps, {long(total)} together; the first is {first}"
    return Finding(
        told, [f"missing: {gap}" for gap in missing[:5]], backfill(facts, Window(first.start, missing[-1].end))
    )


def gaps(loads: Sequence[LoadFact]) -> list[Window]:
    """Return what no load covers between the first and the last."""
    found: list[Window] = []
    reached: datetime | None = None
    for load in sorted(loads, key=lambda load: load.window.start):
        if reached is not None and load.window.start > reached:
            found.append(Window(reached, load.window.start))
        reached = load.window.end if reached is None else max(reached, load.window.end)
    return found


def backfill(facts: Facts, window: Window) -> str:
    """Return the command that loads a period."""
    start, end = window.start.isoformat(), window.end.isoformat()
    command = "run" if facts.airflow.dag is None else "backfill"
    return f"elt {command} {facts.source} --start {start} --end {end}"


def overdue(facts: Facts) -> Finding | None:
    """Find a window that should be there and is not, though nothing has failed."""
    if not facts.late_by or facts.expected is None or not facts.table:
        return None
    reached, newest = facts.loaded_up_to, facts.newest
    told = f"{facts.label} is {long(facts.late_by)} late: {facts.expected} is not loaded"
    lines = [
        f"loaded up to {at(facts, reached)}" if reached else "",
        f"last loaded {ago(facts, newest.loaded_at)}" if newest else "",
        f"it was due at {at(facts, facts.due)}" if facts.due else "",
    ]
    dag = facts.airflow.dag
    if dag is None:
        lines.append(facts.airflow.why or "Airflow does not have the DAG: its runs are started by hand")
        return Finding(told, lines, f"elt run {facts.source}", whose="platform")
    newest_run = next(iter(dag.runs), None)
    lines.append(f"the newest run is {newest_run.run_id}, {newest_run.state}" if newest_run else "it has no runs")
    return Finding(told, lines, backfill(facts, facts.expected))


def source_empty(facts: Facts) -> Finding | None:
    """Find a source that answers with nothing, which is not its habit."""
    loads = [load for load in facts.loads if not load.full_refresh]
    empty = 0
    for load in reversed(loads):
        if load.rows_read:
            break
        empty += 1
    before = loads[: len(loads) - empty]
    usual = habit([float(load.rows_read) for load in before])
    seldom = usual is not None and usual.middle > 0 and not any(load.rows_read == 0 for load in before[-30:])
    if (
        usual is None
        or not seldom
        or empty < 1
        or (empty < _EMPTY_IN_A_ROW and not _same_day_had_rows(before, loads[-1]))
    ):
        return None
    first = loads[len(loads) - empty]
    told = (
        f"the source returns nothing for {facts.label}: the last {empty} loads read no rows, "
        f"and one usually reads about {usual.middle:,.0f}"
    )
    if empty == 1:
        told = told.replace("the last 1 loads read", "the last load read")
    lines = [f"nothing since the window {first.window}, loaded at {at(facts, first.loaded_at)}"]
    return Finding(told, lines, f"elt validate --live {facts.source}; then ask the owner of the source")


def _same_day_had_rows(before: Sequence[LoadFact], load: LoadFact) -> bool:
    """Whether the same weekday has had rows before, four times at least and always."""
    same = [one.rows_read for one in before if one.window.start.weekday() == load.window.start.weekday()]
    return len(same) >= _SAME_DAYS and all(same)


def lag_of(facts: Facts) -> timedelta | None:
    """Return how far the newest business date, as the table has it, is behind the end of the last window loaded."""
    reached = facts.loaded_up_to
    if facts.business_date is None or reached is None:
        return None
    return max(reached - facts.business_date, timedelta())


def lags(loads: Sequence[LoadFact]) -> list[float]:
    """Return how far behind each load left the table, in seconds: a load that brings nothing moves no business date."""
    found: list[float] = []
    newest: datetime | None = None
    for load in loads:
        if load.business_date and (newest is None or load.business_date > newest):
            newest = load.business_date
        if newest is not None:
            found.append(max((load.window.end - newest).total_seconds(), 0.0))
    return found


def limit_of(facts: Facts) -> timedelta | None:
    """Return the largest gap that the config allows between the newest business date and the window's end."""
    if facts.config is None:
        return None
    sensors = [sensor.spec for stage in ("before_transform",) for sensor in getattr(facts.config.sensors, stage)]
    checks = [check.spec for check in facts.config.quality.get(facts.table, ())]
    about = [spec for spec in sensors if getattr(spec, "table", "") == facts.table]
    found = (getattr(spec, "business_date_within", None) for spec in (*about, *checks))
    return min((value for value in found if value is not None), default=None)


def source_behind(facts: Facts) -> Finding | None:
    """Find a source system that is behind, by its habit or a limit: the loads are fresh and bring nothing newer."""
    lag, newest = lag_of(facts), facts.newest
    if lag is None or newest is None or facts.business_date is None:
        return None
    before = [load for load in facts.loads if load is not facts.loads[-1]]
    limit, usual = limit_of(facts), habit(lags(before))
    window = newest.window.end - newest.window.start
    over_limit = limit is not None and lag > limit
    # a habit is broken by more than an interval, and by far more than it varies
    over_habit = usual is not None and _unusual(usual, lag, window)
    if not (over_limit or over_habit):
        return None
    since = next((load for load in facts.loads if load.business_date == facts.business_date), None)
    usually = f"; usually it is {long(timedelta(seconds=usual.middle))}" if usual else ""
    told = (
        f"the source system is behind: {facts.label} was loaded {ago(facts, newest.loaded_at)}, and its newest "
        f"business date is {at(facts, facts.business_date)}, {long(lag)} before the end of what was loaded{usually}"
    )
    after = facts.loads[facts.loads.index(since) + 1 :] if since else ()
    lines = [
        f"nothing newer since the load of {since.window}, at {at(facts, since.loaded_at)}" if since else "",
        f"{amount(len(after), 'load')} since then brought no newer business date" if after else "",
        f"the config allows {long(limit)}" if limit is not None else "",
    ]
    return Finding(told, lines, "ask the owner of the source system; what it delivers late is loaded by the next run")


def _unusual(usual: Habit, lag: timedelta, window: timedelta) -> bool:
    more = lag.total_seconds() - usual.middle
    return more > window.total_seconds() and usual.distance(lag.total_seconds(), least=60.0) > _FAR


def schema_changed(facts: Facts) -> Finding | None:
    """Find other columns in the newest load than before."""
    newest = facts.newest
    recent = [drift for drift in facts.drift if newest and drift.changed_at >= (newest.started_at or newest.loaded_at)]
    if not recent or len(facts.loads) == 1:
        return None
    lines = [f"{drift.column}: {drift.change} {drift.old_type or ''} {drift.type or ''}".strip() for drift in recent]
    told = f"the schema of the source has changed: {'; '.join(lines[:3])}"
    return Finding(told, lines[3:], f"declare the new columns in {facts.file}, or set schema_contract")


def checks_warned(facts: Facts) -> Finding | None:
    """Find a check of severity warn that does not hold."""
    warned = [check for check in facts.checks if check.status == "warned" and "skip" not in check.message.lower()]
    # rejects have a rule of their own
    warned = [check for check in warned if check.name != "no rejects"]
    if not warned:
        return None
    lines = [cut(f"{check.name}: {check.message}") for check in warned]
    where = f"source = '{facts.source}' and status = 'warned'"
    step = f'elt sql "select * from _elt.quality_results where {where} order by checked_at desc limit 20"'
    return Finding(f"{facts.label} is loaded, with a warning: {lines[0]}", lines[1:], step)


def run_since(facts: Facts) -> Finding | None:
    """Find a run that has succeeded since the warehouse was asked: what it loaded is not known."""
    run = facts.run_since
    if not facts.table or run is None or run.ended_at is None or facts.asked_at is None:
        return None
    told = (
        f"a run of {facts.source} has succeeded {ago(facts, run.ended_at)}; what it loaded into {facts.label} is not "
        f"known, as the warehouse was not asked since {at(facts, facts.asked_at)}"
    )
    return Finding(told, [f"the run is {run.run_id}"], "press Ask the warehouse now on the Sources page")


def deadline_tight(facts: Facts) -> Finding | None:
    """Find a deadline that is missed again and again by runs that succeed, as they usually take that long."""
    recent = [moment for moment in facts.misses if facts.now - moment < _RECENT]
    deadline, usual = facts.config.deadline if facts.config else None, usual_duration(facts)
    if deadline is None or deadline.within_usual is not None or len(recent) < _OFTEN or usual is None:
        return None
    took = durations(facts)
    if deadline.within is not None and usual < deadline.within * 0.9:
        return None
    if deadline.by is not None and not _late_by_clock(facts, recent):
        return None
    slow = sorted(took)[int(len(took) * 0.95)] if len(took) > 1 else took[0]
    allowed = f"within {long(deadline.within)}" if deadline.within else f"by {deadline.by:%H:%M}"
    told = (
        f"the deadline of {facts.source} is too tight: runs must be done {allowed}, and usually take {long(usual)}; "
        f"it was missed {len(recent)} times in 30 days"
    )
    suggestion = _rounded(slow * 1.2)
    step = f"set deadline: {{within: {suggestion}}} in {facts.file}, or make the run faster"
    if deadline.by is not None:
        step = f"set a later deadline.by, or an earlier schedule, in {facts.file}"
    return Finding(told, [f"missed at {at(facts, moment)}" for moment in recent[:5]], step)


def _late_by_clock(facts: Facts, misses: Sequence[datetime]) -> bool:
    """Whether the runs that missed the time of day succeeded after it, as good runs do."""
    dag = facts.airflow.dag
    ends = [run.ended_at for run in dag.runs if run.state == "success" and run.ended_at] if dag else []
    after = [miss for miss in misses if any(miss < end < miss + timedelta(hours=12) for end in ends)]
    return len(after) >= _OFTEN


def _rounded(duration: timedelta) -> str:
    minutes = max(int(duration.total_seconds() // 300 + 1) * 5, 5)
    return f"{minutes}m" if minutes < _IN_HOURS else f"{-(-minutes // 60)}h"


def fresh(facts: Facts) -> Iterator[str]:
    """Yield the parts of the sentence about a table that is fresh."""
    newest, reached = facts.newest, facts.loaded_up_to
    if newest is None or reached is None:
        return
    yield f"loaded {ago(facts, newest.loaded_at)}, up to {at(facts, reached)}"
    if facts.business_date:
        yield f"newest business date {at(facts, facts.business_date)}"
