"""Running a table's checks and keeping every result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

from elt_factory.checks.counting import LoadedRows, sample, scan
from elt_factory.checks.history import Figure, History, history, rows_of
from elt_factory.checks.kind import (
    Checking,
    CheckRequest,
    ColumnCheckKind,
    Look,
    Outcome,
    Scanned,
    TableCheckKind,
    counted,
    scanned,
)
from elt_factory.config.models.check_names import named_checks
from elt_factory.config.models.checks import (
    AFTER,
    BEFORE,
    COLUMN_CHECKS,
    QUARANTINE,
    TABLE_CHECKS,
    Check,
    CheckStage,
    Severity,
)
from elt_factory.config.models.table import Table
from elt_factory.core.amount import amount
from elt_factory.core.sql_text import Value
from elt_factory.core.verdict import Verdict
from elt_factory.landing.quarantine import REASON, sets_aside
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.base import StatementError, Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.remote import own_rows

Status = Literal["passed", "warned", "failed"]
SAMPLED = 5  # keys of failing rows that a result shows


@dataclass(frozen=True)
class Result:
    """What one check found. `failing_rows` is None where it does not count rows, `failing_keys` is JSON or "".

    `figures` are what it measured, for later loads to be compared with.
    """

    kind: Literal["check", "dbt_test", "dbt_model", "sensor", "deadline"]
    table: str
    check: str
    severity: Severity
    status: Status
    failing_rows: int | None
    message: str
    seconds: float
    failing_keys: str = ""
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class _Asked:
    """A check before it has looked."""

    name: str
    severity: Severity
    checking: Checking
    look: Callable[[Checking], Look]


@dataclass(frozen=True)
class _Answer:
    """What a check said, after that many seconds: an outcome, a question to the scan, or nothing."""

    asked: _Asked
    look: Look
    seconds: float


def run_checks(warehouse: Warehouse, request: CheckRequest, stages: Sequence[CheckStage] = ()) -> list[Result]:
    """Run the checks of a table: those of these stages, all of them by default; its rejects at the end of a run."""
    return list(_results(warehouse, request, stages)) if state.audited(warehouse) else []


def keep(warehouse: Warehouse, source: str, run_id: str, task_id: str, results: Sequence[Result]) -> None:
    """Append results to `_elt.quality_results`, where they take the place of an earlier try's of the same task."""
    # a try that found nothing takes the place of an earlier one too
    rows = [_row(result, source, run_id, task_id) for result in results] or [_nothing(source, run_id, task_id)]
    # after the loads that are checked, and after what other tasks of the run have found
    now = warehouse.moment_after(audit.newest_results(warehouse.dialect, source, run_id))
    warehouse.record("quality_results", [row | {"checked_at": now, "kept_at": now} for row in rows])


def keep_figures(warehouse: Warehouse, request: CheckRequest, results: Sequence[Result]) -> None:
    """Append what checks measured to `_elt.metrics`, where later loads find it."""
    figures = [figure for result in results for figure in result.figures]
    name, load, window = request.config.name, request.load_id, request.window
    now = warehouse.moment_after(audit.newest_figures(warehouse.dialect, load))
    rows = rows_of(figures, name, request.table, load, request.run_id, window, now)
    if rows:
        warehouse.record("metrics", rows)


def _nothing(source: str, run_id: str, task_id: str) -> dict[str, Value]:
    return dict.fromkeys(audit.TABLES["quality_results"]) | {"source": source, "run_id": run_id, "task_id": task_id}


def _results(warehouse: Warehouse, request: CheckRequest, stages: Sequence[CheckStage]) -> Iterator[Result]:
    table = request.config.all_tables[request.table]
    target = Relation.of(request.config.name, request.table, table)
    columns = warehouse.columns(target)
    # a table that never had a row is not there: no row of it breaks a rule
    rows = LoadedRows(warehouse.dialect, target, columns, request.load_id) if columns else None
    if rows and columns and table.stored_in:
        rows = replace(rows, remote=own_rows(warehouse, columns, request.load_id))

    @cache
    def earlier() -> History:
        return history(warehouse, request.config.name, request.table, request.window, request.config.timezone)

    checking = Checking(warehouse, request, rows, history=earlier)
    answers = [_answer(asked) for asked in _asked(checking, table, stages)]
    for answer in _scanned(checking, answers):
        yield from _result(answer, table)


def _asked(checking: Checking, table: Table, stages: Sequence[CheckStage]) -> Iterator[_Asked]:
    if not stages or AFTER in stages:
        # rejected rows are never silent: they warn until the source or the contract is corrected
        yield _Asked("no rejects", "warn", checking, _rejects)
    named = named_checks(table, checking.request.config.quality.get(checking.request.table, ()))
    for one in named.of_columns if checking.rows and (not stages or BEFORE in stages) else ():
        kind: ColumnCheckKind = COLUMN_CHECKS.get(one.check.kind)
        yield _of(one.check, one.name, checking, partial(_of_column, kind, one.check, one.column))
    for other in named.of_table:
        if not stages or other.check.stage in stages:
            asked: TableCheckKind = TABLE_CHECKS.get(other.check.kind)
            yield _of(other.check, other.name, checking, partial(asked.look, other.check.spec))


def _of(check: Check, name: str, checking: Checking, look: Callable[[Checking], Look]) -> _Asked:
    if check.severity == QUARANTINE:
        return _Asked(name, check.severity, checking, partial(_set_aside, name))
    rows = replace(checking.rows, where=check.where) if check.where and checking.rows else checking.rows
    return _Asked(name, check.severity, replace(checking, rows=rows, allowed=check.max_failing), look)


def _of_column(kind: ColumnCheckKind, check: Check, name: str, checking: Checking) -> Look:
    rows = checking.rows
    if rows is None:
        return None
    if kind.condition:
        return scanned(checking, kind.condition(rows, rows.column(name), check.spec))
    if kind.statement:
        return counted(checking, kind.statement(rows, rows.column(name), check.spec))
    return kind.look(check.spec, name, checking) if kind.look else None


def _rejects(checking: Checking) -> Outcome:
    d = checking.warehouse.dialect
    rejects = audit.relation("rejects").sql(d)
    mine = f"{d.name('load_id')} = {d.literal(checking.request.load_id)} AND {d.name('state')} = 'open'"
    statement = f"SELECT count(*), min({d.name('reason')}) FROM {rejects} WHERE {mine}"
    count, example = checking.warehouse.query(statement).rows[0]
    message = (
        f"{amount(count, 'row was', 'rows were')} rejected, for example: {example}" if count else "no row was rejected"
    )
    return Outcome(Verdict(not count, message), int(count))


def _set_aside(name: str, checking: Checking) -> Outcome:
    """Return how many rows of the load the check has set aside: the rows that are loaded fulfil it."""
    d, reason = checking.warehouse.dialect, checking.warehouse.dialect.name("reason")
    mine = f"{d.name('load_id')} = {d.literal(checking.request.load_id)} AND {d.name('state')} = 'open'"
    rejects = f"{audit.relation('rejects').sql(d)} WHERE {mine} AND {reason} LIKE {d.literal(f'{REASON}%')}"
    found = checking.warehouse.query(f"SELECT {reason}, count(*) FROM {rejects} GROUP BY {reason}").rows
    count = sum(int(rows) for text, rows in found if sets_aside(name, str(text)))
    return Outcome(Verdict(not count, f"{amount(count, 'row is', 'rows are')} set aside" if count else "holds"), count)


def _answer(asked: _Asked) -> _Answer:
    started = time.perf_counter()
    found = _safely(lambda: asked.look(asked.checking))
    return _Answer(asked, found, time.perf_counter() - started)


def _safely(look: Callable[[], Look]) -> Look:
    """Return what a check says; one that cannot run fails alone, and says why."""
    try:
        return look()
    except StatementError as error:
        return Outcome(Verdict(False, f"check failed to run: {error}"))


def _scanned(checking: Checking, answers: Sequence[_Answer]) -> list[_Answer]:
    """Answer the questions of all checks with one scan of the load's rows; each with its own where one cannot run."""
    asking = [answer for answer in answers if isinstance(answer.look, Scanned)]
    if not asking or checking.rows is None:
        return list(answers)
    started = time.perf_counter()
    values = _values(checking.warehouse, checking.rows, [answer.look for answer in asking])
    seconds = (time.perf_counter() - started) / len(asking)
    found = {id(answer): _judged(checking, answer, values, seconds) for answer in asking}
    return [found.get(id(answer), answer) for answer in answers]


def _values(warehouse: Warehouse, rows: LoadedRows, looks: Sequence[Look]) -> dict[int, Sequence[Any]]:
    """Return the values of the aggregates of each question, by its id; none where the scan cannot run."""
    asked = [look for look in looks if isinstance(look, Scanned)]
    every = tuple(dict.fromkeys(aggregate for look in asked for aggregate in look.aggregates))
    try:
        values = dict(zip(every, warehouse.query(scan(rows, every)).rows[0], strict=True))
    except StatementError:
        return {}
    return {id(look): [values[aggregate] for aggregate in look.aggregates] for look in asked}


def _judged(checking: Checking, answer: _Answer, values: dict[int, Sequence[Any]], seconds: float) -> _Answer:
    look, rows = answer.look, checking.rows
    if not isinstance(look, Scanned) or rows is None:
        return answer

    def outcome() -> Outcome:
        known = values.get(id(look))
        return look.judge(known or checking.warehouse.query(scan(rows, look.aggregates)).rows[0])

    return _Answer(answer.asked, _safely(outcome), answer.seconds + seconds)


def _result(answer: _Answer, table: Table) -> Iterator[Result]:
    """Yield what one check found; nothing where there is nothing to check yet."""
    asked, found = answer.asked, answer.look
    if not isinstance(found, Outcome):
        return
    held = found.verdict.holds
    status: Status = "passed" if held else "failed" if asked.severity == "error" else "warned"
    keys = "" if held else _failing_keys(asked.checking, table, found.failing)
    message, request = found.verdict.message, asked.checking.request
    shown = (found.failing_rows, message, answer.seconds, keys, found.figures)
    yield Result("check", request.table, asked.name, asked.severity, status, *shown)


def _failing_keys(checking: Checking, table: Table, failing: str) -> str:
    """Return the primary keys of a few failing rows as JSON; a column that is personal is never among them."""
    key = [name for name in table.primary_key if name not in table.columns or not table.columns[name].pii]
    rows = checking.rows
    if not failing or rows is None or not key:
        return ""
    try:
        found = checking.warehouse.query(sample(rows, key, failing, SAMPLED)).rows
    except StatementError:
        # the check has its count; a warehouse that cannot show the rows takes nothing from it
        return ""
    return json.dumps([dict(zip(key, row, strict=True)) for row in found], default=str, ensure_ascii=False)


def _row(result: Result, source: str, run_id: str, task_id: str) -> dict[str, Value]:
    return {
        "source": source,
        "run_id": run_id,
        "task_id": task_id,
        "kind": result.kind,
        "table_name": result.table,
        "check_name": result.check,
        "severity": result.severity,
        "status": result.status,
        "failing_rows": result.failing_rows,
        "message": result.message,
        "seconds": result.seconds,
        "failing_keys": result.failing_keys or None,
    }
