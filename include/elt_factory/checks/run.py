"""Running a table's checks and keeping every result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from elt_factory.checks.freshness import Limits, fresh
from elt_factory.checks.rules import LoadedRows, Rule, column_rules, table_rule
from elt_factory.config.checks import RowCount, Severity, TableCheck
from elt_factory.config.source import Config
from elt_factory.config.window import Window
from elt_factory.core.verdict import Verdict
from elt_factory.sql_text import Value
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.base import StatementError, Warehouse
from elt_factory.warehouse.dialect import Relation

Status = Literal["passed", "warned", "failed"]
_TRAILING = {"trailing_7_runs": 7, "trailing_30_runs": 30}


@dataclass(frozen=True)
class Result:
    """What one check found. `failing_rows` is None where it does not count rows."""

    kind: Literal["check", "dbt_test", "dbt_model"]
    table: str
    check: str
    severity: Severity
    status: Status
    failing_rows: int | None
    message: str
    seconds: float


@dataclass(frozen=True)
class _Named:
    """A check that is no SQL over the table's rows."""

    name: str
    severity: Severity


@dataclass(frozen=True)
class CheckRequest:
    """One table after the load of one window."""

    config: Config
    table: str
    load_id: str
    window: Window


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
    yield _rejects_result(warehouse, request)
    columns = warehouse.columns(target)
    # a table that never had a row is not there: no row of it breaks a rule
    rows = LoadedRows(warehouse.dialect, target, columns, request.load_id) if columns else None
    for rule in column_rules(rows, table) if rows else ():
        yield _rule_result(warehouse, request, rule)
    for check in request.config.quality.get(request.table, ()):
        if check.row_count or check.freshness:
            yield _audit_result(warehouse, request, check)
        elif rows and (rule_of_rows := table_rule(rows, check)):
            yield _rule_result(warehouse, request, rule_of_rows)


def _rule_result(warehouse: Warehouse, request: CheckRequest, rule: Rule) -> Result:
    started = time.perf_counter()
    try:
        failing = int(warehouse.query(rule.statement).rows[0][0])
    except StatementError as error:
        return _result(request, rule, started, Verdict(False, f"it cannot be checked: {error}"))
    message = f"{failing} rows break it" if failing else "holds"
    return _result(request, rule, started, Verdict(not failing, message), failing)


def _rejects_result(warehouse: Warehouse, request: CheckRequest) -> Result:
    """Rejected rows are never silent: they warn until someone fixes the source or the contract."""
    started, d = time.perf_counter(), warehouse.dialect
    rejects = audit.relation("rejects").sql(d)
    mine = f"{d.name('load_id')} = {d.literal(request.load_id)}"
    count, example = warehouse.query(f"SELECT count(*), min({d.name('reason')}) FROM {rejects} WHERE {mine}").rows[0]
    message = f"{count} rows were rejected, as in: {example}" if count else "no row was rejected"
    verdict = Verdict(not count, message)
    return _result(request, _Named("no rejects", "warn"), started, verdict, int(count))


def _audit_result(warehouse: Warehouse, request: CheckRequest, check: TableCheck) -> Result:
    started = time.perf_counter()
    if check.freshness:
        limits = Limits(check.freshness.business_date_within, check.freshness.loaded_within)
        name, window, zone = request.config.name, request.window, request.config.timezone
        verdict = fresh(warehouse, name, request.table, window, limits, zone)
        return _result(request, _Named("freshness", check.severity), started, verdict)
    verdict = _row_count(warehouse, request, check.row_count or RowCount(min=0))
    return _result(request, _Named("row count", check.severity), started, verdict)


def _row_count(warehouse: Warehouse, request: CheckRequest, rule: RowCount) -> Verdict:
    count = state.load_size(warehouse, request.load_id)
    if rule.min is not None and count < rule.min:
        return Verdict(False, f"the load has {count} rows, at least {rule.min} are wanted")
    if rule.max is not None and count > rule.max:
        return Verdict(False, f"the load has {count} rows, at most {rule.max} are wanted")
    if rule.within is None:
        return Verdict(True, f"the load has {count} rows")
    before = state.load_sizes(
        warehouse, request.config.name, request.table, request.window.start, _TRAILING[rule.compared_with]
    )
    if not before:
        return Verdict(True, f"the load has {count} rows; there is no earlier load to compare with")
    mean = sum(before) / len(before)
    message = f"the load has {count} rows, the {len(before)} before it {mean:.0f} on average"
    return Verdict(abs(count - mean) <= rule.within * mean, f"{message}; {rule.within:.0%} apart is allowed")


def _result(
    request: CheckRequest, check: Rule | _Named, started: float, verdict: Verdict, failing: int | None = None
) -> Result:
    status: Status = "passed" if verdict.holds else "warned" if check.severity == "warn" else "failed"
    seconds = time.perf_counter() - started
    return Result("check", request.table, check.name, check.severity, status, failing, verdict.message, seconds)


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
