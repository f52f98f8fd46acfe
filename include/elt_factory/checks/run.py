"""Running a table's checks and keeping every result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from elt_factory.checks.counting import LoadedRows
from elt_factory.checks.kind import Checking, CheckRequest, ColumnCheckKind, Outcome, TableCheckKind, counted
from elt_factory.config.models.checks import COLUMN_CHECKS, TABLE_CHECKS, Check, Severity
from elt_factory.core.sql_text import Value
from elt_factory.core.verdict import Verdict
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.base import StatementError, Warehouse
from elt_factory.warehouse.dialect import Relation

Status = Literal["passed", "warned", "failed"]


@dataclass(frozen=True)
class Result:
    """What one check found. `failing_rows` is None where it does not count rows."""

    kind: Literal["check", "dbt_test", "dbt_model", "sensor"]
    table: str
    check: str
    severity: Severity
    status: Status
    failing_rows: int | None
    message: str
    seconds: float


def run_checks(warehouse: Warehouse, request: CheckRequest) -> list[Result]:
    """Run all checks of a table, the declared ones and those that every table has."""
    return list(_results(warehouse, request)) if state.audited(warehouse) else []


def keep(warehouse: Warehouse, source: str, run_id: str, task_id: str, results: Sequence[Result]) -> None:
    """Append results to `_elt.quality_results`, where they take the place of an earlier try's of the same task."""
    # a try that found nothing takes the place of an earlier one too
    rows = [_row(result, source, run_id, task_id) for result in results] or [_nothing(source, run_id, task_id)]
    now = datetime.now(UTC)
    warehouse.record("quality_results", [row | {"checked_at": now, "kept_at": now} for row in rows])


def _nothing(source: str, run_id: str, task_id: str) -> dict[str, Value]:
    return dict.fromkeys(audit.TABLES["quality_results"]) | {"source": source, "run_id": run_id, "task_id": task_id}


def _results(warehouse: Warehouse, request: CheckRequest) -> Iterator[Result]:
    table, target = request.config.all_tables[request.table], Relation(request.config.name, request.table)
    columns = warehouse.columns(target)
    # a table that never had a row is not there: no row of it breaks a rule
    rows = LoadedRows(warehouse.dialect, target, columns, request.load_id) if columns else None
    checking = Checking(warehouse, request, rows)
    yield _rejects_result(checking)
    for name, column in table.columns.items():
        for check in column.checks if rows else ():
            kind: ColumnCheckKind = COLUMN_CHECKS.get(check.kind)
            look = partial(_of_column, kind, check, name)
            yield from _result(checking, f"{name} {kind.label(check.spec)}", check.severity, look)
    for of_table in request.config.quality.get(request.table, ()):
        asked: TableCheckKind = TABLE_CHECKS.get(of_table.kind)
        look = partial(asked.look, of_table.spec)
        yield from _result(checking, asked.label(of_table.spec), of_table.severity, look)


def _of_column(kind: ColumnCheckKind, check: Check, name: str, checking: Checking) -> Outcome | None:
    rows = checking.rows
    return None if rows is None else counted(checking, kind.statement(rows, rows.column(name), check.spec))


def _rejects_result(checking: Checking) -> Result:
    """Rejected rows are never silent: they warn until the source or the contract is corrected."""
    (found,) = _result(checking, "no rejects", "warn", _rejects)
    return found


def _rejects(checking: Checking) -> Outcome:
    d = checking.warehouse.dialect
    rejects = audit.relation("rejects").sql(d)
    mine = f"{d.name('load_id')} = {d.literal(checking.request.load_id)}"
    statement = f"SELECT count(*), min({d.name('reason')}) FROM {rejects} WHERE {mine}"
    count, example = checking.warehouse.query(statement).rows[0]
    message = f"{count} rows were rejected, for example: {example}" if count else "no row was rejected"
    return Outcome(Verdict(not count, message), int(count))


def _result(
    checking: Checking, name: str, severity: Severity, look: Callable[[Checking], Outcome | None]
) -> Iterator[Result]:
    """Yield what one check finds; nothing where there is nothing to check yet."""
    started = time.perf_counter()
    try:
        found = look(checking)
    except StatementError as error:
        found = Outcome(Verdict(False, f"check failed to run: {error}"))
    if found is not None:
        status: Status = "passed" if found.verdict.holds else "warned" if severity == "warn" else "failed"
        seconds, message = time.perf_counter() - started, found.verdict.message
        yield Result("check", checking.request.table, name, severity, status, found.failing_rows, message, seconds)


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
    }
