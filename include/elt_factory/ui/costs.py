"""What a source costs: the seconds of each step of its newest runs, as Airflow has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from elt_factory.diagnosis.facts import TaskFact
from elt_factory.ui.models import Cost, CostRow

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


def cost_of(session: Session, source: str, warehouse: str) -> Cost:
    """Return the seconds that each step of a source's newest runs took."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    newest = select(DagRun.run_id).where(DagRun.dag_id == source).order_by(DagRun.id.desc()).limit(_RUNS)
    runs = list(session.scalars(newest))
    wanted = select(TaskInstance.task_id, TaskInstance.run_id, TaskInstance.start_date, TaskInstance.end_date).where(
        TaskInstance.dag_id == source, TaskInstance.run_id.in_(runs)
    )
    took: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task_id, run_id, start, end in session.execute(wanted):
        if start and end:
            # of mapped tasks those of one run are one
            task = TaskFact(str(task_id), "")
            took[task.step, task.table][run_id] += (end - start).total_seconds()
    rows = [_row(step, table, list(of_run.values())) for (step, table), of_run in took.items()]
    whole = sum(row.seconds for row in rows)
    return Cost(
        runs=len(runs),
        seconds=whole,
        steps=sorted(rows, key=lambda row: -row.seconds),
        statement=_STATEMENT.format(source=source) if warehouse == "snowflake" else "",
    )


def _row(step: str, table: str, seconds: Sequence[float]) -> CostRow:
    return CostRow(step=step, table=table, runs=len(seconds), seconds=sum(seconds), usual=median(seconds))
