"""What a source costs: the seconds of each step of its newest runs, as Airflow has them, and its budget."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.budget import Budget
from elt_factory.dag.factory import BUDGET
from elt_factory.diagnosis.task_seconds import of_newest_runs
from elt_factory.ui.models import BudgetUse, Cost, CostRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_RUNS = 30
_STATEMENT = (
    'SELECT TRY_PARSE_JSON(query_tag):table::string AS "table", count(*), sum(total_elapsed_time) / 1000 AS seconds\n'
    "FROM snowflake.account_usage.query_history\n"
    "WHERE start_time > dateadd('day', -30, current_timestamp())\n"
    "  AND TRY_PARSE_JSON(query_tag):source::string = '{source}'\n"
    "GROUP BY 1 ORDER BY 3 DESC;"
)


def cost_of(session: Session, source: str, warehouse: str, budget: Budget | None = None) -> Cost:
    """Return the seconds that each step of a source's newest runs took."""
    runs, tasks = of_newest_runs(session, source, _RUNS)
    took: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task in tasks:
        # of mapped tasks those of one run are one
        took[task.step, task.table][task.run_id] += task.seconds
    rows = [_row(step, table, list(of_run.values())) for (step, table), of_run in took.items()]
    return Cost(
        runs=runs,
        seconds=sum(row.seconds for row in rows),
        steps=sorted(rows, key=lambda row: -row.seconds),
        budget=_use(session, source, budget) if budget else None,
        statement=_STATEMENT.format(source=source) if warehouse == "snowflake" else "",
    )


def _row(step: str, table: str, seconds: Sequence[float]) -> CostRow:
    return CostRow(step=step, table=table, runs=len(seconds), seconds=sum(seconds), usual=median(seconds))


def _use(session: Session, source: str, budget: Budget) -> BudgetUse:
    """Return a budget with what the newest run that looked has found, where it looked for the same."""
    found = _last_look(session, source)
    same = found.get("unit") == budget.unit and found.get("per") == budget.per
    return BudgetUse(
        unit=budget.unit,
        limit=budget.limit,
        per=budget.per,
        stops=budget.severity == "error",
        used=found.get("used") if same else None,
        looked_at=found.get("at") if same else None,
    )


def _last_look(session: Session, source: str) -> dict[str, Any]:
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    wanted = (
        select(XComModel.value, XComModel.timestamp)
        .where(XComModel.dag_id == source, XComModel.task_id == BUDGET, XComModel.key == "return_value")
        .order_by(XComModel.timestamp.desc())
        .limit(1)
    )
    row = session.execute(wanted).first()
    return _told(row[0], row[1]) if row else {}


def _told(value: Any, at: datetime) -> dict[str, Any]:
    told = json.loads(value) if isinstance(value, str) else value
    return {**told, "at": at} if isinstance(told, dict) else {}
